"""What the job `nbdt_tables` trains: a cell for each combination.

The cells of one seed start from the same weights and see the same batches, and
those of the loss `none` are one training, the plain network's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.jobs.nbdt_tables.config import NbdtTablesConfig
from fbnax.jobs.nbdt_tables.result import Cell
from fbnax.jobs.runtime.sections import TreeKeys
from fbnax.jobs.runtime.trees import settings
from fbnax.nbdt.supervision import LOSSES, SCHEDULES


def network_name(cell: Cell) -> str:
  """Name of the trained network, which several cells may share."""
  kind = cell.hierarchy.rsplit("/", 1)[-1].removesuffix(".json")
  parts = ["plain"]
  if cell.loss != "none":
    parts = [kind, cell.loss, cell.schedule]
  if cell.updates:
    parts.append("from" + "_".join(map(str, cell.updates)))
  if cell.unseen:
    parts.append("unseen")
  return "-".join(parts)


def plan(config: NbdtTablesConfig) -> list[Cell]:
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


def tree_section(config: NbdtTablesConfig, cell: Cell) -> TreeKeys:
  """`config.tree` as it is for a cell."""
  changes: dict[str, Any] = {}
  if cell.updates:
    changes = dict(zip(("start", "end", "period"), cell.updates, strict=True))
  return dataclasses.replace(
    config.tree,
    hierarchy=cell.hierarchy,
    loss=cell.loss,
    schedule=cell.schedule or config.tables.schedules[0],
    **changes,
  )


def _check(config: NbdtTablesConfig) -> None:
  tables = config.tables
  for key, legal in (("losses", LOSSES), ("schedules", SCHEDULES)):
    names = getattr(tables, key)
    if not names or not set(names) <= set(legal):
      raise ValueError(
        f"config.tables.{key} is {names!r}; legal: one or more of "
        f"{', '.join(legal)}"
      )
  if not tables.hierarchies:
    raise ValueError(
      f"config.tables.hierarchies is {tables.hierarchies!r}; legal: one or "
      f"more of {', '.join(settings.KINDS)}, or files"
    )
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
