"""Runs a stack of inverted residuals: all of its alternatives, or one.

See `fbnax.models.stacks`. Kernel, activation and squeeze-excite are decided for
each place on the axis of the alternatives; the products and the normalisations
are done at once. To compute one alternative alone, its weights are taken from
the stack by a traced index, so the program is that of a single block.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `M` mid channels,
`O` output channels, `T` alternatives of a stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fbnax.models.layers import masked, moving_average
from fbnax.models.reading import resize_channels, shuffle
from fbnax.models.stacks import Masks, Shape, Stack
from fbnax.ops import conv, norm
from fbnax.ops.activations import ACTIVATIONS, Activation
from fbnax.ops.shifted import Padding

MOMENTUM = 0.9


def run(
  stack: Stack,
  shape: Shape,
  weights: Any,
  statistics: Any,
  x: jax.Array,
  masks: Masks,
  choice: jax.Array | None,
  pick: jax.Array | None = None,
  *,
  train: bool,
  share: Any = None,
) -> tuple[jax.Array, Any]:
  """The weighted sum of a stack's alternatives, without their residual.

  Args:
    stack: the stack.
    shape: its sizes.
    weights: see `stacks.initial_weights`.
    statistics: see `stacks.initial_statistics`.
    x: `f32[B, H, W, C]`, masked.
    masks: its masks; that of the output is the caller's to apply.
    choice: weights of the alternatives, `f32[T]` or `f32[B, T]`; not read with
      `pick`.
    pick: the one alternative to compute, `i32[]`; None computes all.
    train: use and record the batch's statistics.
    share: what part of these is recorded, `f32[]`; None is all.

  Returns:
    `f32[B, H', W', O]`, and the running statistics.
  """
  block = stack.blocks[0]
  count = len(stack.blocks) if pick is None else 1
  recorded = dict(statistics)

  def norm_of(name: str, h: jax.Array, factor: Any, active: bool) -> Any:
    if shape.bias:
      h = h + _along(_take(weights[name]["conv"]["bias"], pick))
    names = tuple(b.activation for b in stack.blocks) if active else (None,)
    h, recorded[name] = normalized(
      h,
      factor,
      names,
      weights[name],
      statistics[name],
      shape.epsilon,
      pick,
      train,
      share,
    )
    return h

  if shape.expands:
    kernel = _take(weights["expand"]["conv"]["kernel"], pick)
    h = _expanded(x, kernel, block.groups)
    h = norm_of("expand", h, masks.mid, True)
    if masks.expands is not None:
      unchanged = resize_channels(x, shape.mid)
      h = h * masks.expands + unchanged * (1.0 - masks.expands)
  else:
    h = jnp.broadcast_to(x, (count, *x.shape))
  if block.groups > 1:
    h = shuffle(h, block.groups)
  h = _depthwise(h, weights["depthwise"]["conv"], stack, pick, shape.padding)
  h = norm_of("depthwise", h, masks.mid, True)
  if stack.squeezed:
    h = h * _gate(h, weights["squeeze_excite"], stack, masks, pick)
  kernel = _take(weights["project"]["conv"]["kernel"], pick)
  h = _products(h, kernel, block.groups)
  if pick is not None:
    return norm_of("project", h, None, False)[0], recorded
  # The weights of a batch, or of each example in it.
  assert choice is not None
  factors = (
    choice.T[:, None] if choice.ndim == 1 else choice.T[..., None, None, None]
  )
  factors = jnp.broadcast_to(factors, (*factors.shape[:-1], shape.out))
  return norm_of("project", h, factors, False).sum(0), recorded


def _take(leaf: jax.Array, pick: Any) -> jax.Array:
  """All alternatives, or one of them; the axis stays."""
  if pick is None:
    return leaf
  return lax.dynamic_index_in_dim(leaf, pick, 0)


def _along(leaf: jax.Array) -> jax.Array:
  """`[T, C]` to `[T, 1, 1, 1, C]`."""
  return leaf[:, None, None, None, :]


def normalized(
  h: jax.Array,
  factor: Any,
  names: tuple[str | None, ...],
  weights: Any,
  statistics: Any,
  epsilon: float,
  pick: Any,
  train: bool,
  share: Any,
) -> tuple[jax.Array, Any]:
  """BN, activation and a factor of alternatives side by side.

  Args:
    h: `f32[T, B, H, W, C]`.
    factor: a mask of all alternatives, `f32[C]` or `f32[B, 1, 1, C]`; or with
      an axis `T` in front, one of each; None is one.
    names: the activation of each alternative, or a single one of all.
    weights: of the BN, under "norm", a row for each alternative.
    statistics: likewise.
    epsilon: of the BN.
    pick: the one alternative that `h` is of, `i32[]`; None for all.
    train: use and record the batch's statistics.
    share: what part of these is recorded; None is all.

  Returns:
    `f32[T, B, H, W, C]`, and the running statistics.
  """
  activations, chosen = _mixed(names, pick)
  own, before = jax.tree.map(
    lambda leaf: _take(leaf, pick), (weights["norm"], statistics["norm"])
  )
  if factor is None:
    factor = jnp.ones(h.shape[-1], h.dtype)
  # A mask is of all alternatives; the axis of a weight comes first.
  axis = 0 if factor.shape[0] == len(h) and factor.ndim in (2, 5) else None

  def each(h: Any, own: Any, before: Any, factor: Any, chosen: Any) -> Any:
    if train:
      y, mean, variance = norm.normalized(
        h, own["scale"], own["bias"], factor, chosen, activations, epsilon
      )
      return y, {
        "mean": moving_average(before["mean"], mean, MOMENTUM, share),
        "var": moving_average(before["var"], variance, MOMENTUM, share),
      }
    y = norm.normalize(
      h, before["mean"], before["var"], own["scale"], own["bias"], epsilon
    )
    return norm.activate(y, chosen, activations) * factor, before

  h, after = jax.vmap(each, (0, 0, 0, axis, 0))(h, own, before, factor, chosen)
  if pick is not None:
    after = jax.tree.map(
      lambda leaf, row: lax.dynamic_update_slice_in_dim(leaf, row, pick, 0),
      statistics["norm"],
      after,
    )
  return h, {"norm": after}


def _mixed(
  names: Sequence[str | None], pick: Any
) -> tuple[tuple[Activation, ...], tuple[jax.Array, ...]]:
  """The activations that occur, as `norm.normalized` takes them.

  Args:
    names: the activation of each alternative; None has none, as all others.
    pick: the one alternative to take, `i32[]`; None for all.

  Returns:
    The activations, and for each but the first the alternatives that have it,
    `bool[T]`.
  """
  occurring = [name for name in ACTIVATIONS if name in names]
  chosen = (
    jnp.asarray([name == other for name in names]) for other in occurring[1:]
  )
  return (
    tuple(ACTIVATIONS[name] for name in occurring),
    tuple(_take(has, pick) for has in chosen),
  )


def _activated(h: jax.Array, names: Sequence[str], pick: Any) -> jax.Array:
  """Each alternative's own activation."""
  activations, chosen = _mixed(names, pick)
  columns = tuple(has.reshape(-1, 1, 1, 1, 1) for has in chosen)
  return norm.activate(h, columns, activations)


