"""A slot of the trunk whose type is searched.

Its output is the sum over its alternatives, weighted by the choice weights of
its decision (FBNet, and section 3.3 of Wan 2022). An alternative is an inverted
residual with weights of its own, or a skip: the identity where the chosen
numbers of channels keep the shape, else a 1x1 convolution, BN and ReLU.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `n` alternatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fbnax.models import stacked, stacks
from fbnax.models.initial import draw
from fbnax.models.layers import drop_path, masked
from fbnax.models.reading import (
  read_field,
  read_open,
  read_prefix,
  resize_channels,
)
from fbnax.ops import conv
from fbnax.ops.branching import recomputed_switch
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import Follow, Reader, largest, smallest
from fbnax.spaces.tables import alternatives


class SearchedBlock(nn.Module):
  """All alternatives of a slot.

  With `single_path` only the alternative with the largest weight is computed.
  That is the same value if the weights are one-hot, and the gradient toward its
  weight is that of the sum; toward the other weights it is what the residual,
  which they share, contributes.

  Attributes:
    table: the table it belongs to, for the family's rules.
    block: the entry; its `op` is open.
    c_in: width of the entry before it, maybe open.
    single_path: compute the likeliest alternative alone.
  """

  table: Architecture
  block: Block
  c_in: Any
  single_path: bool = False

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    read: Reader,
    *,
    train: bool,
    drop_rate: Any,
    uniform: jax.Array | None,
    share: Any = None,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', C']`; as in `TrunkBlock`.

    Raises:
      ValueError: `single_path` with choice weights of each example.
    """
    block = self.block
    out = largest(int, block.channels)
    same = kinds.adds_input(block)
    residual = read_field(
      read, lambda *c: float(same(*c)), self.c_in, block.channels
    )
    count = len(alternatives(block))
    kind: Any = block.op  # Open: the choice between the alternatives.
    places = Follow(kind.decision, tuple(range(count)))

    def choice(members: Sequence[int]) -> jax.Array:
      """Weights of some alternatives, `f32[members]` or `f32[B, members]`."""
      return read(lambda i: np.equal(i, members).astype(np.float32), places)

    branches = [
      self._stack(stack, read, residual, train, share)
      for stack in stacks.stacks_of(block)
    ]
    skips = [i for i, b in enumerate(alternatives(block)) if b.op == "skip"]
    if skips:
      branches.append(self._skip(x.shape[-1], residual, skips, train, share))
    weights = choice(range(count))
    if not self.single_path:
      h, recorded = _all(branches, choice, x)
    elif weights.ndim == 1:
      h, recorded = _one(branches, weights, x)
    else:
      raise ValueError(
        f"single_path with weights of {kind.decision!r} of shape "
        f"{weights.shape}; legal: one choice for the batch, ({count},)"
      )
    if train and not self.is_initializing():
      for branch in branches:
        if branch.statistics is not None:
          branch.statistics.value = recorded[branch.name]

    h = masked(h, read_prefix(read, int, block.channels))
    if not largest(same, self.c_in, block.channels):
      return h
    if uniform is not None:
      h = drop_path(h, drop_rate, uniform, residual)
    # An absent block has a residual, and passes its input on alone.
    h = h * read_field(read, float, block.present)
    total = read_field(read, lambda _: 1.0, places)
    return h + resize_channels(x, out) * (residual * total)

  def _stack(
    self,
    stack: stacks.Stack,
    read: Reader,
    residual: Any,
    train: bool,
    share: Any,
  ) -> _Branch:
    block, table, c_in = stack.blocks[0], self.table, self.c_in
    e = block.expansion
    width = kinds.mid_channels(table, block)
    narrow = kinds.squeeze_channels(table, block)
    has_expansion = kinds.expands(table, block)

    def expands(c: Any, x: Any) -> float:
      return float(has_expansion(c, x))

    shape = stacks.Shape(
      channels=largest(int, c_in),
      mid=largest(width, c_in, e),
      squeeze=largest(narrow, c_in, e),
      out=largest(int, block.channels),
      expands=bool(largest(expands, c_in, e)),
      bias=table.block_bias,
      padding=table.padding,
      epsilon=table.bn_epsilon,
    )
    always = smallest(expands, c_in, e) or not shape.expands
    masks = stacks.Masks(
      mid=read_prefix(read, width, c_in, e),
      squeeze=read_prefix(read, narrow, c_in, e),
      out=read_prefix(read, int, block.channels),
      expands=None if always else read_open(read, expands, c_in, e),
    )
    weights = self.param(
      stack.name,
      lambda key: stacks.initial_weights(
        key,
        stack,
        shape,
        masks,
        1.0 - residual if table.zero_last_gamma else 1.0,
      ),
    )
    statistics = self.variable(
      "batch_stats",
      stack.name,
      lambda: stacks.initial_statistics(stack, shape),
    )

    def compute(choice: Any, pick: Any, x: jax.Array) -> Any:
      return stacked.run(
        stack,
        shape,
        weights,
        statistics.value,
        x,
        masks,
        choice,
        pick,
        train=train,
        share=share,
      )

    return _Branch(stack.name, stack.places, compute, statistics)

  def _skip(
    self,
    channels: int,
    residual: Any,
    places: list[int],
    train: bool,
    share: Any,
  ) -> _Branch:
    block, table = self.block, self.table
    out = largest(int, block.channels)
    if smallest(kinds.adds_input(block), self.c_in, block.channels):

      def nothing(choice: Any, pick: Any, x: jax.Array) -> Any:
        return jnp.zeros((*x.shape[:-1], out), x.dtype), None

      return _Branch("skip", tuple(places), nothing, None)

    def initial(key: jax.Array) -> Any:
      kernel = draw(key, (1, 1, channels, out)) * jnp.sqrt(2.0 / out)
      weights = {"kernel": kernel}
      if table.block_bias:
        weights["bias"] = jnp.zeros(out)
      rows = {"scale": jnp.ones(out), "bias": jnp.zeros(out)}
      return {"conv": weights, "norm": rows}

    weights = self.param("skip", initial)
    statistics = self.variable(
      "batch_stats",
      "skip",
      lambda: {"norm": {"mean": jnp.zeros(out), "var": jnp.ones(out)}},
    )

    def compute(choice: Any, pick: Any, x: jax.Array) -> Any:
      strided = x[:, :: block.stride, :: block.stride]
      h = conv.pointwise(strided, weights["conv"]["kernel"])
      if table.block_bias:
        h = h + weights["conv"]["bias"]
      # Where the shape is kept, the residual is all there is.
      factor = jnp.asarray(1.0 - residual, h.dtype).reshape(1, -1, 1, 1, 1)
      if pick is None:
        factor = factor * choice.reshape(1, -1, 1, 1, 1)
      factor = jnp.broadcast_to(factor, (*factor.shape[:-1], out))
      one: Any = jax.tree.map(
        lambda leaf: leaf[None], (weights, statistics.value)
      )
      h, recorded = stacked.normalized(
        h[None],
        factor,
        ("relu",),
        one[0],
        one[1],
        table.bn_epsilon,
        None,
        train,
        share,
      )
      return h[0], jax.tree.map(lambda leaf: leaf[0], recorded)

    return _Branch("skip", tuple(places), compute, statistics)


