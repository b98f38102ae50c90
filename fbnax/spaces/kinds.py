"""The kinds of blocks, as data: the layers that each has and what it is called.

An entry of `KINDS` is all that the house asks of a kind. Models, costs,
folding, files of weights and drawings go through its layers, and the functions
below say how wide each of these is and whether it is there, under which rules
of the network. They are generic over the number type, as the readers of open
fields are (see `fbnax.spaces.follow`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fbnax.spaces.widths import mid_width, squeeze_width

if TYPE_CHECKING:
  from fbnax.spaces.architecture import Architecture, Block


@dataclasses.dataclass(frozen=True)
class BlockLayer:
  """A convolution with its BN, or squeeze-excite.

  Attributes:
    name: of its weights.
    op: "conv", "depthwise" or "squeeze_excite".
    c_in: "in", "mid" or "out".
    c_out: likewise.
    when: it exists "always"; where the block "expands"; where it "reshapes",
      that is where the output's shape is not the input's; or where the block
      has "squeeze_excite".
    kernel: it has the block's kernel and padding; else it is 1x1.
    stride: it has the block's stride.
    groups: it has the block's groups.
    shuffles: the channels of the block's groups are shuffled in front of it.
    activation: "block" for the block's; or the name of one; None for none.
    names: what other programs call it, by the layout of their files (see
      `fbnax.models.weight_names`); two names are that in a block which
      expands, and that in one which does not.
  """

  name: str
  op: str = "conv"
  c_in: str = "mid"
  c_out: str = "mid"
  when: str = "always"
  kernel: bool = False
  stride: bool = False
  groups: bool = False
  shuffles: bool = False
  activation: str | None = None
  names: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class BlockKind:
  """A kind of block.

  Attributes:
    label: what pictures and tables call it.
    layers: in call order.
    ignores: fields of a `Block` that mean nothing to it.
    passes: it has no residual, but where the shape is kept none of its layers
      exists and its input is its output.
    stacks: it may be a type of a layer whose type is searched.
    legend: what a drawing says of it; "" for nothing.
    outline: colour of its outline in a drawing; "" for none.
  """

  label: str
  layers: tuple[BlockLayer, ...]
  ignores: tuple[str, ...] = ()
  passes: bool = False
  stacks: bool = False
  legend: str = ""
  outline: str = ""


_SQUEEZE_EXCITE = BlockLayer(
  "squeeze_excite",
  "squeeze_excite",
  when="squeeze_excite",
  names={
    "timm": ("se.conv_reduce", "se.conv_expand"),
    "official": ("se.se.0.conv", "se.se.1"),
    "lukemelas": ("_se_reduce", "_se_expand"),
  },
)

KINDS: dict[str, BlockKind] = {
  "inverted_residual": BlockKind(
    label="inverted residual",
    layers=(
      BlockLayer(
        "expand",
        c_in="in",
        when="expands",
        groups=True,
        activation="block",
        names={
          "timm": ("conv_pw",),
          "official": ("pw",),
          "lukemelas": ("_expand_conv",),
        },
      ),
      BlockLayer(
        "depthwise",
        "depthwise",
        kernel=True,
        stride=True,
        shuffles=True,
        activation="block",
        names={
          "timm": ("conv_dw",),
          "official": ("dw",),
          "lukemelas": ("_depthwise_conv",),
        },
      ),
      _SQUEEZE_EXCITE,
      BlockLayer(
        "project",
        c_out="out",
        groups=True,
        names={
          "timm": ("conv_pwl", "conv_pw"),
          "official": ("pwl",),
          "lukemelas": ("_project_conv",),
        },
      ),
    ),
    stacks=True,
  ),
  "skip": BlockKind(
    label="skip",
    layers=(
      BlockLayer(
        "skip",
        c_in="in",
        c_out="out",
        when="reshapes",
        stride=True,
        activation="relu",
        names={"timm": ("conv",), "official": ("conv",)},
      ),
    ),
    ignores=(
      "kernel",
      "expansion",
      "squeeze_excite",
      "activation",
      "groups",
      "padding",
      "residual",
      "expand",
      "gate",
      "squeeze_activation",
      "squeeze_divisor",
      "squeeze_from_input",
    ),
    passes=True,
    stacks=True,
    legend="skip (identity, or 1×1 where the width changes)",
  ),
  "fused_mbconv": BlockKind(
    label="fused mbconv",
    layers=(
      BlockLayer(
        "expand",
        c_in="in",
        kernel=True,
        stride=True,
        activation="block",
        names={"timm": ("conv_exp",)},
      ),
      _SQUEEZE_EXCITE,
      BlockLayer("project", c_out="out", names={"timm": ("conv_pwl",)}),
    ),
    ignores=("groups", "expand"),
    legend="fused MBConv (its expansion is the k×k convolution)",
    outline="#1f2937",
  ),
}
OPS = tuple(KINDS)
STACKED = tuple(name for name, kind in KINDS.items() if kind.stacks)

# A function of some fields, and the fields, which may be open.
Rule = tuple[Callable[..., Any], tuple[Any, ...]]


def mid_channels(table: Architecture, block: Block) -> Callable[..., Any]:
  """Mid channels from the channels of the input and the expansion."""
  if block.expand is False:
    return lambda c, x: c * 1
  return lambda c, x: mid_width(c, x, table.divisor)


def squeeze_channels(table: Architecture, block: Block) -> Callable[..., Any]:
  """Channels of the squeeze from those of the input and the expansion."""
  divisor, from_input = block.squeeze_divisor, block.squeeze_from_input
  if divisor is None:
    divisor = table.divisor
  if from_input is None:
    from_input = table.squeeze_from_input
  mid = mid_channels(table, block)
  return lambda c, x: squeeze_width(mid(c, x), x, divisor, from_input)


def expands(table: Architecture, block: Block) -> Callable[..., Any]:
  """Whether there is an expanding convolution, from input and expansion."""
  expand = block.expand
  if expand is None and table.expand_at_one:
    expand = True
  if expand is not None:
    return lambda c, x: expand
  return lambda c, x: mid_width(c, x, table.divisor) != c


def adds_input(block: Block) -> Callable[..., Any]:
  """Whether there is a residual, from the channels of input and output.

  Of a searched layer, too, whose skips pass their input on as a residual.
  """
  if block.residual is False or block.stride != 1:
    return lambda c_in, c_out: False
  return lambda c_in, c_out: c_in == c_out


def width(
  layer_width: str, table: Architecture, block: Block, c_in: Any
) -> Rule:
  """How many channels a layer's "in", "mid" or "out" are."""
  if layer_width == "mid":
    return mid_channels(table, block), (c_in, block.expansion)
  return lambda c: c * 1, (c_in if layer_width == "in" else block.channels,)


