"""Architectures: what a network is made of, as data.

An `Architecture` is a stem, inverted-residual blocks, a head and the rules its
family rounds and pads by. The same dataclasses with open fields (`Follow`) are
the layer table of a search space, so whatever reads one reads the other.

The rules are those of the published networks (mobile-vision's FBNet, FBNetV2
and FBNetV3), fixed by reproducing their published counts:

* mid channels = `divisible(channels_in * expansion, divisor)`;
* squeeze channels = `divisible(int(mid / 4), divisor)`, in FBNetV3
  `divisible(int(mid / 4 / expansion), divisor)`;
* depthwise padding is `kernel // 2` unless a block says otherwise.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from fbnax.base import limits
from fbnax.base.json_values import shown
from fbnax.spaces.exchange import fields, json_object
from fbnax.spaces.widths import divisible

ACTIVATIONS = ("relu", "hswish")
OPS = ("inverted_residual", "skip")
LARGEST = 1_000_000  # Of any number; a typing error must not ask for terabytes.
# What costs memory or time before a network is built, and its largest value.
LIMITS = {
  "resolution": limits.RESOLUTION,
  "input_channels": limits.IMAGE_CHANNELS,
  "channels": limits.CHANNELS,
  "kernel": limits.KERNEL,
  "padding": limits.KERNEL,
  "expansion": limits.EXPANSION,
}


@dataclasses.dataclass(frozen=True)
class Stem:
  """The first convolution, followed by BN and an activation."""

  channels: int
  kernel: int = 3
  stride: int = 2
  activation: str = "hswish"
  bias: bool = True


@dataclasses.dataclass(frozen=True)
class Block:
  """One block of the trunk.

  An `inverted_residual` expands by a 1x1 convolution, convolves each channel
  and projects; a `skip` is the identity, or a 1x1 convolution with BN and ReLU
  where the shape changes. With `groups` above one, both 1x1 convolutions are
  grouped and the channels are shuffled in front of the depthwise one.

  `stage` and the order within it name the block (`stage2.block0`).
  `padding` is the depthwise padding in pixels, None for `kernel // 2`.
  `present` is open in spaces with a searched depth only.
  """

  channels: int
  stage: int
  op: str = "inverted_residual"
  kernel: int = 3
  expansion: float = 1.0
  stride: int = 1
  squeeze_excite: bool = False
  activation: str = "relu"
  groups: int = 1
  padding: int | None = None
  present: bool = True


@dataclasses.dataclass(frozen=True)
class Head:
  """What follows the trunk.

  A 1x1 convolution with BN and activation, with `kernel` above 1 a depthwise
  one with the same, an average pool. With `expansion` 0 the first has
  `channels` and the classifier follows. Otherwise it has
  `divisible(channels_in * expansion, divisor)`, and between pool and classifier
  stands a 1x1 convolution to `channels` with an activation, without BN or bias.
  `bias` is that of the first convolution.
  """

  channels: int
  expansion: float = 6.0
  kernel: int = 1
  activation: str = "hswish"
  bias: bool = False


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A whole network. Hashable; `to_json` and `from_json` exchange it.

  Attributes:
    resolution: height and width of the input image, pixels.
    stem: the first convolution.
    blocks: the trunk.
    head: the end.
    input_channels: channels of the input image.
    divisor: widths between the named ones are rounded to a multiple of it.
    squeeze_from_input: squeeze widths are divided by the expansion (FBNetV3).
    block_bias: the trunk's 1x1 and depthwise convolutions are biased.
    expand_at_one: the expanding convolution exists also where it changes
      nothing in width (timm's fbnetc_100).
    zero_last_gamma: the last BN of a residual block starts at 0.
    bn_epsilon: epsilon of every BN.
  """

  resolution: int
  stem: Stem
  blocks: tuple[Block, ...]
  head: Head
  input_channels: int = 3
  divisor: int = 8
  squeeze_from_input: bool = False
  block_bias: bool = False
  expand_at_one: bool = False
  zero_last_gamma: bool = True
  bn_epsilon: float = 1e-5

  @property
  def block_names(self) -> tuple[str, ...]:
    """`stage<s>.block<i>` for each block, `i` counted within its stage."""
    counts: dict[int, int] = {}
    names = []
    for block in self.blocks:
      index = counts.get(block.stage, 0)
      counts[block.stage] = index + 1
      names.append(f"stage{block.stage}.block{index}")
    return tuple(names)

  def to_json(self) -> str:
    """The architecture as a JSON object in one line."""
    return json.dumps(dataclasses.asdict(self))

  @classmethod
  def from_json(cls, text: str) -> Architecture:
    """Reads what `to_json` wrote.

    Raises:
      ValueError: the text is no JSON object, a key is missing or unknown, or a
        value is outside what a network can be built from; the key is named.
    """
    data = fields(cls, json_object(text, "architecture"), "architecture")
    data["stem"] = Stem(**fields(Stem, data["stem"], "stem"))
    data["head"] = Head(**fields(Head, data["head"], "head"))
    if not isinstance(data["blocks"], list):
      raise ValueError(f"blocks must be a list, found {shown(data['blocks'])}")
    data["blocks"] = tuple(
      Block(**fields(Block, b, f"blocks[{i}]"))
      for i, b in enumerate(data["blocks"])
    )
    architecture = cls(**data)
    validate(architecture)
    return architecture