class _Branch(NamedTuple):
  """Alternatives that are computed together.

  Attributes:
    name: of their variables.
    places: of them among the slot's alternatives.
    compute: their weighted sum, or one of them, and the running statistics, of
      their choice weights, the one to compute (None for all) and the input.
    statistics: the variable of these, None where there are none.
  """

  name: str
  places: tuple[int, ...]
  compute: Callable[[Any, Any, jax.Array], Any]
  statistics: Any


def _all(
  branches: list[_Branch], choice: Callable[..., jax.Array], x: jax.Array
) -> Any:
  total: Any = 0.0
  recorded = {}
  for branch in branches:
    if branch.statistics is None:
      continue
    h, recorded[branch.name] = branch.compute(choice(branch.places), None, x)
    total = total + h
  return total, recorded


def _one(branches: list[_Branch], choice: jax.Array, x: jax.Array) -> Any:
  before = {
    b.name: b.statistics.value for b in branches if b.statistics is not None
  }
  count = sum(len(b.places) for b in branches)
  which, members = np.zeros(count, np.int32), np.zeros(count, np.int32)
  for i, branch in enumerate(branches):
    which[list(branch.places)] = i
    members[list(branch.places)] = np.arange(len(branch.places))
  index = choice.argmax()
  pick = jnp.asarray(members)[index]

  def alone(branch: _Branch) -> Any:
    def run(pick: jax.Array, x: jax.Array) -> Any:
      h, recorded = branch.compute(None, pick, x)
      if branch.statistics is None:
        return h, before
      return h, {**before, branch.name: recorded}

    return run

  h, recorded = recomputed_switch(
    jnp.asarray(which)[index], [alone(b) for b in branches], x, fixed=pick
  )
  # One in value, the weight in its gradient.
  weight = choice[index]
  return h * (weight / lax.stop_gradient(weight)), recorded
