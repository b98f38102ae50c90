"""The schema of `result.json` (version 1) of the job `nbdt_tables`.

Rules as in `schema`. Accuracies and their differences are fractions of 1. A
cell is a hierarchy with a loss and its schedule; its gains are over the plain
network of the same seed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.jobs.study.result import Estimate
from fbnax.report.schema import (
  Dataset,
  JobResult,
  Numbers,
)


@dataclasses.dataclass(frozen=True)
class Cell:
  """What the trainings of one combination came to."""

  hierarchy: str = ""
  loss: str = "none"
  schedule: str = ""
  updates: tuple[int, ...] = ()
  unseen: bool = False
  seeds: int = 0
  network_accuracy: Estimate = dataclasses.field(default_factory=Estimate)
  soft_accuracy: Estimate = dataclasses.field(default_factory=Estimate)
  hard_accuracy: Estimate = dataclasses.field(default_factory=Estimate)
  network_accuracy_gain: Estimate = dataclasses.field(default_factory=Estimate)
  soft_accuracy_gain: Estimate = dataclasses.field(default_factory=Estimate)
  hard_accuracy_gain: Estimate = dataclasses.field(default_factory=Estimate)


@dataclasses.dataclass(frozen=True)
class Superclasses:
  """Images of unseen classes that were given their superclass."""

  hierarchy: str = ""
  loss: str = "none"
  seeds: int = 0
  images: int = 0
  plain: Estimate = dataclasses.field(default_factory=Estimate)
  tree: Estimate = dataclasses.field(default_factory=Estimate)
  plain_sum: Estimate = dataclasses.field(default_factory=Estimate)
  tree_sum: Estimate = dataclasses.field(default_factory=Estimate)
  gain: Estimate = dataclasses.field(default_factory=Estimate)
  divided: int = 0


@dataclasses.dataclass(frozen=True)
class Claim:
  """An ordering that the paper claims, as a difference; positive agrees."""

  name: str = ""
  table: str = ""
  mean: float | None = None
  low: float | None = None
  high: float | None = None
  units: int = 0
  values: Numbers = ()


@dataclasses.dataclass(frozen=True)
class TablesSummary:
  """All cells, and what is claimed of them."""

  cells: tuple[Cell, ...] = ()
  superclasses: tuple[Superclasses, ...] = ()
  claims: tuple[Claim, ...] = ()


@dataclasses.dataclass(frozen=True)
class TablesResult(JobResult):
  """Everything the report of the tables is made of."""

  dataset: Dataset = dataclasses.field(default_factory=Dataset)
  network: dict[str, Any] = dataclasses.field(default_factory=dict)
  summary: TablesSummary = dataclasses.field(default_factory=TablesSummary)
