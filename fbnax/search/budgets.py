"""Budgets: limits on what a network may cost, and what a space can meet.

Symbols: `b` budgets, `n` candidates, `D` decisions.
"""

from __future__ import annotations

import functools
import math
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.base.cost_kinds import ALWAYS, COST_KINDS, FURTHER
from fbnax.costs.table import Context, cost
from fbnax.spaces import SearchSpace

# Rounding of float32 costs, relative. Integers up to 2**24 are exact.
ROUNDING = 1e-6
EXACT = 2.0**24
_FREE = (0.0, math.inf)


@jax.tree_util.register_pytree_node_class
class Budget(Mapping[str, tuple[Any, Any]]):
  """Limits on what a network may cost: a range for the name of each cost.

  `Budget(macs=(0, 1e6))` limits the MACs, and leaves all else free: from 0 to
  infinity. `budget["macs"]` and `budget.macs` are the lowest and the highest,
  both included; numbers, or arrays `[b]` for a batch of budgets. Names and
  units are those of `fbnax.base.cost_kinds.COST_KINDS`: `macs`, `params`,
  `latency` (ms by a latency table), `memory` (peak of activations, elements).

  Raises:
    TypeError: a limit on something else; what is legal is named.
  """

  __slots__ = ("_ranges",)

  def __init__(self, **ranges: tuple[Any, Any]):
    for name in ranges:
      if name not in COST_KINDS:
        raise TypeError(
          f"a budget limits {name!r}; legal: {', '.join(COST_KINDS)}"
        )
    self._ranges = {name: ranges.get(name, _FREE) for name in COST_KINDS}

  def __getitem__(self, name: str) -> tuple[Any, Any]:
    """The lowest and the highest of a cost."""
    return self._ranges[name]

  def __getattr__(self, name: str) -> tuple[Any, Any]:
    """The same as `budget[name]`."""
    if name not in COST_KINDS:
      raise AttributeError(name)
    return self._ranges[name]

  def __iter__(self) -> Iterator[str]:
    """The names of all costs, in the order of their table."""
    return iter(self._ranges)

  def __len__(self) -> int:
    """The number of costs."""
    return len(self._ranges)

  def __repr__(self) -> str:
    """As it is called."""
    ranges = ", ".join(f"{name}={r!r}" for name, r in self.items())
    return f"Budget({ranges})"

  def limits(self, name: str) -> bool:
    """Whether there is a limit on that cost."""
    low, high = self[name]
    return bool(np.any(np.isfinite(high)) or np.any(np.greater(low, 0)))

  def further(self) -> tuple[str, ...]:
    """The limited costs beside MACs and parameters."""
    return tuple(name for name in FURTHER if self.limits(name))

  def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
    """For JAX: the ranges."""
    return tuple(self.values()), None

  @classmethod
  def tree_unflatten(cls, _: None, ranges: Iterable[Any]) -> Budget:
    """For JAX: the budget of what `tree_flatten` gave."""
    budget = object.__new__(cls)
    budget._ranges = dict(zip(COST_KINDS, ranges, strict=True))
    return budget


class Paid(Protocol):
  """What networks cost: a NamedTuple with `f32[n]` for each cost that is told.

  MACs and parameters always are; these alone are `fbnax.costs.Costs`.
  """

  @property
  def macs(self) -> Any:
    """Multiply-accumulates."""

  @property
  def params(self) -> Any:
    """Parameters."""

  def _asdict(self) -> dict[str, Any]: ...


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
  flat = [limit for limits in budgets.values() for limit in limits]
  limits = np.broadcast_arrays(
    *(np.atleast_1d(np.asarray(limit, np.float64)) for limit in flat)
  )
  ranges = {}
  for name, low, high in zip(budgets, limits[::2], limits[1::2], strict=True):
    wrong = np.flatnonzero(~(low <= high))
    if len(wrong):
      i = wrong[0]
      raise ValueError(
        f"budget {i} has {name} from {low[i]} to {high[i]}; "
        "legal: two numbers, the lowest first"
      )
    ranges[name] = jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32)
  return Budget(**ranges)


def stacked(budgets: Sequence[Budget]) -> Budget:
  """Several budgets as one batch."""
  return jax.tree.map(lambda *limits: np.asarray(limits), *budgets)


