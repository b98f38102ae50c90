"""Soft ranks and their gradient: values ranked per second.

  python -m tests.benchmarks.soft_rank [--json=FILE] [--quick]

The peer is the published construction in NumPy, row by row: a sort, and
scikit-learn's isotonic regression (Blondel et al., 2020), with its gradient by
means of blocks. Ranks and gradients that differ from it fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.isotonic import isotonic_regression

from fbnax import ops
from tests.benchmarks import measuring

SHAPES = ((1, 100_000), (64, 1000), (1000, 100))
STRENGTH = 0.1
RUNS = 11


def row_by_row(
  values: np.ndarray, cotangents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Soft ranks and the gradient of their product with `cotangents`.

  Args:
    values: `[R, n]`.
    cotangents: `[R, n]`.
  """
  ranks, gradients = np.empty_like(values), np.empty_like(values)
  wanted = np.arange(values.shape[1], 0, -1).astype(values.dtype)
  for i, row in enumerate(values / STRENGTH):
    order = np.argsort(-row, kind="stable")
    ranked = row[order]
    dual = isotonic_regression(ranked - wanted, increasing=False)
    ranks[i, order] = ranked - dual
    _, first, sizes = np.unique(-dual, return_index=True, return_counts=True)
    given = cotangents[i, order]
    means = np.add.reduceat(given, first) / sizes
    gradients[i, order] = (given - np.repeat(means, sizes)) / STRENGTH
  return ranks, gradients


def measure(rows: int, count: int) -> measuring.Row:
  """Ranks and gradient of one shape."""
  random = np.random.default_rng(0)
  values = random.normal(size=(rows, count)).astype(np.float32)
  cotangents = random.normal(size=(rows, count)).astype(np.float32)

  @jax.jit
  def ranks_and_gradient(x: jax.Array, c: jax.Array) -> Any:
    ranks, pull = jax.vjp(lambda v: ops.soft_rank(v, STRENGTH), x)
    return ranks, pull(c)[0]

  ours = jnp.asarray(values), jnp.asarray(cotangents)
  timing, found = measuring.timed(lambda _: ranks_and_gradient(*ours), RUNS)
  peer, wanted = measuring.timed(lambda _: row_by_row(values, cotangents), 3)
  double = row_by_row(values.astype(np.float64), cotangents.astype(np.float64))
  scale = max(1.0, count / 1000)  # Of float32's rounding of the ranks.
  np.testing.assert_allclose(found[0], double[0], atol=1e-3 * scale)
  # Where two blocks all but join, rounding decides for one of two derivatives.
  far = np.abs(found[1] - double[1]) > 1e-3 / STRENGTH
  assert far.mean() < 0.02, far.mean()
  error = float(np.abs(found[0] - double[0]).max())
  theirs = float(np.abs(wanted[0] - double[0]).max())
  return measuring.rate(
    f"soft ranks and gradient, {rows:,} rows of {count:,}",
    timing,
    rows * count,
    "values/s",
    peer="scikit-learn",
    peer_value=rows * count / peer.median,
    notes=f"largest error {error:.1e} (scikit-learn, float32: {theirs:.1e})",
    main=True,
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """All shapes."""
  for shape in ((4, 50),) if given.quick else SHAPES:
    yield measure(*shape)


if __name__ == "__main__":
  measuring.main(run, __doc__)
