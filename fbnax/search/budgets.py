"""Budgets: limits on what a network may cost, and what a space can meet.

Symbols: `b` budgets, `n` candidates, `D` decisions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.costs import Costs, LatencyTable
from fbnax.spaces import SearchSpace

# Rounding of float32 costs, relative. Integers up to 2**24 are exact.
ROUNDING = 1e-6
EXACT = 2.0**24
LATENCY_ROUNDING = 1e-5  # Sums of a table, whose parts may be negative.


class Budget(NamedTuple):
  """Limits on what a network may cost; infinite where there is none.

  Attributes:
    macs: lowest and highest multiply-accumulates, included; numbers, or arrays
      `[b]` for a batch of budgets.
    params: lowest and highest number of parameters, likewise.
    latency: lowest and highest ms by a latency table, likewise.
    memory: lowest and highest peak of activations, elements, likewise.
  """

  macs: tuple[Any, Any] = (0.0, math.inf)
  params: tuple[Any, Any] = (0.0, math.inf)
  latency: tuple[Any, Any] = (0.0, math.inf)
  memory: tuple[Any, Any] = (0.0, math.inf)

  def limits(self, name: str) -> bool:
    """Whether there is a limit on that cost."""
    low, high = getattr(self, name)
    return bool(np.any(np.isfinite(high)) or np.any(np.greater(low, 0)))


class Paid(NamedTuple):
  """What networks cost where more than MACs and parameters is limited.

  Attributes:
    macs: multiply-accumulates, `f32[n]`.
    params: parameters, `f32[n]`.
    latency: ms, `f32[n]`; 0 without a table.
    memory: peak of activations, elements, `f32[n]`; 0 where it is not asked.
  """

  macs: jax.Array
  params: jax.Array
  latency: jax.Array
  memory: jax.Array


class CostRange(NamedTuple):
  """What the networks of a space cost.

  Attributes:
    macs: fewest and most multiply-accumulates.
    params: fewest and most parameters.
    genotypes: where these four are, in that order, `i32[4, D]`.
  """

  macs: tuple[int, int]
  params: tuple[int, int]
  genotypes: jax.Array


def batched(budgets: Budget) -> Budget:
  """The budgets with all limits as `f32[b]`; a single one becomes `b = 1`.

  Raises:
    ValueError: a limit is NaN, or a lowest one is above the highest.
  """
  limits = np.broadcast_arrays(
    *(np.atleast_1d(np.asarray(v, np.float64)) for v in _flat(budgets))
  )
  for name, low, high in zip(
    Budget._fields, limits[::2], limits[1::2], strict=True
  ):
    wrong = np.flatnonzero(~(low <= high))
    if len(wrong):
      i = wrong[0]
      raise ValueError(
        f"budget {i} has {name} from {low[i]} to {high[i]}; "
        "legal: two numbers, the lowest first"
      )
  arrays = [jnp.asarray(v, jnp.float32) for v in limits]
  return Budget(*zip(arrays[::2], arrays[1::2], strict=True))


def stacked(budgets: Sequence[Budget]) -> Budget:
  """Several budgets as one batch."""
  return Budget(
    *(
      (
        np.asarray([b[i][0] for b in budgets]),
        np.asarray([b[i][1] for b in budgets]),
      )
      for i in range(len(Budget._fields))
    )
  )


def paid(
  space: SearchSpace,
  genotypes: jax.Array,
  num_classes: int,
  table: LatencyTable | None = None,
  memory: bool = False,
) -> Costs | Paid:
  """What genotypes cost, `f32[n]` each; can be jitted.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.
    num_classes: outputs of the classifier.
    table: tells latencies.
    memory: whether the peak of activations is counted.

  Returns:
    MACs and parameters, and the others where one of them is asked for.
  """
  found = costs.batch(space, genotypes, num_classes)
  if table is None and not memory:
    return found
  none = jnp.zeros_like(found.macs)
  return Paid(
    found.macs,
    found.params,
    none if table is None else table.batch(space, genotypes),
    costs.batch_peak_memory(space, genotypes) if memory else none,
  )


def violation(budget: Budget, found: Costs | Paid) -> jax.Array:
  """How far costs are outside a budget, relative to its limits, `f32[n]`.

  0 says that the exact costs meet it: limits are tightened by the rounding of
  float32 costs, one part in a million, where these are not exact.

  Args:
    budget: limits; on costs that are not told there must be none.
    found: as `paid` tells them.
  """
  total = jnp.zeros(())
  for name, value in found._asdict().items():
    low, high = getattr(budget, name)
    slack = jnp.where(value > EXACT, value * ROUNDING, 0.0)
    if name == "latency":
      slack = value * LATENCY_ROUNDING
    below = jnp.maximum(low + slack - value, 0.0) / _unless_0(low)
    above = jnp.maximum(value + slack - high, 0.0) / _unless_0(high)
    total = total + below + above
  return total


@functools.lru_cache(maxsize=32)
def cost_range(space: SearchSpace, num_classes: int = 1000) -> CostRange:
  """The exact fewest and most MACs and parameters of a space.

  Each is found by setting one decision after the other to its best choice
  until none improves, from 64 random genotypes and the two of all lowest and
  all highest choices. This assumes that an optimum can be reached one decision
  at a time, which holds where costs rise with every ordinal decision up to
  the rounding of widths; the many starts guard against that rounding.

  Args:
    space: the space.
    num_classes: outputs of the classifier.
  """
  values, places = [], []
  for which in range(2):
    for sign in (1.0, -1.0):
      place = descend(
        space, functools.partial(_signed, space, which, sign, num_classes)
      )
      canonical = space.canonical(jnp.asarray(place)[None])[0]
      exact = costs.count(space.architecture(canonical), num_classes)
      values.append(exact[which])
      places.append(canonical)
  return CostRange(
    (values[0], values[1]), (values[2], values[3]), jnp.stack(places)
  )


def check_reachable(
  budgets: Budget, space: SearchSpace, num_classes: int = 1000
) -> None:
  """Raises a ValueError that names the first limit outside the space.

  Of MACs and parameters; `fbnax.search.prices.check_budgets` checks all.
  """
  reachable = cost_range(space, num_classes)
  for name in costs.Costs._fields:
    fewest, most = getattr(reachable, name)
    for i, (low, high) in enumerate(
      zip(*np.asarray(getattr(budgets, name), np.float64), strict=True)
    ):
      # A limit in float32 may lie a rounding away from the exact integer.
      if high < fewest * (1 - ROUNDING) or low > most * (1 + ROUNDING):
        raise ValueError(
          f"budget {i} has {name} from {low:.0f} to {high:.0f}; space "
          f"{space.name!r} has networks from {fewest} to {most}"
        )


def descend(
  space: SearchSpace, cost: Callable[[jax.Array], np.ndarray]
) -> np.ndarray:
  """The genotype with the lowest cost that is found from any start, `i32[D]`.

  Args:
    space: the space.
    cost: of each genotype of `i32[n, D]`, as `[n]`.
  """
  choices = np.asarray(space.choices)
  ends = np.stack([np.zeros_like(choices), choices - 1])
  sampled = np.asarray(space.sample(jax.random.key(0), 64))
  starts = np.concatenate([ends, sampled]).astype(np.int32)
  columns = [
    i
    for i, d in enumerate(space.decisions)
    if len(d.values) > 1 and not space.is_recipe(d)
  ]
  # Padded to the widest decision, so that all share one program.
  widest = max([space.choices[i] for i in columns], default=1)
  current = starts.copy()
  lowest = np.full(len(starts), math.inf)
  while True:
    before = lowest.copy()
    for column in columns or [0]:
      tried = np.repeat(current[:, None], widest, axis=1)
      if columns:
        last = space.choices[column] - 1
        tried[:, :, column] = np.minimum(np.arange(widest), last)
      found = cost(jnp.asarray(tried.reshape(-1, tried.shape[-1])))
      found = np.asarray(found).reshape(len(starts), widest)
      best = found.argmin(axis=1)
      current = tried[np.arange(len(starts)), best]
      lowest = found[np.arange(len(starts)), best]
    if (lowest >= before).all():
      return current[lowest.argmin()]


def _signed(
  space: SearchSpace,
  which: int,
  sign: float,
  num_classes: int,
  genotypes: jax.Array,
) -> np.ndarray:
  """MACs or parameters, or their negatives, `[n]`."""
  return sign * np.asarray(costs.batch(space, genotypes, num_classes)[which])


def _unless_0(limit: Any) -> jax.Array:
  return jnp.where(jnp.equal(limit, 0), 1.0, limit)


def _flat(budgets: Budget) -> list[Any]:
  return [limit for pair in budgets for limit in pair]
