"""The FBNet space: 22 layers, each one of nine types of blocks.

Kernels of 3 and 5 with the expansions 1, 1 in two groups, 3 and 6, and a skip;
widths are fixed (Wu et al. 2019; section 2 of the review). The types stand in
the order of the published latency tables, so a row of those is a genotype. The
rules are V1's: nothing is rounded, every convolution is biased, ReLU.

FBNet-B and C are points of `fbnet`. FBNet-A ends in a last convolution of 1504
channels instead of 1984 and is a point of the same space with that head,
`space(head_channels=1504)`.

`fbnet_cifar` has the geometry of the latency tables of HW-NAS-Bench: images of
32 pixels, no stride in the stem and the second stage, a last convolution of
1504 channels.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture, Head, Stem
from fbnax.spaces.searched import SKIP, Row, Types, layers
from fbnax.spaces.space import SearchSpace

TYPES: Types = {
  f"k{kernel}_e{expansion}" + (f"_g{groups}" if groups > 1 else ""): {
    "kernel": kernel,
    "expansion": float(expansion),
    "groups": groups,
  }
  for kernel in (3, 5)
  for expansion, groups in ((1, 1), (1, 2), (3, 1), (6, 1))
} | {"skip": SKIP}

# Stage as the published networks number them, channels, layers, and the stride
# of the first layer at 224 and at 32 pixels.
ROWS = (
  (1, 16, 1, 1, 1),
  (2, 24, 4, 2, 1),
  (3, 32, 4, 2, 2),
  (4, 64, 4, 2, 2),
  (4, 112, 4, 1, 1),
  (5, 184, 4, 2, 2),
  (5, 352, 1, 1, 1),
)


def space(head_channels: int = 1984) -> SearchSpace:
  """The space for images of 224 pixels.

  Args:
    head_channels: of the last convolution.
  """
  strides = tuple(stride for *_, stride, _ in ROWS)
  return _space("fbnet", 224, 2, strides, head_channels)


def cifar_space() -> SearchSpace:
  """The space for images of 32 pixels."""
  strides = tuple(stride for *_, stride in ROWS)
  return _space("fbnet_cifar", 32, 1, strides, 1504)


def _space(
  name: str,
  resolution: int,
  stem_stride: int,
  strides: tuple[int, ...],
  head_channels: int,
) -> SearchSpace:
  rows = [
    Row(stage, None, channels, count, stride)
    for (stage, channels, count, *_), stride in zip(ROWS, strides, strict=True)
  ]
  decisions, blocks = layers(rows, TYPES)
  return SearchSpace(
    name=name,
    decisions=decisions,
    table=Architecture(
      resolution=resolution,
      stem=Stem(channels=16, stride=stem_stride, activation="relu"),
      blocks=blocks,
      head=Head(
        channels=head_channels, expansion=0.0, activation="relu", bias=True
      ),
      divisor=1,
      block_bias=True,
      zero_last_gamma=False,
    ),
  )
