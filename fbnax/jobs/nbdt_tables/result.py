"""The schema of `result.json` (version 1) of the job `nbdt_tables`.

Rules as in `schema`. Accuracies and their differences are fractions of 1. A
cell is a hierarchy with a loss and its schedule; its gains are over the plain
network of the same seed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.report.schema import DatasetFacts, JobResult, Numbers
from fbnax.report.tree_schema import UnseenClasses


@dataclasses.dataclass(frozen=True)
class Cell:
  """One combination: how a network is trained, and under which tree.

  Attributes:
    hierarchy: see `config.tree.hierarchy`.
    loss: of the tree, or "none".
    schedule: of its weight; "" without a loss.
    updates: start, end and period of hierarchies made in training; () without.
    unseen: whether classes are held out.
  """

  hierarchy: str = ""
  loss: str = "none"
  schedule: str = ""
  updates: tuple[int, ...] = ()
  unseen: bool = False

  @property
  def cell(self) -> Cell:
    """The combination alone."""
    return Cell(
      self.hierarchy, self.loss, self.schedule, self.updates, self.unseen
    )


@dataclasses.dataclass(frozen=True)
class TrainedCell(Cell):
  """A cell trained with one seed, and measured under its tree."""

  seed: int = 0
  network: str = ""
  classes: int = 0
  seconds: float | None = None
  agree: float | None = None
  network_log_loss: float | None = None
  tree_log_loss: float | None = None
  network_accuracy: float | None = None
  soft_accuracy: float | None = None
  hard_accuracy: float | None = None
  superclasses: UnseenClasses | None = None


@dataclasses.dataclass(frozen=True)
class SeedMean:
  """A mean over `units` seeds with Student's 95% interval."""

  mean: float | None = None
  low: float | None = None
  high: float | None = None
  units: int = 0
  over: str = "seeds"


@dataclasses.dataclass(frozen=True)
class CellSummary(Cell):
  """What the trainings of one combination came to."""

  seeds: int = 0
  network_accuracy: SeedMean = dataclasses.field(default_factory=SeedMean)
  soft_accuracy: SeedMean = dataclasses.field(default_factory=SeedMean)
  hard_accuracy: SeedMean = dataclasses.field(default_factory=SeedMean)
  network_accuracy_gain: SeedMean = dataclasses.field(default_factory=SeedMean)
  soft_accuracy_gain: SeedMean = dataclasses.field(default_factory=SeedMean)
  hard_accuracy_gain: SeedMean = dataclasses.field(default_factory=SeedMean)


@dataclasses.dataclass(frozen=True)
class SuperclassSummary(Cell):
  """Images of unseen classes that were given their superclass.

  The gains are the tree's over the plainly trained network: over its
  prediction, over that within the superclasses, and over its summed
  probabilities.
  """

  seeds: int = 0
  images: int = 0
  plain: SeedMean = dataclasses.field(default_factory=SeedMean)
  plain_within: SeedMean = dataclasses.field(default_factory=SeedMean)
  tree: SeedMean = dataclasses.field(default_factory=SeedMean)
  plain_sum: SeedMean = dataclasses.field(default_factory=SeedMean)
  tree_sum: SeedMean = dataclasses.field(default_factory=SeedMean)
  gain: SeedMean = dataclasses.field(default_factory=SeedMean)
  gain_within: SeedMean = dataclasses.field(default_factory=SeedMean)
  gain_sum: SeedMean = dataclasses.field(default_factory=SeedMean)
  divided: int = 0


@dataclasses.dataclass(frozen=True)
class Claim(SeedMean):
  """An ordering that the paper claims, as a difference; positive agrees."""

  name: str = ""
  table: str = ""
  values: Numbers = ()


@dataclasses.dataclass(frozen=True)
class TablesSummary:
  """All cells, what is claimed of them, and the claims as lines of text."""

  cells: tuple[CellSummary, ...] = ()
  superclasses: tuple[SuperclassSummary, ...] = ()
  claims: tuple[Claim, ...] = ()
  said: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class TablesResult(JobResult):
  """Everything the report of the tables is made of."""

  dataset: DatasetFacts = dataclasses.field(default_factory=DatasetFacts)
  network: dict[str, Any] = dataclasses.field(default_factory=dict)
  cases: tuple[TrainedCell, ...] = ()
  summary: TablesSummary = dataclasses.field(default_factory=TablesSummary)
