"""The cost that a search pays: MACs, parameters, latency or peak memory.

One object answers for choice weights, for populations and for one network, so
that the search, the derivation and the report mean the same number.

Symbols: `n` genotypes, `D` decisions, `B` examples.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.cost_kinds import COST_KINDS
from fbnax.costs.table import Context, Cost, cost
from fbnax.search import budgets
from fbnax.search.budgets import Budget
from fbnax.spaces import SearchSpace

# Limits in float32, and costs of a table, may lie so far from the exact ones.
_ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True, eq=False)
class Price:
  """What is paid in a space.

  Attributes:
    space: the space.
    num_classes: outputs of the classifier.
    kind: a key of `COST_KINDS`.
    table: a `costs.LatencyTable`, for latency.
  """

  space: SearchSpace
  num_classes: int
  kind: str = "macs"
  table: Any = None

  def __post_init__(self) -> None:
    """Refuses a cost that cannot be told; a table must have every block."""
    if self.kind not in COST_KINDS:
      raise ValueError(
        f"search.cost is {self.kind!r}; legal: {', '.join(COST_KINDS)}"
      )
    if (self.table is None) == self.cost.needs_table:
      raise ValueError(
        f"search.cost is {self.kind!r} and search.table "
        f"{'is given' if self.table is not None else 'is not'}; legal: a table "
        "with latency, and none without"
      )
    self.cost.check(self.space, self.context)

  @property
  def cost(self) -> Cost:
    """How it is computed."""
    return cost(self.kind)

  @property
  def context(self) -> Context:
    """What it depends on beside the network."""
    return Context(self.num_classes, self.table)

  @property
  def unit(self) -> str:
    """What a cost is counted in."""
    return self.cost.unit

  def expected(self, weights: Sequence[jax.Array]) -> jax.Array:
    """The cost under choice weights, `f32[]`; differentiable.

    Args:
      weights: one `f32[choices]` per decision, or `f32[B, choices]`: then the
        mean over the examples.
    """
    if any(w.ndim > 1 for w in weights):
      return jax.vmap(self._expected)(tuple(weights)).mean()
    return self._expected(tuple(weights))

  def _expected(self, weights: tuple[jax.Array, ...]) -> jax.Array:
    expected = self.cost.expected(self.space, weights, self.context)
    return jnp.asarray(expected)

  def batch(self, genotypes: Any) -> np.ndarray:
    """The cost of each of `i32[n, D]`, `f64[n]`."""
    genotypes = jnp.asarray(genotypes, jnp.int32)
    costs = self.cost.batch(self.space, genotypes, self.context)
    return np.asarray(costs, np.float64)

  def exact(self, genotype: Any) -> float:
    """The cost of the network of `i32[D]`; an integer's for counts."""
    architecture = self.space.architecture(genotype)
    return float(self.cost.exact(architecture, self.context))

  def show(self, cost: float) -> str:
    """The cost as a sentence says it."""
    return self.cost.show(cost)


def price_of(name: str, space: SearchSpace, context: Context) -> Price:
  """The price of a cost, with the table where it needs one."""
  table = context.table if cost(name).needs_table else None
  return Price(space, context.num_classes, name, table)


def feasible(price: Price) -> tuple[float, float]:
  """The least and the most that a network of the space costs.

  As `budgets.cost_range`, for any cost: one decision after the other takes its
  best choice until none improves, from many starts.
  """
  low, high = (price.exact(genotype) for genotype in ends(price))
  return low, high


def ends(price: Price) -> np.ndarray:
  """Genotypes that cost least and most, `i32[2, D]`; canonical."""
  return _ends(price.space, price.num_classes, price.kind, price.table)


@functools.lru_cache(maxsize=32)
def _ends(
  space: SearchSpace, num_classes: int, kind: str, table: Any
) -> np.ndarray:
  price = Price(space, num_classes, kind, table)
  places = [
    budgets.descend(space, functools.partial(signed, price, sign))
    for sign in (1.0, -1.0)
  ]
  return np.asarray(space.canonical(jnp.asarray(np.stack(places))))


def check_target(price: Price, target: float) -> None:
  """Raises a ValueError with the feasible range for a target outside of it."""
  low, high = feasible(price)
  if not low <= target <= high:
    raise ValueError(
      f"search.target is {target:g} {price.unit}; space {price.space.name!r} "
      f"has networks from {price.show(low)} to {price.show(high)}"
    )


def check_budgets(
  limits: Budget,
  space: SearchSpace,
  num_classes: int = 1000,
  table: Any = None,
) -> None:
  """Raises a ValueError for a limit that cannot be told or met.

  Args:
    limits: a batch, as `budgets.batched` makes it.
    space: the space.
    num_classes: outputs of the classifier.
    table: a `costs.LatencyTable`, for limits on latency.
  """
  budgets.check_reachable(limits, space, num_classes)
  check_tables(limits, table, "budgets limit")
  for name in limits.further():
    price = price_of(name, space, Context(num_classes, table))
    fewest, most = feasible(price)
    for i, (low, high) in enumerate(
      zip(*np.asarray(limits[name], np.float64), strict=True)
    ):
      if high < fewest * (1 - _ROUNDING) or low > most * (1 + _ROUNDING):
        raise ValueError(
          f"budget {i} has a {name} from {price.show(low)} to "
          f"{price.show(high)}; space {space.name!r} has networks from "
          f"{price.show(fewest)} to {price.show(most)}"
        )


def check_tables(limits: Budget, table: Any, subject: str) -> None:
  """Raises a ValueError for a limit that needs a table where there is none."""
  for name in limits.further():
    if cost(name).needs_table and table is None:
      raise ValueError(
        f"{subject} the {name} and there is no latency table; legal: both"
      )


def signed(price: Price, sign: float, genotypes: jax.Array) -> np.ndarray:
  """What to descend by: costs of `i32[n, D]` times a sign, `f64[n]`."""
  if price.cost.smooth is None:
    return sign * price.batch(genotypes)
  smooth = price.cost.smooth(price.space, genotypes, price.context)
  return sign * np.asarray(smooth, np.float64)
