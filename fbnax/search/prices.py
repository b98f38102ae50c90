"""The cost that a differentiable search pays: MACs, parameters or latency.

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
from fbnax.search import budgets
from fbnax.spaces import SearchSpace

KINDS = ("macs", "params", "latency")
UNITS = {"macs": "MACs", "params": "parameters", "latency": "ms"}


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
    found = costs.expected(self.space, weights, self.num_classes)
    return jnp.asarray(getattr(found, self.kind))

  def batch(self, genotypes: Any) -> np.ndarray:
    """The cost of each of `i32[n, D]`, `f64[n]`."""
    genotypes = jnp.asarray(genotypes, jnp.int32)
    if self.table is not None:
      return np.asarray(self.table.batch(self.space, genotypes), np.float64)
    found = costs.batch(self.space, genotypes, self.num_classes)
    return np.asarray(getattr(found, self.kind), np.float64)

  def exact(self, genotype: Any) -> float:
    """The cost of the network of `i32[D]`; an integer's for counts."""
    architecture = self.space.architecture(genotype)
    if self.table is not None:
      return float(self.table.latency(architecture))
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
  found = []
  for sign in (1.0, -1.0):
    place = budgets.descend(
      price.space, functools.partial(_signed, price, sign)
    )
    canonical = price.space.canonical(jnp.asarray(place)[None])[0]
    found.append(price.exact(canonical))
  return found[0], found[1]


def check_target(price: Price, target: float) -> None:
  """Raises a ValueError with the feasible range for a target outside of it."""
  low, high = feasible(price)
  if not low <= target <= high:
    raise ValueError(
      f"search.target is {target:g} {price.unit}; space {price.space.name!r} "
      f"has networks from {price.show(low)} to {price.show(high)}"
    )


def _signed(price: Price, sign: float, genotypes: jax.Array) -> np.ndarray:
  return sign * price.batch(genotypes)
