"""The table of costs: what each is called wherever one is read or written.

MACs and parameters are told of every network; any other cost is told where it
is limited or asked for. A new cost is an entry here and a file in
`fbnax/costs/` that computes it (`fbnax.costs.table`): configs take the key
`budgets.NAME`, searches take limits on it, and results and reports show it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class CostKind:
  """The words for a cost.

  Attributes:
    name: the key in configs and results.
    source: `module:NAME` in `fbnax.costs`, the `Cost` that computes it.
    unit: that a number is counted in.
    column: the heading of its column in a report.
    limit: what follows a limit in a sentence of a report.
    suffix: what follows a limit in the name of a family's member.
    budget: what `budgets.NAME` of a config is.
    budget_unit: the unit of that key.
    note: what follows its name in a list of all costs.
    is_count: numbers are counts, which are shown without decimals.
  """

  name: str
  source: str
  unit: str
  column: str
  limit: str
  suffix: str
  budget: str
  budget_unit: str
  note: str = ""
  is_count: bool = True

  def show(self, cost: float) -> str:
    """A cost with its unit, as a sentence says it."""
    number = f"{cost:,.0f}" if self.is_count else f"{cost:.4g}"
    return f"{number} {self.unit}"


COST_KINDS = {
  kind.name: kind
  for kind in (
    CostKind(
      "macs",
      source="batch:MACS",
      unit="MACs",
      column="MACs",
      limit="MACs",
      suffix="",
      budget="largest of a member, each value one's",
      budget_unit="MACs",
    ),
    CostKind(
      "params",
      source="batch:PARAMS",
      unit="parameters",
      column="parameters",
      limit="parameters",
      suffix="p",
      budget="largest of a member, each value one's; with `macs` both hold",
      budget_unit="numbers",
    ),
    CostKind(
      "latency",
      source="latency:LATENCY",
      unit="ms",
      column="latency, ms",
      limit="ms",
      suffix="ms",
      budget="largest of a member, by `budgets.table`",
      budget_unit="ms",
      is_count=False,
    ),
    CostKind(
      "memory",
      source="memory:MEMORY",
      unit="elements",
      column="peak memory, elements",
      limit="elements of memory",
      suffix="e",
      budget="largest peak of a member's activations, of one image",
      budget_unit="elements",
      note=", the peak of activations in elements",
    ),
  )
}
ALWAYS = ("macs", "params")  # What every network's costs have.
FURTHER = tuple(name for name in COST_KINDS if name not in ALWAYS)


def listed() -> str:
  """All costs in a sentence: "`macs`, `params` or `latency`"."""
  names = [f"`{kind.name}`{kind.note}" for kind in COST_KINDS.values()]
  return f"{', '.join(names[:-1])} or {names[-1]}"


def measured(name: str) -> CostKind | None:
  """A cost that is no count; None where it is, or where the table lacks it."""
  kind = COST_KINDS.get(name)
  return None if kind is None or kind.is_count else kind


def fields(
  names: tuple[str, ...],
  annotation: str,
  default: Callable[[CostKind], Any] = lambda kind: None,
) -> Callable[[type[_T]], type[_T]]:
  """Adds a field for each cost to a class that becomes a dataclass.

  Args:
    names: of the costs.
    annotation: of the fields.
    default: of a field, by its cost.

  Returns:
    A decorator; `dataclasses.dataclass` stands above it.
  """

  def added(kind: type[_T]) -> type[_T]:
    for name in names:
      kind.__annotations__[name] = annotation
      setattr(kind, name, default(COST_KINDS[name]))
    return kind

  return added
