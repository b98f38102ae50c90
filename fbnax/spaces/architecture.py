"""Architectures: what a network is made of, as data.

An `Architecture` is a stem, inverted-residual blocks, a head and the rules its
family rounds and pads by. The same dataclasses with open fields (`Follow`) are
the layer table of a search space, so whatever reads one reads the other.

The rules are those of the published networks (mobile-vision's FBNet, FBNetV2
and FBNetV3), fixed by reproducing their published counts:

* mid channels = `divisible(channels_in * expansion, divisor)`;
* squeeze channels = `divisible(int(mid / 4), divisor)`, in FBNetV3
  `divisible(int(mid / 4 / expansion), divisor)`;
* padding is `kernel // 2` unless the network or a block says otherwise.

Other families differ in these rules, so an architecture names its own, and a
block those of its squeeze-excite. A field that came to be after architectures
were first written is left out of JSON where it has its default.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from fbnax.base import limits
from fbnax.base.json_values import shown
from fbnax.spaces import kinds
from fbnax.spaces.activations import ACTIVATIONS, GATES
from fbnax.spaces.exchange import fields, json_object
from fbnax.spaces.kinds import OPS

PADDINGS = ("symmetric", "same")
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


def _later(default: Any) -> Any:
  """A field that JSON has only where it differs from its default."""
  return dataclasses.field(default=default, metadata={"later": True})


@dataclasses.dataclass(frozen=True)
class Stem:
  """The first convolution, followed by BN, if `norm`, and an activation."""

  channels: int
  kernel: int = 3
  stride: int = 2
  activation: str = "hswish"
  bias: bool = True
  norm: bool = _later(True)


@dataclasses.dataclass(frozen=True)
class Block:
  """One block of the trunk; `op` is one of `fbnax.spaces.kinds`.

  An `inverted_residual` expands by a 1x1 convolution, convolves each channel
  and projects; a `skip` is the identity, or a 1x1 convolution with BN and ReLU
  where the shape changes; a `fused_mbconv` expands by a k x k convolution and
  projects. With `groups` above one, both 1x1 convolutions are grouped and the
  channels are shuffled in front of the depthwise one.

  Attributes:
    channels: of the output.
    stage: with the order within it, it names the block (`stage2.block0`).
    op: the kind of block.
    kernel: side of the k x k convolution, pixels.
    expansion: of the input's channels to the mid channels.
    stride: pixels.
    squeeze_excite: whether there is one.
    activation: its name.
    groups: of both 1x1 convolutions.
    padding: of the k x k convolution, pixels on each side; None for the
      network's rule.
    present: open in spaces with a searched depth only.
    residual: whether the input is added to the output; None where stride and
      channels let it.
    expand: whether there is an expanding 1x1 convolution; None where it changes
      the width, or the network says so. Where it is false the mid channels are
      the input's.
    gate: of squeeze-excite, its name.
    squeeze_activation: within squeeze-excite; None for the block's.
    squeeze_divisor: what squeeze widths are rounded to a multiple of; None for
      the network's.
    squeeze_from_input: squeeze widths are divided by the expansion; None for
      the network's rule.
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
  residual: bool | None = _later(None)
  expand: bool | None = _later(None)
  gate: str = _later("hard_sigmoid")
  squeeze_activation: str | None = _later(None)
  squeeze_divisor: int | None = _later(None)
  squeeze_from_input: bool | None = _later(None)


@dataclasses.dataclass(frozen=True)
class Head:
  """What follows the trunk.

  A 1x1 convolution with BN and activation, with `kernel` above 1 a depthwise
  one with the same, an average pool. With `expansion` 0 the first has
  `channels` and the classifier follows. Otherwise it has
  `divisible(channels_in * expansion, divisor)`, and between pool and classifier
  stands a 1x1 convolution to `channels` with an activation, without BN, and
  biased if `project_bias`. `bias` is that of the first convolution, `norm` its
  BN. Without `expand` there is no first convolution, and the trunk's channels
  are pooled; with `expansion` 0 they are `channels`.
  """

  channels: int
  expansion: float = 6.0
  kernel: int = 1
  activation: str = "hswish"
  bias: bool = False
  norm: bool = _later(True)
  expand: bool = _later(True)
  project_bias: bool = _later(False)


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
    padding: of k x k convolutions: "symmetric" is `kernel // 2` on each side;
      "same" as little as gives the same size, the odd pixel at the end
      (TensorFlow's networks, which differ from the others at stride 2).
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
  padding: str = _later("symmetric")

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
    return json.dumps(_written(self))

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


def _written(item: Any) -> Any:
  """Nested dataclasses as JSON has them."""
  if isinstance(item, tuple):
    return [_written(i) for i in item]
  if not dataclasses.is_dataclass(item):
    return item
  values = ((f, getattr(item, f.name)) for f in dataclasses.fields(item))
  return {
    f.name: _written(value)
    for f, value in values
    if not ("later" in f.metadata and value == f.default)
  }


def out_size(size: int, kernel: int, stride: int, padding: int | None) -> int:
  """Pixels along one side after a convolution; padding None is a rule's."""
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
  _flag("stem.norm", stem.norm)
  _whole("head.channels", head.channels, 1)
  _number("head.expansion", head.expansion, 0.0)
  _kernel("head.kernel", head.kernel)
  _member("head.activation", head.activation, ACTIVATIONS)
  for name in ("bias", "norm", "expand", "project_bias"):
    _flag(f"head.{name}", getattr(head, name))
  _member("padding", architecture.padding, PADDINGS)
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
    _choices(name, block)
    mid = kinds.mid_channels(architecture, block)(channels, block.expansion)
    for width in (channels, mid, block.channels):
      _require(
        width % block.groups == 0,
        f"{name}.groups",
        block.groups,
        f"a divisor of the widths {channels}, {mid} and {block.channels}",
      )
    if block.padding is not None:
      _whole(f"{name}.padding", block.padding, 0)
    if block.residual:
      _require(
        bool(kinds.adds_input(block)(channels, block.channels)),
        f"{name}.residual",
        block.residual,
        f"false or null from {channels} to {block.channels} channels with"
        f" stride {block.stride}",
      )
    size = out_size(size, block.kernel, block.stride, block.padding)
    _require(size >= 1, name, size, "at least one pixel left of the image")
    channels = block.channels
  _require(
    head.expand or bool(head.expansion) or head.channels == channels,
    "head.channels",
    head.channels,
    f"{channels}, the trunk's, where head.expand is false and expansion 0",
  )


def _choices(name: str, block: Block) -> None:
  """Checks what a block says for itself."""
  for field in ("residual", "expand", "squeeze_from_input"):
    if getattr(block, field) is not None:
      _flag(f"{name}.{field}", getattr(block, field))
  _member(f"{name}.gate", block.gate, GATES)
  if block.squeeze_activation is not None:
    _member(f"{name}.squeeze_activation", block.squeeze_activation, ACTIVATIONS)
  if block.squeeze_divisor is not None:
    _whole(f"{name}.squeeze_divisor", block.squeeze_divisor, 1)
  if block.expand is False:
    _require(
      block.expansion == 1,
      f"{name}.expansion",
      block.expansion,
      "1 where expand is false",
    )
  if not kinds.KINDS[block.op].passes:
    for field in kinds.KINDS[block.op].ignores:
      default = getattr(_PLAIN, field)
      _require(
        getattr(block, field) == default,
        f"{name}.{field}",
        getattr(block, field),
        f"{json.dumps(default)} in a {block.op}",
      )


_PLAIN = Block(channels=1, stage=0)


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
