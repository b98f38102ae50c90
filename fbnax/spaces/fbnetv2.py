"""The FBNetV2 spaces of DMaskingNAS: Tables 3.3 and 3.7 to 3.9 of Wan 2022.

Every layer chooses its type (kernel 3 or 5, ReLU or hard swish, with or
without squeeze-excite, or a skip), its output channels and its expansion, and
the network one resolution. Triples are lowest, highest and step, as printed.
Rows that the published networks give one stage number have one here.

Decided where the tables are silent:

* They name the largest resolution only. F has the four of the published
  networks F1 to F4. L and P have four in the same steps of 32 up to theirs,
  256 and 288; every side divides by the total stride, 32.
* Table 3.9 prints a stem of 32 filters, but 16 channels into the row after it,
  as the other two tables have in both places. The stem has 16.
* Stem and head have hard swish, the stem a bias, as the published networks do.
* Output channels are taken as they are; mid and squeeze widths are rounded to
  multiples of 8.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture, Head, Stem
from fbnax.spaces.searched import SKIP, Range, Row, Types, layers
from fbnax.spaces.space import Decision, SearchSpace, follow

TYPES: Types = {
  f"k{kernel}"
  + ("_se" if squeeze_excite else "")
  + ("_hs" if activation == "hswish" else ""): {
    "kernel": kernel,
    "squeeze_excite": squeeze_excite,
    "activation": activation,
  }
  for squeeze_excite in (False, True)
  for activation in ("relu", "hswish")
  for kernel in (3, 5)
} | {"skip": SKIP}

NARROW: Range = (0.75, 3.25, 0.5)
MIDDLE: Range = (0.75, 3.75, 0.5)
WIDE: Range = (0.75, 4.5, 0.75)

F = (
  Row(1, 1.0, (12, 16, 4)),
  Row(2, WIDE, (16, 24, 4), 1, 2),
  Row(2, WIDE, (16, 24, 4), 2),
  Row(3, WIDE, (16, 40, 8), 1, 2),
  Row(3, WIDE, (16, 40, 8), 2),
  Row(4, WIDE, (48, 80, 8), 1, 2),
  Row(4, WIDE, (48, 80, 8), 2),
  Row(4, WIDE, (72, 112, 8), 3),
  Row(5, WIDE, (112, 184, 8), 1, 2),
  Row(5, WIDE, (112, 184, 8), 3),
)

L = (
  Row(1, 1.0, (12, 16, 4)),
  Row(2, NARROW, (16, 28, 4), 1, 2),
  Row(2, NARROW, (16, 28, 4), 2),
  Row(3, NARROW, (16, 40, 8), 1, 2),
  Row(3, NARROW, (16, 40, 8), 2),
  Row(4, MIDDLE, (48, 96, 8), 1, 2),
  Row(4, MIDDLE, (48, 96, 8), 2),
  Row(4, WIDE, (72, 128, 8), 4),
  Row(5, WIDE, (112, 216, 8), 1, 2),
  Row(5, WIDE, (112, 216, 8), 3),
)

P = (
  Row(1, 1.0, (16, 28, 4)),
  Row(2, WIDE, (16, 40, 4), 1, 2),
  Row(2, WIDE, (16, 40, 4), 2),
  Row(3, WIDE, (16, 48, 8), 1, 2),
  Row(3, WIDE, (16, 48, 8), 2),
  Row(4, WIDE, (48, 96, 8), 1, 2),
  Row(4, WIDE, (48, 96, 8), 2),
  Row(4, WIDE, (72, 128, 8), 4),
  Row(5, WIDE, (112, 216, 8), 1, 2),
  Row(5, WIDE, (112, 216, 8), 3),
  Row(5, WIDE, (112, 216, 8), 1),
)


def f_space() -> SearchSpace:
  """Table 3.8, for few multiply-accumulates."""
  return masked_space("fbnetv2_f", F, (128, 160, 192, 224), head_channels=1984)


def l_space() -> SearchSpace:
  """Table 3.7, for large networks."""
  return masked_space("fbnetv2_l", L, (160, 192, 224, 256), head_channels=1984)


def p_space() -> SearchSpace:
  """Table 3.9, for few parameters."""
  return masked_space("fbnetv2_p", P, (192, 224, 256, 288), head_channels=1280)


def masked_space(
  name: str,
  rows: tuple[Row, ...],
  resolutions: tuple[int, ...],
  *,
  head_channels: int,
  types: Types = TYPES,
  stem_stride: int = 2,
) -> SearchSpace:
  """A space of FBNetV2's kinds of decisions.

  Args:
    name: of the space.
    rows: the searched layers.
    resolutions: what the network chooses from, pixels, ascending; each divides
      by the product of all strides.
    head_channels: of the last convolution.
    types: the fields of each type of block.
    stem_stride: of the stem, pixels.

  Raises:
    ValueError: a range, an expansion or a resolution is not legal.
  """
  resolution = Decision("resolution", resolutions)
  decisions, blocks = layers(rows, types)
  return SearchSpace(
    name=name,
    decisions=(resolution, *decisions),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=16, stride=stem_stride),
      blocks=blocks,
      head=Head(channels=head_channels, expansion=0.0),
    ),
  )
