"""Methods of search over their seeds: means, and tests of each against each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnax.report.searches import MethodSummary, SearchEnd, Spread


def summary(searches: Sequence[SearchEnd]) -> tuple[MethodSummary, ...]:
  """Mean and deviation of each method's end, and how the methods compare.

  Mann and Whitney's test, two-sided, assumes no distribution.

  Args:
    searches: all with a test accuracy.
  """
  from scipy import stats  # Slow to import.

  ends: dict[str, list[float]] = {}
  firsts: dict[str, list[float]] = {}
  for search in searches:
    assert search.test_accuracy is not None
    ends.setdefault(search.method, []).append(search.test_accuracy)
    if search.test_curve and search.test_curve[0] is not None:
      firsts.setdefault(search.method, []).append(search.test_curve[0])
  rows = []
  for method, accuracies in ends.items():
    spread = _spread(accuracies)
    rows.append(
      MethodSummary(
        method=method,
        seeds=len(accuracies),
        mean=spread.mean,
        deviation=spread.deviation,
        smallest=min(accuracies),
        largest=max(accuracies),
        first=_spread(firsts[method]) if method in firsts else None,
        p_values={
          other: float(stats.mannwhitneyu(accuracies, others).pvalue)
          for other, others in ends.items()
          if other != method
        },
      )
    )
  return tuple(rows)


def _spread(accuracies: list[float]) -> Spread:
  deviation = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0
  return Spread(float(np.mean(accuracies)), deviation)
