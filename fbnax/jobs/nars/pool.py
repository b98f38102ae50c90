"""The pool that a search draws its candidates from, and what it costs.

What of it meets which budget says how hard a budget is to meet, and what the
candidates and members will be like, before anything is trained.

Symbols: `n` points of the pool, `D` decisions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from fbnax.base.cost_kinds import ALWAYS, COST_KINDS
from fbnax.costs.table import Context
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.runtime import inputs
from fbnax.search.budgets import Budget, further, paid
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
    further: any other cost that a budget limits, of each by name, `f64[n]`.
  """

  space: SearchSpace
  genotypes: np.ndarray
  macs: np.ndarray
  params: np.ndarray
  further: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

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
    elif not limits:
      within = self.macs_within(budgets)
      limits = [] if within is None else [within]
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

  def macs_within(
    self, budgets: Sequence[Budget]
  ) -> tuple[float, float] | None:
    """Fewest and most MACs of the points that meet a budget of other costs.

    What is searched where MACs and parameters are not all that is limited; None
    where they are, or no point meets a budget.
    """
    inside = np.zeros(len(self.macs), bool)
    for budget in budgets:
      if budget.further():
        inside |= self.inside(budget)
    if not inside.any():
      return None
    found = self.macs[inside]
    return float(found.min()), float(found.max())

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
    told = {"macs": self.macs, "params": self.params, **self.further}
    for name, value in told.items():
      low, high = budget[name]
      total += np.maximum(low - value, 0.0) / (low or 1.0)
      total += np.maximum(value - high, 0.0) / high
    return total


def draw(
  space: SearchSpace,
  count: int,
  seed: int,
  context: Context,
  further: tuple[str, ...] = (),
) -> Pool:
  """The pool of a search with that seed, `n = count`.

  Args:
    space: the space.
    count: `n`.
    seed: of the search.
    context: what costs depend on beside the network.
    further: costs beside MACs and parameters that a budget limits.
  """
  genotypes = space.sobol(count, seed)
  told = {
    name: np.asarray(value, np.float64)
    for name, value in paid(space, genotypes, context, further)
    ._asdict()
    .items()
  }
  macs, params = (told.pop(name) for name in ALWAYS)
  return Pool(space, np.asarray(genotypes), macs, params, told)


def draw_for(
  config: NarsConfig,
  space: SearchSpace,
  num_classes: int,
  budgets: Sequence[Budget],
) -> Pool:
  """The pool of a search with that config, and what its budgets limit."""
  context = Context(num_classes, inputs.latency_table(config))
  return draw(space, config.search.pool, config.seed, context, further(budgets))


def resolutions(space: SearchSpace, genotypes: np.ndarray) -> np.ndarray:
  """Pixels of each genotype's images, `int[n]`."""
  field = space.table.resolution
  if not isinstance(field, Follow):
    return np.full(len(genotypes), field)
  names = [d.name for d in space.decisions]
  return np.asarray(field.values)[genotypes[:, names.index(field.decision)]]


def shown(budget: Budget) -> str:
  """`360,000 to 400,000 MACs`."""
  parts = []
  for name, (low, high) in budget.items():
    if math.isfinite(high):
      digits = ",.0f" if name in ALWAYS else ",.6g"
      unit = COST_KINDS[name].unit
      parts.append(f"{low:{digits}} to {high:{digits}} {unit}")
  return " and ".join(parts)
