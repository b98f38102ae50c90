"""What the job `nbdt_tables` trains: a cell for each combination.

The cells of one seed start from the same weights and see the same batches, and
those of the loss `none` are one training, the plain network's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.jobs.runtime.trees import settings
from fbnax.nbdt.supervision import LOSSES, SCHEDULES


@dataclasses.dataclass(frozen=True)
class Cell:
  """One training under one tree.

  Attributes:
    hierarchy: see `config.tree.hierarchy`.
    loss: of the tree, or "none".
    schedule: of its weight; "" without a loss.
    updates: start, end and period of hierarchies made in training; () without.
    unseen: whether classes are held out.
  """

  hierarchy: str
  loss: str = "none"
  schedule: str = ""
  updates: tuple[int, ...] = ()
  unseen: bool = False

  @property
  def network(self) -> str:
    """Name of the trained network, which several cells may share."""
    kind = self.hierarchy.rsplit("/", 1)[-1].removesuffix(".json")
    parts = ["plain"]
    if self.loss != "none":
      parts = [kind, self.loss, self.schedule]
    if self.updates:
      parts.append("from" + "_".join(map(str, self.updates)))
    if self.unseen:
      parts.append("unseen")
    return "-".join(parts)


def plan(config: Any) -> list[Cell]:
  """All cells of one seed, the plain network's first.

  Args:
    config: of the job.

  Raises:
    ValueError: a key is not legal.
  """
  _check(config)
  tables = config.tables
  main = tables.schedules[0]
  cells = [Cell(kind) for kind in (*tables.hierarchies, *tables.others)]
  for kind in tables.hierarchies:
    cells += [Cell(kind, loss, main) for loss in tables.losses]
  for kind in tables.others:
    cells.append(Cell(kind, tables.losses[0], main))
  first = tables.hierarchies[0]
  for schedule in tables.schedules[1:]:
    cells += [Cell(first, loss, schedule) for loss in tables.losses]
  for text in tables.updates:
    cells.append(Cell("induced", tables.losses[0], main, _numbers(text)))
  if config.unseen.classes:
    cells.append(Cell(first, unseen=True))
    for kind in tables.hierarchies[:2]:
      cells.append(Cell(kind, tables.losses[0], main, unseen=True))
  return cells


def tree_section(config: Any, cell: Cell) -> Any:
  """`config.tree` as it is for a cell."""
  tree = config.tree.copy_and_resolve_references()
  changes: dict[str, Any] = {
    "hierarchy": cell.hierarchy,
    "loss": cell.loss,
    "schedule": cell.schedule or config.tables.schedules[0],
  }
  if cell.updates:
    changes |= dict(zip(("start", "end", "period"), cell.updates, strict=True))
  tree.update(changes)
  return tree


def _check(config: Any) -> None:
  tables = config.tables
  for key, legal in (("losses", LOSSES), ("schedules", SCHEDULES)):
    wrong = [v for v in tables[key] if v not in legal]
    if wrong or not tables[key] or isinstance(tables[key], str):
      raise ValueError(
        f"config.tables.{key} is {tables[key]!r}; legal: one or more of "
        f"{', '.join(legal)}"
      )
  if not tables.hierarchies or isinstance(tables.hierarchies, str):
    raise ValueError(
      f"config.tables.hierarchies is {tables.hierarchies!r}; legal: one or "
      f"more of {', '.join(settings.KINDS)}, or files"
    )
  if tables.seeds < 1:
    raise ValueError(f"config.tables.seeds is {tables.seeds}; legal: 1 or more")
  for cell in [
    *(Cell(kind) for kind in (*tables.hierarchies, *tables.others)),
    *(
      Cell("induced", tables.losses[0], tables.schedules[0], _numbers(text))
      for text in tables.updates
    ),
  ]:
    settings.check(tree_section(config, cell), config.training.epochs)


def _numbers(text: str) -> tuple[int, ...]:
  """Start, end and period from `67:120:10`."""
  parts = text.split(":")
  if len(parts) != 3 or not all(p.isdecimal() for p in parts):
    raise ValueError(
      f"config.tables.updates has {text!r}; legal: start:end:period in epochs"
    )
  return tuple(map(int, parts))
