"""Costs as objects: one for each entry of `fbnax.base.cost_kinds`.

A cost answers for one network (exact), for a population and for choice weights
(with a gradient). It computes under a context, which holds what not every cost
needs: the number of classes, and the latency table of a device.

  from fbnax.costs import table

  memory = table.cost("memory")
  memory.exact(architecture, table.Context())  # elements

A file of a new cost ends with such an object:

  ENERGY = Cost("energy", exact=_exact, batch=_batch, expected=_expected)

Symbols: `n` genotypes, `D` decisions.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from fbnax.base.cost_kinds import COST_KINDS
from fbnax.spaces.space import SearchSpace

if TYPE_CHECKING:  # It is a cost itself.
  from fbnax.costs.latency import LatencyTable


class Context(NamedTuple):
  """What a cost may depend on beside the network; can be a static argument.

  Attributes:
    num_classes: outputs of the classifier.
    table: of latencies; None where there is none.
  """

  num_classes: int = 1000
  table: LatencyTable | None = None


def _fits(space: SearchSpace, context: Context) -> None:
  """Every space is legal."""


@dataclasses.dataclass(frozen=True)
class Cost:
  """How a cost is computed.

  Attributes:
    name: a key of `COST_KINDS`.
    exact: of a network, a whole number where costs are counts.
    batch: of each genotype of `i32[n, D]`, `f32[n]`; can be jitted.
    expected: under choice weights, one `f32[choices]` per decision, `f32[]`;
      differentiable, and the cost of the network at one-hot weights.
    check: raises a ValueError for a space whose networks it cannot cost.
    smooth: like `batch`, but changed by every decision that takes part in the
      cost, to find the networks that cost least and most; None for `batch`.
    needs_table: whether the context must have a latency table.
    rounding: relative, of `batch`; 0 where only float32 rounds, which holds
      whole numbers exactly up to 2**24.
    log_factor: of the unit, so that costs are above 1 and have logarithms
      above 0.
  """

  name: str
  exact: Callable[[Any, Context], float]
  batch: Callable[[SearchSpace, jax.Array, Context], jax.Array]
  expected: Callable[[SearchSpace, Sequence[jax.Array], Context], jax.Array]
  check: Callable[[SearchSpace, Context], Any] = _fits
  smooth: Callable[[SearchSpace, jax.Array, Context], Any] | None = None
  needs_table: bool = False
  rounding: float = 0.0
  log_factor: float = 1.0

  @property
  def unit(self) -> str:
    """That a number is counted in."""
    return COST_KINDS[self.name].unit

  def show(self, cost: float) -> str:
    """A number with its unit, as a sentence says it."""
    return COST_KINDS[self.name].show(cost)


@functools.cache
def cost(name: str) -> Cost:
  """The cost of a name.

  Raises:
    ValueError: there is none; the legal names are given.
  """
  if name not in COST_KINDS:
    raise ValueError(f"cost is {name!r}; legal: {', '.join(COST_KINDS)}")
  module, _, attribute = COST_KINDS[name].source.partition(":")
  entry: Cost = getattr(
    importlib.import_module(f"fbnax.costs.{module}"), attribute
  )
  return entry
