"""The chart of a benchmark: what searches find with time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fbnax.jobs.benchmark.result import BenchmarkResult
from fbnax.report import chart
from fbnax.report.markup import percent, short
from fbnax.report.searches import SearchEnd, best_line, by_method, look, name


def curves(searches: Sequence[SearchEnd]) -> np.ndarray:
  """Test accuracy by search and evaluation, `f64[searches, evaluations]`.

  Of the searches for which it is known throughout, as long as the shortest.
  """
  whole = [
    s.test_curve for s in searches if s.test_curve and None not in s.test_curve
  ]
  length = min(map(len, whole), default=0)
  rows = np.asarray([curve[:length] for curve in whole], float)
  return rows.reshape(len(whole), length)


def first_drawn(length: int) -> int:
  """First evaluation drawn: accuracies before it span too much."""
  return max(1, min(length // 10, 10))


def progress(result: BenchmarkResult) -> str | None:
  """Mean test accuracy of the best so far; None without a curve."""
  methods = {
    i: (method, values)
    for i, (method, searches) in enumerate(by_method(result).items())
    if (values := curves(searches)).shape[1] > 1
  }
  if not methods:
    return None
  length = max(values.shape[1] for _, values in methods.values())
  first = first_drawn(length)
  with chart.style("chart-progress"):
    figure = chart.new(10.2, 4.8)
    axes = figure.add_subplot()
    lows, highs, last = [], [], []
    for i, (method, values) in methods.items():
      mean = _line(axes, values, first, i, short(name(method)))
      lows.append(float(mean.min()))
      highs.append(float(mean.max()))
      last.append(f"{name(method)} {percent(float(mean[-1]), 2)}")
    best_line(axes.axhline, result)
    # What the means do can be told; bands may reach beyond both ends.
    low, high = min(lows), max(highs)
    if result.best_test_accuracy is not None:
      high = max(high, result.best_test_accuracy)
    room = 0.08 * (high - low) or 1e-3
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(first, length)
    chart.percent_axis(axes.yaxis, "test accuracy of the best so far")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("evaluations")
    axes.legend(loc="lower right")
    label = (
      f"Mean test accuracy of the best so far after {length} evaluations: "
      + ", ".join(last)
    )
    return chart.svg(figure, "chart-progress", label)


def _line(
  axes: Any, values: np.ndarray, first: int, place: int, label: str
) -> np.ndarray:
  """Draws a mean and its band; returns the mean."""
  x = np.arange(first, values.shape[1] + 1)
  shown = values[:, first - 1 :]
  mean = shown.mean(axis=0)
  # Of one seed there is no deviation.
  deviation = shown.std(axis=0, ddof=1) if len(shown) > 1 else 0.0 * mean
  colour, dashes = look(place)
  axes.fill_between(
    x,
    mean - deviation,
    mean + deviation,
    color=colour,
    alpha=0.14,
    linewidth=0,
  )
  axes.plot(x, mean, color=colour, linestyle=dashes, linewidth=2.2, label=label)
  return mean
