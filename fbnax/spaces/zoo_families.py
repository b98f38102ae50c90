"""timm's networks of inverted residuals: MobileNets, MNASNets, EfficientNets.

A row of blocks is (expansion, channels, blocks, stride, kernel), and where a
family's blocks differ in more, what else its blocks have. Facts were read off
the programs' definitions. What the families have in common: no biases in front
of BN, no gamma that starts at 0, symmetric padding and a BN epsilon of 1e-5;
the versions whose names have `tf_` pad as TensorFlow does and have 1e-3.

Sources: Sandler et al. 2018 (MobileNetV2), Howard et al. 2019 (MobileNetV3),
Tan et al. 2019 (MnasNet), Tan & Le 2019 (EfficientNet, Table 1).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from fbnax.spaces.architecture import Architecture, Block, Head, Stem

# Expansion, channels, blocks, stride, kernel, and other fields of the blocks.
FamilyRow = tuple[float, int, int, int, int, Mapping[str, Any]]

_NONE: Mapping[str, Any] = {}
_RELU: Mapping[str, Any] = {"activation": "relu"}
# EfficientNets squeeze a quarter of the input's channels; timm rounds it, which
# for their multiples of 8 changes nothing.
_FROM_INPUT: Mapping[str, Any] = {
  "squeeze_excite": True,
  "squeeze_divisor": 1,
  "squeeze_from_input": True,
  "gate": "sigmoid",
}
_FROM_MID: Mapping[str, Any] = {
  "squeeze_excite": True,
  "squeeze_activation": "relu",
}
_FROM_MID_RELU: Mapping[str, Any] = {**_FROM_MID, **_RELU}

MOBILENETV2: tuple[FamilyRow, ...] = (
  (1, 16, 1, 1, 3, _NONE),
  (6, 24, 2, 2, 3, _NONE),
  (6, 32, 3, 2, 3, _NONE),
  (6, 64, 4, 2, 3, _NONE),
  (6, 96, 3, 1, 3, _NONE),
  (6, 160, 3, 2, 3, _NONE),
  (6, 320, 1, 1, 3, _NONE),
)
EFFICIENTNET: tuple[FamilyRow, ...] = (
  (1, 16, 1, 1, 3, _NONE),
  (6, 24, 2, 2, 3, _NONE),
  (6, 40, 2, 2, 5, _NONE),
  (6, 80, 3, 2, 3, _NONE),
  (6, 112, 3, 1, 5, _NONE),
  (6, 192, 4, 2, 5, _NONE),
  (6, 320, 1, 1, 3, _NONE),
)
MNASNET_B1: tuple[FamilyRow, ...] = (
  (1, 16, 1, 1, 3, _NONE),
  (3, 24, 3, 2, 3, _NONE),
  (3, 40, 3, 2, 5, _NONE),
  (6, 80, 3, 2, 5, _NONE),
  (6, 96, 2, 1, 3, _NONE),
  (6, 192, 4, 2, 5, _NONE),
  (6, 320, 1, 1, 3, _NONE),
)
MNASNET_A1: tuple[FamilyRow, ...] = (
  (1, 16, 1, 1, 3, _NONE),
  (6, 24, 2, 2, 3, _NONE),
  (3, 40, 3, 2, 5, _FROM_INPUT),
  (6, 80, 4, 2, 3, _NONE),
  (6, 112, 2, 1, 3, _FROM_INPUT),
  (6, 160, 3, 2, 5, _FROM_INPUT),
  (6, 320, 1, 1, 3, _NONE),
)
MOBILENETV3_LARGE: tuple[FamilyRow, ...] = (
  (1, 16, 1, 1, 3, _RELU),
  (4, 24, 1, 2, 3, _RELU),
  (3, 24, 1, 1, 3, _RELU),
  (3, 40, 3, 2, 5, _FROM_MID_RELU),
  (6, 80, 1, 2, 3, _NONE),
  (2.5, 80, 1, 1, 3, _NONE),
  (2.3, 80, 2, 1, 3, _NONE),
  (6, 112, 2, 1, 3, _FROM_MID),
  (6, 160, 3, 2, 5, _FROM_MID),
)
MOBILENETV3_SMALL: tuple[FamilyRow, ...] = (
  (1, 16, 1, 2, 3, _FROM_MID_RELU),
  (4.5, 24, 1, 2, 3, _RELU),
  (3.67, 24, 1, 1, 3, _RELU),
  (4, 40, 1, 2, 5, _FROM_MID),
  (6, 40, 2, 1, 5, _FROM_MID),
  (3, 48, 2, 1, 5, _FROM_MID),
  (6, 96, 3, 2, 5, _FROM_MID),
)

# Factors of width and depth, and pixels.
EFFICIENTNETS = {
  "b0": (1.0, 1.0, 224),
  "b1": (1.0, 1.1, 240),
  "b2": (1.1, 1.2, 260),
  "b3": (1.2, 1.4, 300),
  "b4": (1.4, 1.8, 380),
}
LITES = {
  "lite0": (1.0, 1.0, 224),
  "lite1": (1.0, 1.1, 240),
  "lite2": (1.1, 1.2, 260),
  "lite3": (1.2, 1.4, 300),
  "lite4": (1.4, 1.8, 380),
}


def networks() -> dict[str, Architecture]:
  """The networks by name, at the resolution they are evaluated at."""
  family = {
    "mobilenetv2_100": _network(MOBILENETV2, "relu6"),
    "mobilenetv2_140": _network(MOBILENETV2, "relu6", width=1.4),
    "mnasnet_100": _network(MNASNET_B1, "relu"),
    "semnasnet_100": _network(MNASNET_A1, "relu"),
  }
  for name, rows, channels in (
    ("mobilenetv3_large_100", MOBILENETV3_LARGE, 1280),
    ("mobilenetv3_small_100", MOBILENETV3_SMALL, 1024),
  ):
    head = Head(channels, expansion=6.0, project_bias=True)
    family[name] = _network(rows, "hswish", stem=16, head=head)
    family[f"tf_{name}"] = _tensorflow(family[name])
  squeezed: tuple[FamilyRow, ...] = tuple(
    (*row[:5], _FROM_INPUT) for row in EFFICIENTNET
  )
  for letters, (width, depth, side) in EFFICIENTNETS.items():
    network = _network(
      squeezed, "silu", width=width, depth=depth, resolution=side
    )
    family[f"efficientnet_{letters}"] = network
    family[f"tf_efficientnet_{letters}"] = _tensorflow(network)
  for letters, (width, depth, side) in LITES.items():
    # Stem, head, and the depth of the first and the last row are not scaled.
    network = _network(
      EFFICIENTNET,
      "relu6",
      width=width,
      depth=depth,
      resolution=side,
      head=Head(1280, expansion=0.0, activation="relu6"),
      is_lite=True,
    )
    family[f"efficientnet_{letters}"] = network
    family[f"tf_efficientnet_{letters}"] = _tensorflow(network)
  return {f"timm_{name}": network for name, network in family.items()}


def _tensorflow(network: Architecture) -> Architecture:
  """The same with TensorFlow's padding and BN epsilon."""
  return dataclasses.replace(network, padding="same", bn_epsilon=1e-3)


