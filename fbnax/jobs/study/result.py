"""The schema of a study's `result.json` (version 1); rules as in `schema`.

Log-losses are nats, accuracies fractions of 1, times seconds. A difference is
the first minus the second, so a better first has a negative log-loss.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.report.schema import (
  JobResult,
  Numbers,
  check_share,
  left_out,
)
from fbnax.spaces import Architecture


@dataclasses.dataclass(frozen=True)
class Against:
  """One network among others: how many it beats, and how those do."""

  beats: int = 0
  of: int = 0
  mean: float | None = None
  median: float | None = None
  best: float | None = None
  worst: float | None = None


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A mean with its interval over `units` runs or seeds."""

  mean: float | None = None
  low: float | None = None
  high: float | None = None
  units: int = 0
  over: str = "runs"


@dataclasses.dataclass(frozen=True)
class PairedEstimate(Estimate):
  """Of a difference: of each run, and of each run and seed too."""

  by_run: Numbers = ()
  values: tuple[Numbers, ...] = ()
  against: Against | None = left_out()


@dataclasses.dataclass(frozen=True)
class CaseMean:
  """What one case came to, over all runs and seeds."""

  group: str = ""
  name: str = ""
  trainings: int = 0
  test_log_loss: Estimate = dataclasses.field(default_factory=Estimate)
  test_accuracy: Estimate = dataclasses.field(default_factory=Estimate)


@dataclasses.dataclass(frozen=True)
class PairedDifference:
  """First minus second, in pairs; no second where it is a change of that."""

  group: str = ""
  name: str = ""
  first: str = ""
  second: str = ""
  test_log_loss: PairedEstimate = dataclasses.field(
    default_factory=PairedEstimate
  )
  test_accuracy: PairedEstimate = dataclasses.field(
    default_factory=PairedEstimate
  )


@dataclasses.dataclass(frozen=True)
class Summary:
  """What the study found; `failed` trainings diverged."""

  confidence: float = 0.95
  failed: int = 0
  means: tuple[CaseMean, ...] = ()
  comparisons: tuple[PairedDifference, ...] = ()
  notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class StudiedRun:
  """A run that the study is of; its splits in images."""

  name: str = "unnamed"
  dataset: str | None = None
  source: str | None = None
  train: int | None = None
  test: int | None = None


@dataclasses.dataclass(frozen=True)
class SeedOutcome:
  """What a training came to; without accuracy and loss where it diverged."""

  test_accuracy: float | None = None
  test_log_loss: float | None = None
  seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class CaseTraining(SeedOutcome):
  """One network, trained once; `row` and `column` where there is a matrix."""

  run: str = ""
  group: str = ""
  name: str = ""
  row: str = ""
  column: str = ""
  is_member: bool = False
  macs: float | None = None
  params: float | None = None
  architecture: Architecture | None = None
  recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
  teacher: str | None = None
  epochs: int | None = None
  seed: int | None = None


@dataclasses.dataclass(frozen=True)
class StudyResult(JobResult):
  """Everything a study's report is made of."""

  study: str | None = None
  runs: tuple[StudiedRun, ...] = ()
  cases: tuple[CaseTraining, ...] = ()
  summary: Summary = dataclasses.field(default_factory=Summary)

  def check(self) -> None:
    """Raises a ValueError where an accuracy is no fraction of 1."""
    for i, case in enumerate(self.cases):
      check_share(f"cases[{i}].test_accuracy", case.test_accuracy)
