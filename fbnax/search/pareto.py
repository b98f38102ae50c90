"""Pareto fronts.

Symbols: `n` candidates, `k` objectives.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike


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

  def dominated(candidate: jax.Array) -> jax.Array:
    # Comparisons with NaN are false, so an undefined row dominates none.
    no_worse = (objectives <= candidate).all(axis=-1)
    return (no_worse & (objectives < candidate).any(axis=-1)).any()

  # In blocks: all pairs at once would need n x n x k of memory.
  return defined & ~jax.lax.map(dominated, objectives, batch_size=256)


def hypervolume(objectives: ArrayLike, reference: ArrayLike) -> float:
  """The area that two objectives dominate, up to a reference point.

  Args:
    objectives: to be small, `[n, 2]`; what is not below the reference in both
      counts nothing, and so does a row with a NaN.
    reference: `[2]`.

  Raises:
    ValueError: there are not two objectives.
  """
  points = np.asarray(objectives, np.float64)
  corner = np.asarray(reference, np.float64)
  if points.ndim != 2 or points.shape[1] != 2 or corner.shape != (2,):
    raise ValueError(
      f"objectives have shape {points.shape}, the reference {corner.shape}; "
      "legal: [n, 2] and [2]"
    )
  inside = points[(points < corner).all(axis=1)]
  area, lowest = 0.0, corner[1]
  for x, y in inside[np.lexsort(inside.T[::-1])]:
    if y < lowest:
      area += (corner[0] - x) * (lowest - y)
      lowest = y
  return float(area)
