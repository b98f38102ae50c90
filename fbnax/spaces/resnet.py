"""Residual networks for small images, as data: ResNet-18, WideResNet-28-10.

He et al. 2016 ("Deep Residual Learning for Image Recognition") in the form that
is usual for CIFAR: a 3x3 convolution at stride 1 in front, no pooling there;
Zagoruyko and Komodakis 2016 ("Wide Residual Networks"), whose blocks begin with
BN and activation. They are the backbones of chapter 5 of Wan 2022. No point of
a search space: baselines, and classifiers to be explained.
"""

from __future__ import annotations

import dataclasses
import json

from fbnax.base import limits
from fbnax.base.json_values import shown
from fbnax.spaces.exchange import kind_fields

KIND = "resnet"


@dataclasses.dataclass(frozen=True)
class ResNet:
  """A residual network. Hashable; `to_json` and `from_json` exchange it.

  A block is two 3x3 convolutions. The first one of every stage but the first
  has stride 2; a block that changes the shape has a 1x1 convolution beside it.

  Attributes:
    blocks: number of blocks of each stage.
    widths: channels of each stage.
    stem: channels of the first convolution.
    preactivation: BN and ReLU stand in front of each convolution and not after
      it, the 1x1 convolutions have no BN, and one more BN is in front of the
      pool.
    resolution: height and width of the input image, pixels.
    input_channels: channels of the input image.
  """

  blocks: tuple[int, ...]
  widths: tuple[int, ...]
  stem: int
  preactivation: bool = False
  resolution: int = 32
  input_channels: int = 3

  def to_json(self) -> str:
    """The network as a JSON object in one line; `kind` says what it is."""
    return json.dumps({"kind": KIND} | dataclasses.asdict(self))

  @classmethod
  def from_json(cls, text: str) -> ResNet:
    """Reads what `to_json` wrote.

    Raises:
      ValueError: the text is no JSON object of that kind, a key is missing or
        unknown, or a value is outside what a network can be built from; the
        key is named.
    """
    data = kind_fields(cls, text, "residual network", KIND)
    for name in ("blocks", "widths"):
      if not isinstance(data[name], list):
        raise ValueError(f"{name} must be a list, found {shown(data[name])}")
      data[name] = tuple(data[name])
    network = cls(**data)
    validate(network)
    return network


def validate(network: ResNet) -> None:
  """Raises a ValueError that names the first field no network can have."""
  for name, most in (("blocks", limits.BLOCKS), ("widths", limits.CHANNELS)):
    values = getattr(network, name)
    if not values or not all(_is_count(value, most) for value in values):
      raise ValueError(
        f"{name} is {shown(values)}; legal: integers from 1 to {most}, one a "
        "stage"
      )
  if sum(network.blocks) > limits.BLOCKS:
    raise ValueError(
      f"blocks has {sum(network.blocks):,} in all; legal: at most"
      f" {limits.BLOCKS:,}"
    )
  if len(network.blocks) != len(network.widths):
    raise ValueError(
      f"blocks has {len(network.blocks)} stages and widths "
      f"{len(network.widths)}; legal: as many"
    )
  for name, most in (
    ("stem", limits.CHANNELS),
    ("resolution", limits.RESOLUTION),
    ("input_channels", limits.IMAGE_CHANNELS),
  ):
    value = getattr(network, name)
    if not _is_count(value, most):
      raise ValueError(
        f"{name} is {shown(value)}; legal: an integer from 1 to {most}"
      )
  if not isinstance(network.preactivation, bool):
    raise ValueError(
      f"preactivation is {shown(network.preactivation)}; legal: true or false"
    )


def _is_count(value: object, most: int) -> bool:
  whole = isinstance(value, int) and not isinstance(value, bool)
  return whole and 1 <= value <= most  # type: ignore[operator]


# The published ones, and one that two CPU cores train in minutes.
NAMED = {
  "resnet18": ResNet((2, 2, 2, 2), (64, 128, 256, 512), 64),
  "wideresnet28_10": ResNet((4, 4, 4), (160, 320, 640), 16, preactivation=True),
  "resnet8": ResNet((1, 1, 1), (16, 32, 64), 16),
}
