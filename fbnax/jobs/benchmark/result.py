"""The schemas of `result.json` (version 1) of `benchmark` and `predictors`.

Rules as in `schema`. Accuracies are fractions of 1; errors (`rmse`) are in the
units of what the predictors learned, percentage points of accuracy; times are
seconds. A list of a curve has an item for each count of `labels`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.report.schema import SCHEMA_VERSION, Numbers, Times


@dataclasses.dataclass(frozen=True)
class Rows:
  """The space of a table and how many of its genotypes have a row."""

  name: str | None = None
  size: float | None = None
  rows: int | None = None


@dataclasses.dataclass(frozen=True)
class SearchEnd:
  """One search: the best of it, and what it had found at each evaluation.

  A differentiable search has none of these, but a cell that it derived, and
  how undecided theta was in the end, as a share of the largest entropy.
  """

  method: str = ""
  seed: int | None = None
  evaluations: int | None = None
  validation_accuracy: float | None = None
  test_accuracy: float | None = None
  test_curve: Numbers = ()
  cell: str | None = None
  entropy: float | None = None


@dataclasses.dataclass(frozen=True)
class MethodSummary:
  """A method over its seeds; two-sided p-values by name of the other method."""

  method: str = ""
  seeds: int = 0
  mean: float | None = None
  deviation: float | None = None
  smallest: float | None = None
  largest: float | None = None
  p_values: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
  """Everything the report of a benchmark is made of."""

  schema_version: int = SCHEMA_VERSION
  fbnax_version: str | None = None
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  space: Rows = dataclasses.field(default_factory=Rows)
  best_test_accuracy: float | None = None
  searches: tuple[SearchEnd, ...] = ()
  summary: tuple[MethodSummary, ...] = ()
  times: Times = dataclasses.field(default_factory=Times)


@dataclasses.dataclass(frozen=True)
class LearnerScore:
  """One learner with so many labels, once."""

  learner: str = ""
  labels: int = 0
  seed: int | None = None
  rmse: float | None = None
  kendall: float | None = None


@dataclasses.dataclass(frozen=True)
class Curve:
  """A learner against the number of labels: means and deviations."""

  learner: str = ""
  labels: tuple[int, ...] = ()
  rmse: Numbers = ()
  rmse_deviation: Numbers = ()
  kendall: Numbers = ()
  kendall_deviation: Numbers = ()


@dataclasses.dataclass(frozen=True)
class Saved:
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
class PredictorsResult:
  """Everything the report of a comparison of predictors is made of."""

  schema_version: int = SCHEMA_VERSION
  fbnax_version: str | None = None
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  space: Rows = dataclasses.field(default_factory=Rows)
  label_deviation: float | None = None
  scores: tuple[LearnerScore, ...] = ()
  proxies: LearnedProxies = dataclasses.field(default_factory=LearnedProxies)
  curves: tuple[Curve, ...] = ()
  saved: tuple[Saved, ...] = ()
  times: Times = dataclasses.field(default_factory=Times)