def _network(
  rows: tuple[FamilyRow, ...],
  activation: str,
  *,
  width: float = 1.0,
  depth: float = 1.0,
  resolution: int = 224,
  stem: int = 32,
  head: Head | None = None,
  is_lite: bool = False,
) -> Architecture:
  blocks = []
  for index, (expansion, channels, count, stride, kernel, rest) in enumerate(
    rows
  ):
    if not (is_lite and index in (0, len(rows) - 1)):
      count = math.ceil(count * depth)
    for place in range(count):
      fields = {"activation": activation, **rest}
      blocks.append(
        Block(
          channels=_rounded(channels * width),
          stage=index + 1,
          kernel=kernel,
          expansion=expansion,
          stride=stride if place == 0 else 1,
          **fields,
        )
      )
  if head is None:
    channels = max(1280, _rounded(1280 * width))
    head = Head(channels, expansion=0.0, activation=activation)
  return Architecture(
    resolution=resolution,
    stem=Stem(
      channels=stem if is_lite else _rounded(stem * width),
      activation=activation,
      bias=False,
    ),
    blocks=tuple(blocks),
    head=head,
    zero_last_gamma=False,
  )


def _rounded(channels: float) -> int:
  """To the nearest multiple of 8, but not under 90%."""
  nearest = max(8, int(channels + 4) // 8 * 8)
  return nearest + 8 if nearest < 0.9 * channels else nearest
