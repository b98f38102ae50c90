"""FBNetV3's published networks.

Facts measured from mobile-vision. All have the stages of Table 4.2 (Wan 2022),
numbered as published: 4 and 5 both hold two rows of it. The depthwise padding
that some state differs from half the kernel, an accident of their export that
their weights and published counts contain.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture
from fbnax.spaces.zoo_notation import parse

# Stage, stride, squeeze-excite and activation of each row.
ROWS = (
  "1 hs",
  "2 s2 hs",
  "3 s2 se hs",
  "4 s2 hs",
  "4 se hs",
  "5 s2 se hs",
  "5 se hs",
)

# Resolution, stem, the rest of each row, and the head.
# fmt: off
NETWORKS: dict[str, tuple[int, str, tuple[str, ...], str]] = {
  "fbnetv3_a0": (224, "c12", (
    "c12 k3 e1", "c24 k3 e4/2 x3", "c40 k3 e4/2 x3", "c72 k5/3 e4/3 x3",
    "c104 k3/5 e4/3 x4", "c176 k3 e4 x4", "c208 k3 e5"), "c1984 e5"),
  "fbnetv3_a": (224, "c16", (
    "c16 k3 e1 x2", "c24 k5 e4/2 x4", "c40 k5 e5/3 x5", "c72 k5/3 e5/3 x5 p1",
    "c120 k3/5 e5/3 x6", "c184 k3/5 e6/4 x6 p0", "c224 k5 e6"), "c1984 e6"),
  "fbnetv3_c": (248, "c16", (
    "c16 k3 e1 x2", "c24 k5/3 e5/3 x5", "c48 k5 e5/2 x5", "c88 k5/3 e4/3 x5 p1",
    "c120 k3/5 e4/3 x6", "c216 k5 e5 x6 p1", "c216 k5 e6"), "c1984 e6"),
  "fbnetv3_d": (248, "c24", (
    "c16 k3 e1 x2", "c24 k3 e5/2 x6", "c40 k5/3 e4/3 x5", "c72 k3 e5/3 x5",
    "c128 k3/5 e5/3 x7", "c208 k3/5 e6/5 x6", "c240 k5 e6"), "c1984 e6"),
  "fbnetv3_e": (264, "c24", (
    "c16 k3 e1 x3", "c24 k5 e4/2 x5", "c48 k5 e4/3 x5", "c80 k5/3 e5/3 x5 p1",
    "c128 k3/5 e5/3 x8", "c216 k3/5 e6/5 x6", "c240 k5 e6"), "c1984 e6"),
  "fbnetv3_f": (272, "c24", (
    "c24 k3 e1 x3", "c32 k5 e4/2 x5", "c56 k5 e4/3 x5", "c88 k5/3 e5/3 x5",
    "c144 k3/5 e5/3 x9", "c248 k3/5 e6/5 x7 p0", "c272 k5 e6"), "c1984 e6"),
  "fbnetv3_g": (320, "c32", (
    "c24 k3 e1 x3", "c40 k5 e4/2 x5", "c56 k5 e4/3 x5", "c104 k5/3 e5/3 x5",
    "c160 k3/5 e5/3 x9", "c264 k3/5 e6/5 x7", "c288 k5 e6 x2"), "c1984 e6"),
}
# fmt: on
NETWORKS["fbnetv3_b"] = (248, *NETWORKS["fbnetv3_a"][1:])


def network(name: str, **rules: bool) -> Architecture:
  """The network of that name; `rules` override those of the family."""
  resolution, stem, rows, head = NETWORKS[name]
  lines = [
    f"stem {stem} hs",
    *(f"{row} {rest}" for row, rest in zip(ROWS, rows, strict=True)),
    f"head {head} hs",
  ]
  family = {"squeeze_from_input": True}
  return parse("\n".join(lines), resolution, **(family | rules))


def networks() -> dict[str, Architecture]:
  """The networks by name."""
  return {name: network(name) for name in NETWORKS}
