"""The pool that a search draws its candidates from, and what it costs.

What of it meets which budget says how hard a budget is to meet, and what the
candidates and members will be like, before anything is trained.

Symbols: `n` points of the pool, `D` decisions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from fbnax import costs
from fbnax.search.budgets import Budget
from fbnax.spaces import SearchSpace
from fbnax.spaces.follow import Follow


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
  """Points of a space.

  Attributes:
    space: the space.
    genotypes: `i32[n, D]`.
    macs: of each, `f64[n]`.
    params: of each, `f64[n]`.
  """

  space: SearchSpace
  genotypes: np.ndarray
  macs: np.ndarray
  params: np.ndarray

  def inside(self, budget: Budget) -> np.ndarray:
    """Which points meet a budget, `bool[n]`."""
    return self._outside(budget) == 0

  def searched(
    self, budgets: Sequence[Budget], macs: Sequence[float] = ()
  ) -> np.ndarray:
    """Which points candidates are drawn from, `bool[n]`.

    Args:
      budgets: the range of all of them is searched.
      macs: lowest and highest to search instead, if given.

    Raises:
      ValueError: there is no such point.
    """
    limits = [b.macs for b in budgets if math.isfinite(b.macs[1])]
    if macs:
      limits = [(macs[0], macs[1])]
    if not limits:
      return np.ones(len(self.macs), bool)
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    found = (low <= self.macs) & (self.macs <= high)
    if not found.any():
      raise ValueError(
        f"config.search.pool={len(self.macs)}: no point of the pool has "
        f"{low:,.0f} to {high:,.0f} MACs; legal: a larger pool, other budgets"
      )
    return found

  def median(self, budget: Budget) -> int:
    """The point in the middle by MACs of a budget's, or nearest to it."""
    found = np.flatnonzero(self.inside(budget))
    if not len(found):
      return int(self._outside(budget).argmin())
    by_macs = found[np.argsort(self.macs[found], kind="stable")]
    return int(by_macs[len(by_macs) // 2])

  def _outside(self, budget: Budget) -> np.ndarray:
    """How far points are outside a budget, relative to its limits."""
    total = np.zeros(len(self.macs))
    for (low, high), value in zip(
      budget, (self.macs, self.params), strict=True
    ):
      total += np.maximum(low - value, 0.0) / max(low, 1.0)
      total += np.maximum(value - high, 0.0) / high
    return total


def draw(space: SearchSpace, count: int, seed: int, num_classes: int) -> Pool:
  """The pool of a search with that seed, `n = count`."""
  genotypes = space.sobol(count, seed)
  found = costs.batch(space, genotypes, num_classes)
  return Pool(
    space,
    np.asarray(genotypes),
    np.asarray(found.macs, np.float64),
    np.asarray(found.params, np.float64),
  )


def resolutions(space: SearchSpace, genotypes: np.ndarray) -> np.ndarray:
  """Pixels of each genotype's images, `int[n]`."""
  field = space.table.resolution
  if not isinstance(field, Follow):
    return np.full(len(genotypes), field)
  names = [d.name for d in space.decisions]
  return np.asarray(field.values)[genotypes[:, names.index(field.decision)]]


def shown(budget: Budget) -> str:
  """`360,000 to 400,000 MACs`."""
  parts = [
    f"{low:,.0f} to {high:,.0f} {unit}"
    for (low, high), unit in zip(budget, ("MACs", "parameters"), strict=True)
    if math.isfinite(high)
  ]
  return " and ".join(parts)
