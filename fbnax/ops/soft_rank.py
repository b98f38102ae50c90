"""Ranks that differentiate: projections onto the permutahedron.

After Blondel et al. 2020, "Fast Differentiable Sorting and Ranking": the soft
ranks of x are the point nearest to x / strength among the convex hull of all
permutations of (1, ..., n). Sorted, that is an isotonic regression, which pools
adjacent violators into blocks; within a block x / strength keeps its deviations
from the block's mean, and the mean becomes that of the block's ranks. So values
apart by more than the strength have their hard ranks, and values all close to
each other have ranks that are affine in them.

All violating neighbours are pooled at once, in rounds of O(n), until none is
left: two to eight rounds for most inputs, n at worst. The min-max formula for
block means needs n x n of memory and is the slower one already at n = 128.

Symbols: `R` rows, `n` values of a row.
"""

from __future__ import annotations

import numbers

import jax
import jax.numpy as jnp


def soft_rank(
  values: jax.Array, strength: float | jax.Array = 1.0, descending: bool = False
) -> jax.Array:
  """Soft ranks along the last axis, from 1 for the smallest value.

  Equal values have equal ranks, and constants all have (n + 1) / 2. The
  derivative is that of the blocks found: a value's own, less the mean of its
  block. Where blocks are about to join it is one of the one-sided derivatives.
  A row with a NaN or infinity has undefined ranks.

  Args:
    values: `f32[..., n]`.
    strength: regularisation, above 0. Towards 0 ranks become hard.
    descending: rank 1 is the largest value.

  Returns:
    `f32[..., n]`; each row sums to n (n + 1) / 2.

  Raises:
    ValueError: there is no axis, or `strength` is a number not above 0.
  """
  values = jnp.asarray(values)
  if values.ndim < 1:
    raise ValueError("values is a scalar; legal: arrays of one axis or more")
  if isinstance(strength, numbers.Real) and not strength > 0:
    raise ValueError(f"strength is {strength!r}; legal: above 0")
  scaled = values / strength
  if values.size == 0:
    return scaled
  rows = scaled.reshape(-1, values.shape[-1])
  return _project(-rows if descending else rows).reshape(values.shape)


def soft_spearman(
  values: jax.Array, targets: jax.Array, strength: float | jax.Array = 1.0
) -> jax.Array:
  """Pearson's correlation of soft ranks with targets, along the last axis.

  With ranks as targets and a small strength it is Spearman's. Where the values
  or the targets are constant it is 0, and so is its derivative.

  Args:
    values: `f32[..., n]`.
    targets: `f32[..., n]`, broadcast against the values.
    strength: regularisation of the soft ranks.

  Returns:
    `f32[...]`, from -1 to 1.
  """
  ranks = soft_rank(values, strength)
  ranks = ranks - ranks.mean(axis=-1, keepdims=True)
  targets = targets - targets.mean(axis=-1, keepdims=True)
  squares = (ranks**2).sum(axis=-1) * (targets**2).sum(axis=-1)
  defined = squares > 0
  norm = jnp.sqrt(jnp.where(defined, squares, 1.0))
  return jnp.where(defined, (ranks * targets).sum(axis=-1) / norm, 0.0)


@jax.custom_jvp
def _project(rows: jax.Array) -> jax.Array:
  """Soft ranks of strength 1, ascending, `f32[R, n]`."""
  return _solve(rows)[0]


@_project.defjvp
def _project_jvp(
  primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
  (rows,), (change,) = primals, tangents
  ranks, blocks, sizes = _solve(rows)
  return ranks, change - _block_sums(change, blocks) / sizes


def _solve(rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Soft ranks, the block of each value and its size, `[R, n]` each.

  Blocks are numbered throughout all rows.
  """
  count = rows.shape[-1]
  order = jnp.argsort(-rows, axis=-1)
  ranked = jnp.take_along_axis(rows, order, axis=-1)
  position = jnp.broadcast_to(jnp.arange(count), rows.shape)

  def solve(starts: jax.Array) -> tuple[jax.Array, ...]:
    """Ranks, levels of the blocks above them, blocks and their sizes."""
    blocks = jnp.cumsum(starts.reshape(-1)).reshape(starts.shape) - 1
    first = jax.lax.cummax(jnp.where(starts, position, 0), axis=1)
    ends = jnp.roll(starts, -1, axis=1).at[:, -1].set(True)
    last = jax.lax.cummin(
      jnp.where(ends, position, count), axis=1, reverse=True
    )
    sizes = (last - first + 1).astype(rows.dtype)
    # Deviations from the block's largest value, so that no digits cancel.
    top = jnp.take_along_axis(ranked, first, axis=-1)
    deviation = ranked - top
    mean = _block_sums(deviation, blocks) / sizes
    mean_rank = count - (first + last).astype(rows.dtype) / 2
    return (
      mean_rank + (deviation - mean),
      top + mean - mean_rank,
      blocks,
      sizes,
    )

  def pool(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    starts, _ = carry
    level = solve(starts)[1]
    # Only at starts: within a block levels differ by rounding at most.
    violates = starts[:, 1:] & (level[:, 1:] > level[:, :-1])
    return starts.at[:, 1:].set(starts[:, 1:] & ~violates), violates.any()

  # The first round needs no blocks: all values stand alone.
  starts = jnp.ones_like(rows, bool)
  starts = starts.at[:, 1:].set(~(ranked[:, 1:] + 1 > ranked[:, :-1]))
  starts, _ = jax.lax.while_loop(
    lambda carry: carry[1], pool, (starts, jnp.asarray(True))
  )
  ranks, _, blocks, sizes = solve(starts)
  places = jnp.argsort(order, axis=-1)
  return tuple(
    jnp.take_along_axis(a, places, axis=-1) for a in (ranks, blocks, sizes)
  )  # type: ignore[return-value]


def _block_sums(values: jax.Array, blocks: jax.Array) -> jax.Array:
  """Each value's sum over its block, `f32[R, n]`."""
  flat = blocks.reshape(-1)
  totals = jax.ops.segment_sum(values.reshape(-1), flat, flat.size)
  return totals[flat].reshape(values.shape)
