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

from fbnax import costs
from fbnax.costs.latency_keys import made_of_blocks
from fbnax.costs.memory import expected_peak_memory, place_memory
from fbnax.search import budgets
from fbnax.search.budgets import Budget
from fbnax.spaces import SearchSpace

KINDS = ("macs", "params", "latency", "memory")
UNITS = {
  "macs": "MACs",
  "params": "parameters",
  "latency": "ms",
  "memory": "elements",
}
_MOST_OF = 16  # Order of the norm that stands for a maximum.


@dataclasses.dataclass(frozen=True, eq=False)
class Price:
  """What is paid in a space.

  Attributes:
    space: the space.
    num_classes: outputs of the classifier.
    kind: one of `KINDS`.
    table: a `costs.LatencyTable`, for latency.
  """

  space: SearchSpace
  num_classes: int
  kind: str = "macs"
  table: Any = None

  def __post_init__(self) -> None:
    """Refuses a cost that cannot be told; a table must have every block."""
    if self.kind not in KINDS:
      raise ValueError(
        f"search.cost is {self.kind!r}; legal: {', '.join(KINDS)}"
      )
    if (self.table is None) == (self.kind == "latency"):
      raise ValueError(
        f"search.cost is {self.kind!r} and search.table "
        f"{'is given' if self.table is not None else 'is not'}; legal: a table "
        "with latency, and none without"
      )
    if self.table is not None:
      self.table.check(self.space)
    if self.kind == "memory":
      made_of_blocks(self.space.table)

  @property
  def unit(self) -> str:
    """What a cost is counted in."""
    return UNITS[self.kind]

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
    if self.table is not None:
      return jnp.asarray(self.table.expected(self.space, weights))
    if self.kind == "memory":
      return expected_peak_memory(self.space, weights)
    found = costs.expected(self.space, weights, self.num_classes)
    return jnp.asarray(getattr(found, self.kind))

  def batch(self, genotypes: Any) -> np.ndarray:
    """The cost of each of `i32[n, D]`, `f64[n]`."""
    genotypes = jnp.asarray(genotypes, jnp.int32)
    if self.table is not None:
      return np.asarray(self.table.batch(self.space, genotypes), np.float64)
    if self.kind == "memory":
      found = costs.batch_peak_memory(self.space, genotypes)
      return np.asarray(found, np.float64)
    found = costs.batch(self.space, genotypes, self.num_classes)
    return np.asarray(getattr(found, self.kind), np.float64)

  def exact(self, genotype: Any) -> float:
    """The cost of the network of `i32[D]`; an integer's for counts."""
    architecture = self.space.architecture(genotype)
    if self.table is not None:
      return float(self.table.latency(architecture))
    if self.kind == "memory":
      return float(costs.peak_memory(architecture))
    found = costs.count(architecture, self.num_classes)
    return float(getattr(found, self.kind))

  def show(self, cost: float) -> str:
    """The cost as a sentence says it."""
    if self.kind == "latency":
      return f"{cost:.4g} ms"
    return f"{cost:,.0f} {self.unit}"


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
  if limits.limits("latency") and table is None:
    raise ValueError(
      "budgets limit the latency and there is no latency table; legal: both"
    )
  for kind in ("latency", "memory"):
    if not limits.limits(kind):
      continue
    price = Price(
      space, num_classes, kind, table if kind == "latency" else None
    )
    fewest, most = feasible(price)
    for i, (low, high) in enumerate(
      zip(*np.asarray(getattr(limits, kind), np.float64), strict=True)
    ):
      # A limit in float32 may lie a rounding away from the exact cost.
      room = budgets.LATENCY_ROUNDING
      if high < fewest * (1 - room) or low > most * (1 + room):
        raise ValueError(
          f"budget {i} has a {kind} from {price.show(low)} to "
          f"{price.show(high)}; space {space.name!r} has networks from "
          f"{price.show(fewest)} to {price.show(most)}"
        )


_place_memory = jax.jit(place_memory, static_argnums=0)


def signed(price: Price, sign: float, genotypes: jax.Array) -> np.ndarray:
  """What to descend by: costs of `i32[n, D]` times a sign, `f64[n]`.

  Of memory a norm of all places that is close to their largest.
  """
  if price.kind == "memory":
    # One place alone is the peak: a change elsewhere would never show.
    held = np.asarray(_place_memory(price.space, genotypes), np.float64)
    return sign * np.asarray(np.linalg.norm(held, _MOST_OF, axis=1))
  return sign * price.batch(genotypes)