def existence(
  layer: BlockLayer, table: Architecture, block: Block, c_in: Any
) -> Rule:
  """Whether a layer exists."""
  if layer.when == "expands":
    return expands(table, block), (c_in, block.expansion)
  if layer.when == "squeeze_excite":
    return lambda squeezes: squeezes * 1, (block.squeeze_excite,)
  if layer.when == "reshapes":
    if block.stride != 1:
      return lambda c_in, c_out: True, (c_in, block.channels)
    return lambda c_in, c_out: c_in != c_out, (c_in, block.channels)
  return lambda: True, ()


def layers(
  table: Architecture, block: Block, c_in: int
) -> tuple[BlockLayer, ...]:
  """The layers of a block without open fields that are there."""

  def exists(layer: BlockLayer) -> bool:
    holds, fields = existence(layer, table, block, c_in)
    return bool(holds(*fields))

  return tuple(filter(exists, KINDS[block.op].layers))


def activation(layer: BlockLayer, block: Block) -> str | None:
  """The name of a layer's activation."""
  return block.activation if layer.activation == "block" else layer.activation


def head_width(table: Architecture, c_in: Any) -> Rule:
  """How many channels are pooled."""
  head = table.head
  if not head.expand:
    return lambda c: c * 1, (c_in,)
  if head.expansion:
    return lambda c: mid_width(c, head.expansion, table.divisor), (c_in,)
  return lambda c: c * 1, (head.channels,)


def padding(table: Architecture, block: Block) -> int | str:
  """The padding of a block's k x k convolution."""
  return table.padding if block.padding is None else block.padding


def means(op: str, field: str) -> bool:
  """Whether a field of a `Block` means something to its kind."""
  return field not in KINDS[op].ignores
