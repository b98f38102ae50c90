"""FBNetV2's published networks, and the DMaskingNAS results behind them.

Facts measured from mobile-vision; `fbnetv2_l3` is Table 4.10 of Wan 2022. The
`dmasking_*` networks keep their searched widths where the others round them
to multiples of 8, and do not start the last gammas at 0.

Table 4.10 prints expansions to two decimals; the four decimals here are those
of `fbnetv2_l1`, which round to them. It gives no resolution: 256 pixels is the
largest of that search space (Table 3.7).
"""

from __future__ import annotations

import dataclasses

from fbnax.spaces.architecture import Architecture
from fbnax.spaces.zoo_notation import parse

F0 = """
stem c8 hs
1 c8 k5 e1 hs
2 c16 k5 e4 s2 hs
2 c16 k5 e3 hs
3 c24 k5 e4 s2 se
3 c24 k5 e3 se
4 c48 k5 e4 s2 se hs
4 c48 k3 e3 se hs
4 c64 k5 e3 se hs
4 c64 k5 e2 se hs
5 c128 k3 e3 s2 se hs
5 c160 k5 e3 se hs
5 skip c192
head c1280 e4 hs
"""

F1 = """
stem c8 hs
1 c8 k5 e1
2 c24 k5 e5.4566 s2
2 c24 k5 e4.7912
3 c32 k5 e5.3501 s2 se
3 c24 k5 e4.5379 se
4 c56 k5 e5.7133 s2 hs
4 c56 k3 e4.1212 hs
4 c56 k3 e5.1246 se hs
4 skip c80
4 c80 k5 e4.507 se hs
4 c80 k5 e1.7712 se hs
5 c144 k3 e4.5685 s2 se hs
5 c144 k5 e5.84 se hs
5 c144 k5 e6.8754 se hs
5 skip c224
head c1600 e6 hs
"""

F4 = """
stem c16 hs
1 c16 k3 e1 hs
2 c24 k5 e5.4566 s2 hs
2 c24 k5 e1.7912 x2 hs
3 c32 k5 e5.3501 s2 se
3 c32 k5 e3.5379 se
3 c32 k5 e4.5379 x2 se
4 c64 k5 e5.7133 s2 hs
4 c64 k3 e2.1212 hs
4 skip c64
4 c104 k3 e5.0333 hs
4 c104 k5 e2.507 se hs
4 c104 k5 e1.7712 se hs
4 c112 k5 e3.7712 se hs
5 c184 k3 e5.5685 s2 se hs
5 c184 k5 e2.84 se hs
5 c184 k5 e4.8754 se hs
5 skip c224
head c1984 e6 hs
"""

L1 = """
stem c16 hs
1 c16 k3 e1 hs
2 c24 k5 e5.4566 s2 hs
2 c24 k5 e1.7912 hs
2 c24 k3 e1.7912 hs
2 c24 k5 e1.7912 hs
3 c40 k5 e5.3501 s2 se hs
3 c32 k5 e3.5379 se hs
3 c32 k5 e4.5379 x2 se hs
4 c64 k5 e5.7133 s2 hs
4 c64 k3 e2.1212 hs
4 skip c64
4 c64 k3 e3.1246 hs
4 c112 k3 e5.0333 hs
4 c112 k5 e2.507 se hs
4 c112 k5 e1.7712 se hs
4 c112 k5 e2.7712 se hs
4 c112 k5 e3.7712 x2 se hs
5 c184 k3 e5.5685 s2 se hs
5 c184 k5 e2.84 x2 se hs
5 c184 k5 e4.8754 x2 se hs
5 skip c224
head c1984 e6 hs
"""

L3 = """
stem c16 hs
1 c16 k3 e1 x2 hs
2 c24 k5 e5.4566 s2 hs
2 c24 k5 e1.7912 hs
2 c24 k3 e1.7912 hs
2 c24 k5 e1.7912 x2 hs
3 c40 k5 e5.3501 s2 se hs
3 c32 k5 e3.5379 se hs
3 c32 k5 e4.5379 x3 se hs
4 c72 k5 e5.7133 s2 hs
4 c72 k3 e2.1212 hs
4 skip c72
4 c72 k3 e3.1246 hs
4 c128 k3 e5.0333 hs
4 c128 k5 e2.507 se hs
4 c128 k5 e1.7712 se hs
4 c128 k5 e2.7712 se hs
4 c128 k5 e3.7712 x4 se hs
5 c208 k3 e5.5685 s2 se hs
5 c208 k5 e2.84 x2 se hs
5 c208 k5 e4.8754 x3 se hs
5 skip c248
head c1984 e6 hs
"""

DMASKING_L3 = """
stem c24 hs
1 c24 k3 e1
2 c32 k5 e5.4566 s2
2 c32 k5 e1.7912
2 c32 k3 e1.7912
2 c32 k5 e1.7912
3 c48 k5 e5.3501 s2 se
3 c40 k5 e3.5379 se
3 c40 k5 e4.5379 x2 se
4 c72 k5 e5.7133 s2 hs
4 c72 k3 e2.1212 hs
4 skip c72
4 c72 k3 e3.1246 hs
4 c120 k3 e5.0333 hs
4 c120 k5 e2.507 se hs
4 c120 k5 e1.7712 se hs
4 c120 k5 e2.7712 se hs
4 c120 k5 e3.7712 x3 se hs
5 c192 k3 e5.5685 s2 se hs
5 c192 k5 e2.84 x2 se hs
5 c192 k5 e4.8754 x2 se hs
5 skip c240
head c1984 e6 hs
"""


def networks() -> dict[str, Architecture]:
  """The networks by name."""
  f2, l1 = parse(F1, 160), parse(L1, 224)
  searched = {"divisor": 1, "zero_last_gamma": False}
  return {
    "fbnetv2_f0": parse(F0, 224),
    "fbnetv2_f1": dataclasses.replace(f2, resolution=128),
    "fbnetv2_f2": f2,
    "fbnetv2_f3": dataclasses.replace(
      f2, resolution=192, head=dataclasses.replace(f2.head, channels=1984)
    ),
    "fbnetv2_f4": parse(F4, 224),
    "fbnetv2_l1": l1,
    "fbnetv2_l2": dataclasses.replace(l1, resolution=256),
    "fbnetv2_l3": parse(L3, 256),
    "dmasking_f1": parse(F1, 128, **searched),
    "dmasking_f4": _relu(parse(F4, 224, **searched), stages=(1, 2)),
    "dmasking_l2_hs": _relu(parse(L1, 256, **searched), stages=(3,)),
    "dmasking_l3": parse(DMASKING_L3, 288, **searched),
  }


def _relu(architecture: Architecture, stages: tuple[int, ...]) -> Architecture:
  """The architecture with ReLU in some stages."""
  blocks = tuple(
    dataclasses.replace(b, activation="relu") if b.stage in stages else b
    for b in architecture.blocks
  )
  return dataclasses.replace(architecture, blocks=blocks)
