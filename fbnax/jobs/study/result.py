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
)


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
  by_run: Numbers = ()
  against: Against | None = None


@dataclasses.dataclass(frozen=True)
class Mean:
  """What one case came to, over all runs and seeds."""

  group: str = ""
  name: str = ""
  trainings: int = 0
  test_log_loss: Estimate = dataclasses.field(default_factory=Estimate)
  test_accuracy: Estimate = dataclasses.field(default_factory=Estimate)


@dataclasses.dataclass(frozen=True)
class Difference:
  """First minus second, in pairs; no second where it is a change of that."""

  group: str = ""
  name: str = ""
  first: str = ""
  second: str = ""
  test_log_loss: Estimate = dataclasses.field(default_factory=Estimate)
  test_accuracy: Estimate = dataclasses.field(default_factory=Estimate)


@dataclasses.dataclass(frozen=True)
class Summary:
  """What the study found; `failed` trainings diverged."""

  confidence: float = 0.95
  failed: int = 0
  means: tuple[Mean, ...] = ()
  comparisons: tuple[Difference, ...] = ()
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
class Training:
  """One network, trained once; `row` and `column` where there is a matrix."""

  run: str = ""
  group: str = ""
  name: str = ""
  row: str = ""
  column: str = ""
  is_member: bool = False
  macs: float | None = None
  params: float | None = None
  recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
  teacher: str | None = None
  epochs: int | None = None
  seed: int | None = None
  test_accuracy: float | None = None
  test_log_loss: float | None = None
  seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class StudyResult(JobResult):
  """Everything a study's report is made of."""

  study: str | None = None
  runs: tuple[StudiedRun, ...] = ()
  cases: tuple[Training, ...] = ()
  summary: Summary = dataclasses.field(default_factory=Summary)

  def check(self) -> None:
    """Raises a ValueError where an accuracy is no fraction of 1."""
    for i, case in enumerate(self.cases):
      check_share(f"cases[{i}].test_accuracy", case.test_accuracy)
