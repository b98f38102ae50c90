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

from fbnax.spaces.architecture import LARGEST
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
        raise ValueError(f"{name} must be a list, found {data[name]!r}")
      data[name] = tuple(data[name])
    network = cls(**data)
    validate(network)
    return network


def validate(network: ResNet) -> None:
  """Raises a ValueError that names the first field no network can have."""
  for name in ("blocks", "widths"):
    values = getattr(network, name)
    if not values or not all(map(_is_count, values)):
      raise ValueError(
        f"{name} is {values!r}; legal: integers from 1 to {LARGEST}, one a "
        "stage"
      )
  if len(network.blocks) != len(network.widths):
    raise ValueError(
      f"blocks has {len(network.blocks)} stages and widths "
      f"{len(network.widths)}; legal: as many"
    )
  for name in ("stem", "resolution", "input_channels"):
    if not _is_count(getattr(network, name)):
      raise ValueError(
        f"{name} is {getattr(network, name)!r}; legal: an integer from 1 to "
        f"{LARGEST}"
      )
  if not isinstance(network.preactivation, bool):
    raise ValueError(
      f"preactivation is {network.preactivation!r}; legal: true or false"
    )


def _is_count(value: object) -> bool:
  whole = isinstance(value, int) and not isinstance(value, bool)
  return whole and 1 <= value <= LARGEST  # type: ignore[operator]


# The published ones, and one that two CPU cores train in minutes.
NAMED = {
  "resnet18": ResNet((2, 2, 2, 2), (64, 128, 256, 512), 64),
  "wideresnet28_10": ResNet((4, 4, 4), (160, 320, 640), 16, preactivation=True),
  "resnet8": ResNet((1, 1, 1), (16, 32, 64), 16),
}