def out_size(size: int, kernel: int, stride: int, padding: int | None) -> int:
  """Pixels along one side after a convolution; padding None is kernel // 2."""
  if padding is None:
    return -(-size // stride)
  return (size + 2 * padding - kernel) // stride + 1


def validate(architecture: Architecture) -> None:
  """Raises a ValueError that names the first field no network can have."""
  for name in ("resolution", "input_channels", "divisor"):
    _whole(name, getattr(architecture, name), 1)
  for name in (
    "squeeze_from_input",
    "block_bias",
    "expand_at_one",
    "zero_last_gamma",
  ):
    _flag(name, getattr(architecture, name))
  _number("bn_epsilon", architecture.bn_epsilon, 0.0)
  stem, head = architecture.stem, architecture.head
  _whole("stem.channels", stem.channels, 1)
  _whole("stem.stride", stem.stride, 1)
  _kernel("stem.kernel", stem.kernel)
  _member("stem.activation", stem.activation, ACTIVATIONS)
  _flag("stem.bias", stem.bias)
  _whole("head.channels", head.channels, 1)
  _number("head.expansion", head.expansion, 0.0)
  _kernel("head.kernel", head.kernel)
  _member("head.activation", head.activation, ACTIVATIONS)
  _flag("head.bias", head.bias)
  if len(architecture.blocks) > limits.BLOCKS:
    raise ValueError(
      f"blocks has {len(architecture.blocks):,} entries; legal: at most"
      f" {limits.BLOCKS:,}"
    )
  channels = stem.channels
  size = out_size(architecture.resolution, stem.kernel, stem.stride, None)
  for i, block in enumerate(architecture.blocks):
    _whole(f"blocks[{i}].stage", block.stage, 0)
  for name, block in zip(
    architecture.block_names, architecture.blocks, strict=True
  ):
    _whole(f"{name}.channels", block.channels, 1)
    _whole(f"{name}.stride", block.stride, 1)
    _whole(f"{name}.groups", block.groups, 1)
    _member(f"{name}.op", block.op, OPS)
    _member(f"{name}.activation", block.activation, ACTIVATIONS)
    _flag(f"{name}.squeeze_excite", block.squeeze_excite)
    _kernel(f"{name}.kernel", block.kernel)
    _number(f"{name}.expansion", block.expansion, 0.01)
    _require(block.present is True, f"{name}.present", block.present, "true")
    mid = divisible(channels * block.expansion, architecture.divisor)
    for width in (channels, mid, block.channels):
      _require(
        width % block.groups == 0,
        f"{name}.groups",
        block.groups,
        f"a divisor of the widths {channels}, {mid} and {block.channels}",
      )
    if block.padding is not None:
      _whole(f"{name}.padding", block.padding, 0)
    size = out_size(size, block.kernel, block.stride, block.padding)
    _require(size >= 1, name, size, "at least one pixel left of the image")
    channels = block.channels


def _require(holds: bool, where: str, value: Any, legal: str) -> None:
  if not holds:
    raise ValueError(f"{where} is {shown(value)}; legal: {legal}")


def _most(where: str) -> int:
  return LIMITS.get(where.rpartition(".")[2], LARGEST)


def _whole(where: str, value: Any, low: int) -> None:
  _require(
    isinstance(value, int)
    and not isinstance(value, bool)
    and low <= value <= _most(where),
    where,
    value,
    f"an integer from {low} to {_most(where)}",
  )


def _number(where: str, value: Any, low: float) -> None:
  _require(
    isinstance(value, (int, float))
    and not isinstance(value, bool)
    and low <= value <= _most(where),
    where,
    value,
    f"a number from {low} to {_most(where)}",
  )


def _flag(where: str, value: Any) -> None:
  _require(isinstance(value, bool), where, value, "true or false")


def _member(where: str, value: Any, legal: tuple[str, ...]) -> None:
  _require(
    isinstance(value, str) and value in legal, where, value, ", ".join(legal)
  )


def _kernel(where: str, value: Any) -> None:
  _whole(where, value, 1)
  _require(value % 2 == 1, where, value, "an odd integer")
