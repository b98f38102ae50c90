"""Inverted residuals of one slot, stacked: what a stack is and its weights.

A slot of the trunk whose type is searched holds alternatives. Those with the
same expansion and groups form a `Stack`: their weights are stacked on a leading
axis, so that each step of all of them is one batched product or one pass, and
one program however many there are (see `fbnax.models.stacked`). All numbers of
channels and expansions share each alternative's weights by masks (equation 3.3
of Wan 2022).

Weights of a stack are those of the blocks of a `Network`, stacked over the
alternatives by ascending kernel; the depthwise kernels of each size and
squeeze-excite are stacked over the alternatives that have them.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `M` mid channels,
`O` output channels, `T` alternatives of a stack.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fbnax.models.initial import draw
from fbnax.models.layers import used
from fbnax.spaces.architecture import Block
from fbnax.spaces.follow import Follow
from fbnax.spaces.tables import alternatives


@dataclasses.dataclass(frozen=True)
class Stack:
  """Alternatives of a slot with the same expansion and groups.

  Attributes:
    name: of its weights in the slot's module.
    places: `[T]`, place of each among the slot's alternatives.
    blocks: `[T]`, ascending by kernel.
  """

  name: str
  places: tuple[int, ...]
  blocks: tuple[Block, ...]

  @property
  def kernels(self) -> tuple[int, ...]:
    """The sizes that occur, ascending."""
    return tuple(sorted({b.kernel for b in self.blocks}))

  def with_kernel(self, side: int) -> list[int]:
    """Places in the stack of the alternatives with that kernel."""
    return [i for i, b in enumerate(self.blocks) if b.kernel == side]

  @property
  def squeezed(self) -> list[int]:
    """Places in the stack of the alternatives with squeeze-excite."""
    return [i for i, b in enumerate(self.blocks) if b.squeeze_excite]


class Shape(NamedTuple):
  """Static sizes and rules of a stack.

  Attributes:
    channels: `C`.
    mid: `M`.
    squeeze: channels between the two convolutions of squeeze-excite.
    out: `O`.
    expands: whether there is an expanding convolution under some choice.
    bias: whether 1x1 and depthwise convolutions are biased.
    padding: the network's rule.
    epsilon: of the BN.
  """

  channels: int
  mid: int
  squeeze: int
  out: int
  expands: bool
  bias: bool
  padding: str
  epsilon: float


class Masks(NamedTuple):
  """What the choices of widths do to a stack; None for what is not open.

  Attributes:
    mid: channel mask of `M`.
    squeeze: channel mask of the squeeze.
    out: channel mask of `O`.
    expands: whether the expanding convolution exists, `f32[]` or
      `f32[B, 1, 1, 1]`.
  """

  mid: Any
  squeeze: Any
  out: Any
  expands: Any


def stacks_of(block: Block) -> tuple[Stack, ...]:
  """The stacks of a slot whose type is open; skips are in none."""
  alike: dict[Any, list[tuple[int, Block]]] = {}
  for place, block_ in enumerate(alternatives(block)):
    if block_.op != "skip":
      key = (block_.expansion, block_.groups)
      alike.setdefault(key, []).append((place, block_))
  stacks = []
  for (expansion, groups), members in alike.items():
    name = "types"
    if not isinstance(expansion, Follow):
      name += f"_e{expansion:g}".replace(".", "_")
    if groups > 1:
      name += f"_g{groups}"
    members.sort(key=lambda member: member[1].kernel)
    places, blocks = zip(*members, strict=True)
    stacks.append(Stack(name, places, blocks))
  return tuple(stacks)


class StackMember(NamedTuple):
  """One alternative in its stack.

  Attributes:
    stack: the stack.
    place: in it.
  """

  stack: Stack
  place: int

  def cut(self, weights: Any, path: tuple[str, ...]) -> jax.Array:
    """The alternative's own part of what a slot's module holds.

    Args:
      weights: all variables of one kind of the slot's module.
      path: of the part in a block of a `Network`.
    """
    stack, place = self
    if path == ("depthwise", "conv", "kernel"):
      side = stack.blocks[place].kernel
      path = ("depthwise", "conv", f"kernel{side}")
      place = stack.with_kernel(side).index(place)
    elif path[0] == "squeeze_excite":
      place = stack.squeezed.index(place)
    leaf = weights[stack.name]
    for step in path:
      leaf = leaf[step]
    return leaf[place]


def member(block: Block, index: int) -> StackMember | None:
  """Where the alternative `index` of a slot is; None for a skip."""
  for stack in stacks_of(block):
    if index in stack.places:
      return StackMember(stack, stack.places.index(index))
  return None


def initial_weights(
  key: jax.Array, stack: Stack, shape: Shape, masks: Masks, scale: Any
) -> dict[str, Any]:
  """Weights of a stack, each with the variance of its size under the masks.

  Args:
    key: random key.
    stack: the stack.
    shape: its sizes.
    masks: its masks.
    scale: first value of the last BN's scale, `f32[]`.
  """
  count, groups = len(stack.blocks), stack.blocks[0].groups
  keys = iter(jax.random.split(key, 4 + len(stack.kernels)))
  mid = shape.mid if masks.mid is None else used(masks.mid)
  out = shape.out if masks.out is None else used(masks.out)

  def kernel(members: int, size: tuple[int, ...], fan_out: Any) -> jax.Array:
    noise = draw(next(keys), (members, *size))
    return noise * jnp.sqrt(2.0 / fan_out)

  def conv_norm(weights: dict[str, Any], width: int, first: Any) -> Any:
    if shape.bias:
      weights["bias"] = jnp.zeros((count, width))
    scales = jnp.ones((count, width)) * jnp.mean(first)
    return {
      "conv": weights,
      "norm": {"scale": scales, "bias": jnp.zeros((count, width))},
    }

  tree = {}
  if shape.expands:
    size = (1, 1, shape.channels // groups, shape.mid)
    weights = {"kernel": kernel(count, size, mid / groups)}
    tree["expand"] = conv_norm(weights, shape.mid, 1.0)
  weights = {
    f"kernel{side}": kernel(
      len(stack.with_kernel(side)), (side, side, 1, shape.mid), side * side
    )
    for side in stack.kernels
  }
  tree["depthwise"] = conv_norm(weights, shape.mid, 1.0)
  if stack.squeezed:
    members, narrow = len(stack.squeezed), shape.squeeze
    fan = narrow if masks.squeeze is None else used(masks.squeeze)
    tree["squeeze_excite"] = {
      name: {
        "kernel": kernel(members, (1, 1, left, right), outputs),
        "bias": jnp.zeros((members, right)),
      }
      for name, left, right, outputs in (
        ("squeeze", shape.mid, narrow, fan),
        ("excite", narrow, shape.mid, mid),
      )
    }
  size = (1, 1, shape.mid // groups, shape.out)
  weights = {"kernel": kernel(count, size, out / groups)}
  tree["project"] = conv_norm(weights, shape.out, scale)
  return tree


def initial_statistics(stack: Stack, shape: Shape) -> dict[str, Any]:
  """Running statistics of a stack before training."""
  widths = {"depthwise": shape.mid, "project": shape.out}
  if shape.expands:
    widths["expand"] = shape.mid
  count = len(stack.blocks)
  return {
    name: {"norm": {"mean": jnp.zeros((count, n)), "var": jnp.ones((count, n))}}
    for name, n in widths.items()
  }
