"""Pareto fronts.

Symbols: `n` candidates, `k` objectives.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


@jax.jit
def pareto_front(objectives: jax.Array) -> jax.Array:
  """The candidates that no other dominates.

  All objectives are minimised; negate one that is to be large. A candidate is
  dominated where another is at most as large in every objective and smaller in
  one, so equal candidates are on the front together. A candidate with a NaN is
  never on it and dominates none.

  Args:
    objectives: `f32[n, k]`.

  Returns:
    Whether each candidate is on the front, `bool[n]`.
  """
  defined = ~jnp.isnan(objectives).any(axis=-1)

  def dominated(own: jax.Array) -> jax.Array:
    # Comparisons with NaN are false, so an undefined row dominates none.
    no_worse = (objectives <= own).all(axis=-1)
    return (no_worse & (objectives < own).any(axis=-1)).any()

  # In blocks: all pairs at once would need n x n x k of memory.
  return defined & ~jax.lax.map(dominated, objectives, batch_size=256)
