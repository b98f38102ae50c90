"""The schema of `result.json` (version 1) of the job `predictors`.

Rules as in `schema`. Errors (`rmse`) are in the units of what the predictors
learned, percentage points of accuracy. A list of a curve has an item for each
count of `labels`.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult, Numbers, Rows


@dataclasses.dataclass(frozen=True)
class LearnerScore:
  """One learner with so many labels, once."""

  learner: str = ""
  labels: int = 0
  seed: int | None = None
  rmse: float | None = None
  kendall: float | None = None


@dataclasses.dataclass(frozen=True)
class LearnerCurve:
  """A learner against the number of labels: means and deviations."""

  learner: str = ""
  labels: tuple[int, ...] = ()
  rmse: Numbers = ()
  rmse_deviation: Numbers = ()
  kendall: Numbers = ()
  kendall_deviation: Numbers = ()


@dataclasses.dataclass(frozen=True)
class SavedLabels:
  """Times the labels a learner needs for the error of the pretrained one.

  None where no count that it was given is enough.
  """

  learner: str = ""
  labels: tuple[int, ...] = ()
  factors: Numbers = ()


@dataclasses.dataclass(frozen=True)
class LearnedProxies:
  """Untrained networks whose scores were learned, and how well, by label."""

  networks: int | None = None
  spearman: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PredictorsResult(JobResult):
  """Everything the report of a comparison of predictors is made of."""

  space: Rows = dataclasses.field(default_factory=Rows)
  label_deviation: float | None = None
  scores: tuple[LearnerScore, ...] = ()
  proxies: LearnedProxies | None = None
  curves: tuple[LearnerCurve, ...] = ()
  saved: tuple[SavedLabels, ...] = ()

  def check(self) -> None:
    """Raises a ValueError where lists of a row differ in length."""
    for name in ("curves", "saved"):
      for i, row in enumerate(getattr(self, name)):
        _check_lengths(f"{name}[{i}]", row)


def _check_lengths(where: str, row: LearnerCurve | SavedLabels) -> None:
  """Raises a ValueError where a list has not an item for each of `labels`."""
  for field in dataclasses.fields(row):
    values = getattr(row, field.name)
    # One that is missing is left out of the report.
    if isinstance(values, tuple) and values and len(values) != len(row.labels):
      raise ValueError(
        f"{where}.{field.name} has {len(values)} values, {where}.labels has "
        f"{len(row.labels)}"
      )