def _expanded(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
  """`f32[B, H, W, C]` times `f32[T, 1, 1, C, M]` to `f32[T, B, H, W, M]`."""
  many = jnp.broadcast_to(x, (kernel.shape[0], *x.shape))
  return _products(many, kernel, groups)


def _products(h: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
  """1x1 convolutions as one batched product over the alternatives."""
  return jax.vmap(lambda a, b: conv.pointwise(a, b, groups))(h, kernel)


def _depthwise(
  h: jax.Array, kernels: Any, stack: Stack, pick: Any, padding: Padding
) -> jax.Array:
  """Depthwise convolutions, those of each kernel size together."""
  stride = stack.blocks[0].stride

  def convolve(h: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.vmap(lambda x, k: conv.depthwise(x, k, stride, padding))(
      h, kernel
    )

  if pick is None and _is_small(h, stack):
    size = (h.shape[2], h.shape[3])
    dense = jnp.concatenate(
      [
        jax.vmap(lambda k: conv.dense_kernel(k, size, stride, padding))(
          kernels[f"kernel{side}"]
        )
        for side in stack.kernels
      ]
    )
    flat = h.reshape(*h.shape[:2], -1, h.shape[-1])
    flat = jax.vmap(conv.dense_depthwise)(flat, dense)
    after = (-(-n // stride) for n in size)
    return flat.reshape(*h.shape[:2], *after, h.shape[-1])
  if pick is None:
    parts, start = [], 0
    for side in stack.kernels:
      kernel = kernels[f"kernel{side}"]
      stop = start + kernel.shape[0]
      parts.append(convolve(h[start:stop], kernel))
      start = stop
    return jnp.concatenate(parts)

  # Place of each alternative among those of its kernel size.
  sides = [b.kernel for b in stack.blocks]
  places = jnp.asarray([sides[:i].count(s) for i, s in enumerate(sides)])
  which = jnp.asarray([stack.kernels.index(s) for s in sides])

  def of_side(side: int) -> Any:
    def branch(h: jax.Array) -> jax.Array:
      kernel = kernels[f"kernel{side}"]
      # In the branches that are not taken the place may be out of range.
      place = jnp.minimum(places[pick], kernel.shape[0] - 1)
      return convolve(h, _take(kernel, place))

    return branch

  return lax.switch(which[pick], [of_side(s) for s in stack.kernels], h)


def _is_small(h: jax.Array, stack: Stack) -> bool:
  """Whether every pixel with every pixel is the faster form."""
  size = (h.shape[2], h.shape[3])
  return jax.default_backend() == "cpu" and conv.is_small(
    size, max(stack.kernels)
  )


def _gate(
  h: jax.Array, weights: Any, stack: Stack, masks: Masks, pick: Any
) -> jax.Array:
  """Squeeze-excite's gates, 1 where there is none: `f32[T, B, 1, 1, M]`."""
  count, members = len(stack.blocks), stack.squeezed
  pooled = h.mean((2, 3), keepdims=True)
  # The row behind the last is that of the alternatives without.
  rows = np.full(count, len(members))
  rows[members] = np.arange(len(members))
  place = None
  blocks = [stack.blocks[i] for i in members]
  if pick is None:
    pooled = pooled[np.asarray(members)]
  else:
    place = jnp.minimum(jnp.asarray(rows)[pick], len(members) - 1)

  def convolved(name: str, h: jax.Array) -> jax.Array:
    kernel = _take(weights[name]["kernel"], place)
    return _products(h, kernel, 1) + _along(_take(weights[name]["bias"], place))

  inner = [b.squeeze_activation or b.activation for b in blocks]
  hidden = _activated(convolved("squeeze", pooled), inner, place)
  gate = convolved("excite", masked(hidden, masks.squeeze))
  gate = _activated(gate, [b.gate for b in blocks], place)
  if len(members) == count:
    return gate
  if pick is not None:
    return jnp.where(jnp.asarray(rows)[pick] < len(members), gate, 1.0)
  return jnp.concatenate([gate, jnp.ones_like(gate[:1])])[rows]
