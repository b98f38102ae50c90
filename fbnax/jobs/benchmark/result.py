"""The schema of `result.json` (version 1) of `benchmark` and `ground_truth`.

Rules as in `schema`. Accuracies are fractions of 1, times seconds.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import (
  JobResult,
  Numbers,
  Rows,
  check_share,
)


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
class BenchmarkResult(JobResult):
  """Everything the report of a benchmark is made of."""

  space: Rows = dataclasses.field(default_factory=Rows)
  best_test_accuracy: float | None = None
  searches: tuple[SearchEnd, ...] = ()
  summary: tuple[MethodSummary, ...] = ()

  def check(self) -> None:
    """Raises a ValueError where an accuracy is no fraction of 1."""
    for i, search in enumerate(self.searches):
      check_share(f"searches[{i}].test_accuracy", search.test_accuracy)
      for j, share in enumerate(search.test_curve):
        check_share(f"searches[{i}].test_curve[{j}]", share)
