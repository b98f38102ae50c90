"""Graph attention with dynamic scores (GATv2), on dense graphs and on chains.

Brody et al. 2022, "How Attentive are Graph Attention Networks?", equation 7:
node i weighs what it receives from j by the softmax over its neighbours of
a . leaky_relu(s_j + t_i), where s are the nodes as sources and t as targets.
In a chain a node has two neighbours, itself and the one before it, so the
softmax is a sigmoid and no N x N array exists.

Symbols: `N` nodes, `H` heads, `D` features of a head, `B` chains.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

SLOPE = 0.2  # Of the leaky ReLU for negative arguments.


def attend(
  sources: jax.Array,
  targets: jax.Array,
  attention: jax.Array,
  adjacency: jax.Array,
  slope: float = SLOPE,
) -> tuple[jax.Array, jax.Array]:
  """What each node of a dense graph receives.

  A node without a neighbour receives zeros.

  Args:
    sources: `f32[..., N, H, D]`.
    targets: `f32[..., N, H, D]`.
    attention: `f32[H, D]`.
    adjacency: `bool[..., N, N]`; `[i, j]` says that i receives from j, and
      `[i, i]` is a self-loop.
    slope: of the leaky ReLU.

  Returns:
    Messages `f32[..., N, H, D]` and weights `f32[..., N, N, H]`, which sum to
    one over the second N.
  """
  pairs = sources[..., None, :, :, :] + targets[..., :, None, :, :]
  scores = (_leaky(pairs, slope) * attention).sum(axis=-1)
  open_ = adjacency[..., None]
  highest = jnp.where(open_, scores, -jnp.inf).max(axis=-2, keepdims=True)
  highest = jnp.where(jnp.isfinite(highest), highest, 0.0)
  shares = jnp.where(
    open_, jnp.exp(jnp.where(open_, scores - highest, 0.0)), 0.0
  )
  total = shares.sum(axis=-2, keepdims=True)
  weights = shares / jnp.where(total > 0, total, 1.0)
  return jnp.einsum("...ijh,...jhd->...ihd", weights, sources), weights


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def attend_chain(
  sources: jax.Array,
  targets: jax.Array,
  attention: jax.Array,
  slope: float = SLOPE,
) -> jax.Array:
  """What chains' nodes receive from themselves and predecessors; one head.

  The first node receives from itself only. Features are the leading axis: a sum
  over them is then a vector times a matrix, which on a CPU is four times as
  fast as a reduction. The gradient is written by hand: it
  is several times as fast on a CPU as the one JAX derives, and so is a single
  head without an axis for it.

  Args:
    sources: `f32[D, N, B]`.
    targets: `f32[D, N, B]`.
    attention: `f32[D]`.
    slope: of the leaky ReLU.

  Returns:
    `f32[D, N, B]`.
  """
  return _chain_forward(sources, targets, attention, slope)[0]


def _chain_forward(
  sources: jax.Array, targets: jax.Array, attention: jax.Array, slope: float
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  before = _before(sources)
  share = _own_share(sources, before, targets, attention, slope)
  messages = before + share * (sources - before)
  return messages, (sources, targets, attention, share)


def _chain_backward(
  slope: float, kept: tuple[jax.Array, ...], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  sources, targets, attention, share = kept
  before = _before(sources)
  by_share = _weighted(jnp.ones_like(attention), cotangent * (sources - before))
  by_score = share * (1 - share) * by_share
  own, other = sources + targets, before + targets
  contrast = _leaky(own, slope) - _leaky(other, slope)
  by_attention = contrast.reshape(len(contrast), -1) @ by_score.reshape(-1)
  scaled = attention[:, None, None] * by_score
  by_own = scaled * jnp.where(own > 0, 1.0, slope)
  by_other = scaled * jnp.where(other > 0, 1.0, slope)
  by_before = (1 - share) * cotangent - by_other
  # A source's gradient comes from itself and from its successor, the first's
  # also from itself as its predecessor.
  after = _apart(_to_predecessors, by_before)
  by_sources = share * cotangent + by_own + after
  return by_sources, by_own - by_other, by_attention


attend_chain.defvjp(_chain_forward, _chain_backward)


def _before(sources: jax.Array) -> jax.Array:
  """Each node's predecessor; the first is its own, whatever its share."""
  return _apart(
    lambda x: jnp.concatenate([x[:, :1], x[:, :-1]], axis=1), sources
  )


def _to_predecessors(nodes: jax.Array) -> jax.Array:
  """What nodes give to their predecessors; the first's stays with it."""
  if nodes.shape[1] < 2:
    return nodes
  first = nodes[:, :1] + nodes[:, 1:2]
  last = jnp.zeros_like(first)
  return jnp.concatenate([first, nodes[:, 2:], last], axis=1)


def _apart(
  function: Callable[[jax.Array], jax.Array], nodes: jax.Array
) -> jax.Array:
  """A function by itself, not fused with what comes before and after.

  A shift in the middle of a fused loop asks of every element where it comes
  from, and XLA then computes one number at a time. A branch is a border that it
  keeps; the other branch is for arrays whose first number is NaN.
  """
  return jax.lax.cond(
    jnp.isnan(nodes[0, 0, 0]),
    lambda x: jnp.full_like(x, jnp.nan),
    function,
    nodes,
  )


def _own_share(
  own: jax.Array,
  before: jax.Array,
  targets: jax.Array,
  attention: jax.Array,
  slope: float,
) -> jax.Array:
  """The attention weight of the node itself, `f32[1, ...]`."""
  contrast = _leaky(own + targets, slope) - _leaky(before + targets, slope)
  return jax.nn.sigmoid(_weighted(attention, contrast))


def _weighted(weights: jax.Array, rows: jax.Array) -> jax.Array:
  """The sum of rows times weights, `f32[D, ...]` to `f32[1, ...]`."""
  return (weights @ rows.reshape(len(rows), -1)).reshape(1, *rows.shape[1:])


def _leaky(x: jax.Array, slope: float) -> jax.Array:
  # A maximum is several times as fast as a choice by sign on a CPU.
  return jnp.maximum(x, slope * x)
