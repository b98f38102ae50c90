"""Charts of a benchmark: what searches find with time, and in the end.

A method has the same colour in both: that of its place in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fbnax.jobs.benchmark.result import BenchmarkResult, SearchEnd
from fbnax.report import chart
from fbnax.report.markup import percent, short

NAMES = {
  "naswot_10": "NASWOT (N = 10)",
  "naswot_100": "NASWOT (N = 100)",
  "naswot_1000": "NASWOT (N = 1000)",
  "area": "AREA",
  "area_moves": "AREA with scored moves",
  "nars": "NARS",
  "evolution": "regularized evolution",
  "random": "random search",
  "safe": "all safeguards",
  "bare": "no safeguards, as DARTS",
  "no_noise": "without Gumbel noise",
  "no_warmup": "without frozen epochs",
  "no_cost": "without a cost",
  "no_draws": "argmax in place of draws",
}
_LANE = 0.62  # Height of a lane of dots in inches.
_GOLDEN = 0.6180339887  # Spreads dots evenly, however many there are.


def name(method: str) -> str:
  """A method's name in words."""
  return NAMES.get(method, method)


def by_method(result: BenchmarkResult) -> dict[str, list[SearchEnd]]:
  """The searches of each method, in order."""
  found: dict[str, list[SearchEnd]] = {}
  for search in result.searches:
    found.setdefault(search.method, []).append(search)
  return found


def ends(searches: Sequence[SearchEnd]) -> list[float]:
  """The final test accuracies that are known."""
  return [s.test_accuracy for s in searches if s.test_accuracy is not None]


def curves(searches: Sequence[SearchEnd]) -> np.ndarray:
  """Test accuracy by search and evaluation, `f64[searches, evaluations]`.

  Of the searches for which it is known throughout, as long as the shortest.
  """
  known = [
    s.test_curve for s in searches if s.test_curve and None not in s.test_curve
  ]
  length = min(map(len, known), default=0)
  found = np.asarray([curve[:length] for curve in known], float)
  return found.reshape(len(known), length)


def first_drawn(length: int) -> int:
  """First evaluation drawn: accuracies before it span too much."""
  return max(1, min(length // 10, 10))


def progress(result: BenchmarkResult) -> str | None:
  """Mean test accuracy of the best so far; None without a curve."""
  found = {
    i: (method, values)
    for i, (method, searches) in enumerate(by_method(result).items())
    if (values := curves(searches)).shape[1] > 1
  }
  if not found:
    return None
  length = max(values.shape[1] for _, values in found.values())
  first = first_drawn(length)
  with chart.style("chart-progress"):
    figure = chart.new(10.2, 4.8)
    axes = figure.add_subplot()
    lows, highs, last = [], [], []
    for i, (method, values) in found.items():
      mean = _line(axes, values, first, i, short(name(method)))
      lows.append(float(mean.min()))
      highs.append(float(mean.max()))
      last.append(f"{name(method)} {percent(float(mean[-1]), 2)}")
    _best(axes.axhline, result)
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
  colour, dashes = _look(place)
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


def final(result: BenchmarkResult) -> str | None:
  """Final test accuracy of every seed, a lane for each method."""
  found = {
    i: (method, np.asarray(values, float))
    for i, (method, searches) in enumerate(by_method(result).items())
    if (values := ends(searches))
  }
  if not found:
    return None
  every = ends(result.searches)
  low = chart.floor(every)
  high = max([*every, result.best_test_accuracy or 0.0])
  with chart.style("chart-final"):
    figure = chart.new(10.2, _LANE * len(found) + 0.8)
    axes = figure.add_subplot()
    for y, (i, (_, lane)) in enumerate(found.items()):
      _lane(axes, y, lane, low, _look(i)[0])
    _best(axes.axvline, result)
    room = 0.03 * (high - low) or 1e-3
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(len(found) - 0.5, -0.5)
    names = [short(name(method)) for method, _ in found.values()]
    axes.set_yticks(range(len(found)), names)
    axes.tick_params(axis="y", length=0, labelcolor=chart.INK)
    axes.grid(axis="y", visible=False)
    chart.percent_axis(axes.xaxis, "final test accuracy; right is better")
    label = "Final test accuracy of every seed, means: " + ", ".join(
      f"{name(method)} {percent(float(lane.mean()), 2)}"
      for method, lane in found.values()
    )
    return chart.svg(figure, "chart-final", label)


def hidden(result: BenchmarkResult) -> int:
  """How many seeds lie below the start of the axis of `final`."""
  every = ends(result.searches)
  return sum(value < chart.floor(every) for value in every)


def _lane(
  axes: Any, y: int, values: np.ndarray, low: float, colour: str
) -> None:
  spread = (np.arange(len(values)) * _GOLDEN % 1.0 - 0.5) * 0.56
  inside = values >= low
  for shown, x, marker in (
    (inside, values[inside], "o"),
    (~inside, np.full((~inside).sum(), low), "<"),
  ):
    axes.scatter(
      x,
      y + spread[shown],
      s=26,
      marker=marker,
      color=colour,
      alpha=0.6,
      linewidths=0,
      zorder=3,
    )
  mean = float(values.mean())
  if mean >= low:
    axes.plot([mean, mean], [y - 0.38, y + 0.38], color=chart.INK, zorder=4)
  axes.annotate(
    f"mean {percent(mean, 2)}",
    (1.0, y),
    (12, 0),
    xycoords=axes.get_yaxis_transform(),
    textcoords="offset points",
    va="center",
    fontsize=9.5,
    annotation_clip=False,
  )


def _best(line: Callable[..., Any], result: BenchmarkResult) -> None:
  """The dashed line of the best accuracy of the table."""
  best = result.best_test_accuracy
  if best is not None:
    line(
      best,
      color=chart.MUTED,
      linewidth=1.4,
      dashes=(5, 3),
      label=f"best of the table, {percent(best, 2)}",
    )


def _look(place: int) -> tuple[str, Any]:
  """Colour and dashes of the method at that place."""
  return (
    chart.COLOURS[place % len(chart.COLOURS)],
    chart.DASHES[place // len(chart.COLOURS) % len(chart.DASHES)],
  )