def further(budgets: Iterable[Budget]) -> tuple[str, ...]:
  """The costs beside MACs and parameters that one of the budgets limits."""
  limited = {name for budget in budgets for name in budget.further()}
  return tuple(name for name in FURTHER if name in limited)


def context_of(
  names: Iterable[str], num_classes: int, table: costs.LatencyTable | None
) -> Context:
  """The context of costs, with the table where one of them needs it."""
  needed = any(cost(name).needs_table for name in names)
  return Context(num_classes, table if needed else None)


def paid(
  space: SearchSpace,
  genotypes: jax.Array,
  context: Context,
  names: tuple[str, ...] = (),
) -> Paid:
  """What genotypes cost, `f32[n]` each; can be jitted.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.
    context: number of classes, and the table where a cost needs it.
    names: of the costs that are told beside MACs and parameters.
  """
  counted = costs.batch(space, genotypes, context.num_classes)
  if not names:
    return counted
  told: Paid = _paid_class(names)(
    *counted,
    *(cost(name).batch(space, genotypes, context) for name in names),
  )
  return told


@functools.cache
def _paid_class(names: tuple[str, ...]) -> Any:
  """One class for the same names, as JAX compares them."""
  return namedtuple("Paid", (*ALWAYS, *names))


def violation(budget: Budget, paid_costs: Paid) -> jax.Array:
  """How far costs are outside a budget, relative to its limits, `f32[n]`.

  0 says that the exact costs meet it: limits are tightened by the rounding of
  float32 costs, one part in a million, where these are not exact.

  Args:
    budget: limits; on costs that are not told there must be none.
    paid_costs: as `paid` tells them.
  """
  total = jnp.zeros(())
  for name, value in paid_costs._asdict().items():
    low, high = budget[name]
    slack = value * cost(name).rounding
    if not cost(name).rounding:
      slack = jnp.where(value > EXACT, value * ROUNDING, 0.0)
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


def of_shares(
  shares: Sequence[float], floor: float, space: SearchSpace, num_classes: int
) -> list[float]:
  """Limits on MACs, as shares of those of a space's largest network.

  Args:
    shares: of `config.budgets.share`.
    floor: least share of its limit that a network must use.
    space: the space.
    num_classes: outputs of the classifier.

  Raises:
    ValueError: no network meets one; the range that can be met is told.
  """
  fewest, most = cost_range(space, num_classes).macs
  least = fewest / most
  for share in shares:
    if share < least or floor * share > 1:
      raise ValueError(
        f"config.budgets.share has {share:g}; legal: from"
        f" {math.ceil(1000 * least) / 1000:g} to 1, since the networks of space"
        f" {space.name!r} have {fewest:,} to {most:,} MACs"
      )
  return [share * most for share in shares]


def check_reachable(
  budgets: Budget, space: SearchSpace, num_classes: int = 1000
) -> None:
  """Raises a ValueError that names the first limit outside the space.

  Of MACs and parameters; `fbnax.search.prices.check_budgets` checks all.
  """
  reachable = cost_range(space, num_classes)
  for name in ALWAYS:
    fewest, most = getattr(reachable, name)
    for i, (low, high) in enumerate(
      zip(*np.asarray(budgets[name], np.float64), strict=True)
    ):
      # A limit in float32 may lie a rounding away from the exact integer.
      if high < fewest * (1 - ROUNDING) or low > most * (1 + ROUNDING):
        raise ValueError(
          f"budget {i} has {name} from {low:.0f} to {high:.0f}; space "
          f"{space.name!r} has networks from {fewest} to {most}"
        )


def descend(
  space: SearchSpace, costs_of: Callable[[jax.Array], np.ndarray]
) -> np.ndarray:
  """The genotype with the lowest cost that is found from any start, `i32[D]`.

  Args:
    space: the space.
    costs_of: each genotype of `i32[n, D]`, as `[n]`.
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
      values = costs_of(jnp.asarray(tried.reshape(-1, tried.shape[-1])))
      values = np.asarray(values).reshape(len(starts), widest)
      best = values.argmin(axis=1)
      current = tried[np.arange(len(starts)), best]
      lowest = values[np.arange(len(starts)), best]
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
