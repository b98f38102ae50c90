"""Charts of learners against labels: errors and rank correlations.

A learner has the same colour in both: that of its place in the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from fbnax.jobs.predictors.result import LearnerCurve, PredictorsResult
from fbnax.report import chart
from fbnax.report.markup import number, short

NAMES = {
  "pretrained": "pretrained on costs",
  "from scratch": "from scratch",
  "ridge": "ridge regression",
  "gaussian process": "Gaussian process",
  "pretrained on proxies": "pretrained on costs and proxies",
}
_TICKS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_MARKERS = "osD^vPX"


class CurvePoint(NamedTuple):
  """Mean and deviation over the seeds with so many labels."""

  labels: int
  mean: float
  deviation: float


def name(learner: str) -> str:
  """A learner's name in words."""
  return NAMES.get(learner, learner)


def points(curve: LearnerCurve, key: str) -> list[CurvePoint]:
  """What is known of a curve's `rmse` or `kendall`."""
  means = getattr(curve, key)
  if not means:
    return []
  deviations = getattr(curve, f"{key}_deviation") or (None,) * len(means)
  return [
    CurvePoint(labels, mean, deviation or 0.0)
    for labels, mean, deviation in zip(
      curve.labels, means, deviations, strict=True
    )
    if mean is not None and labels > 0 and (mean > 0 or key != "rmse")
  ]


def errors(result: PredictorsResult) -> str | None:
  """Error against labels, both logarithmic; None without any."""
  lines = _lines(result, "rmse")
  if not lines:
    return None
  with chart.style("chart-rmse"):
    axes = _axes(result, lines)
    # As far as the lines go: a band may reach down to no error at all.
    means = [p.mean for line in lines.values() for p in line]
    low, high = min(means), max(means)
    spread = result.label_deviation
    # Not where it would press all lines into a corner.
    if spread is not None and low < spread < 2.5 * high:
      axes.axhline(
        spread,
        color=chart.MUTED,
        linewidth=1.4,
        dashes=(5, 3),
        label="always saying the mean",
      )
      high = max(high, spread)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.12, high * 1.12)
    _error_ticks(axes)
    axes.set_ylabel("error (RMSE), percentage points")
    return _ended(axes, result, lines, "chart-rmse", "Error")


def rank_correlations(result: PredictorsResult) -> str | None:
  """Kendall's rank correlation against labels; None without any."""
  lines = _lines(result, "kendall")
  if not lines:
    return None
  with chart.style("chart-kendall"):
    axes = _axes(result, lines)
    axes.set_ylabel("Kendall’s rank correlation")
    return _ended(
      axes, result, lines, "chart-kendall", "Kendall's rank correlation"
    )


def _lines(result: PredictorsResult, key: str) -> dict[int, list[CurvePoint]]:
  """Place and points of the learners that have any."""
  every = {i: points(c, key) for i, c in enumerate(result.curves)}
  return {i: line for i, line in every.items() if line}


def _axes(result: PredictorsResult, lines: dict[int, list[CurvePoint]]) -> Any:
  """A figure's axes with every line and its band."""
  axes = chart.new(10.2, 4.6).add_subplot()
  for i, line in lines.items():
    x = [p.labels for p in line]
    colour = chart.COLOURS[i % len(chart.COLOURS)]
    # A mean of 2 ± 3 has no lower end on a logarithmic axis.
    axes.fill_between(
      x,
      [p.mean - p.deviation for p in line],
      [p.mean + p.deviation for p in line],
      color=colour,
      alpha=0.13,
      linewidth=0,
    )
    axes.plot(
      x,
      [p.mean for p in line],
      color=colour,
      marker=_MARKERS[i % len(_MARKERS)],
      markersize=5.5,
      linewidth=2.2 if i == 0 else 1.8,
      label=short(name(result.curves[i].learner)),
      zorder=4 if i == 0 else 3,
    )
  _label_ticks(axes, lines)
  return axes


def _label_ticks(axes: Any, lines: dict[int, list[CurvePoint]]) -> None:
  """A tick at each count of labels, unless they stand too close."""
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  counts = sorted({p.labels for line in lines.values() for p in line})
  axes.set_xscale("log")
  room = math.log(counts[-1] / counts[0]) / 20
  ticks: list[int] = []
  for count in counts:
    if not ticks or math.log(count / ticks[-1]) > room:
      ticks.append(count)
  axes.xaxis.set_major_locator(FixedLocator(ticks))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
  axes.set_xlim(counts[0] / 1.07, counts[-1] * 1.07)
  axes.set_xlabel("labels")


def _error_ticks(axes: Any) -> None:
  """Ticks with numbers, as few as a range of errors of any size needs."""
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  low, high = axes.get_ylim()
  powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
  for subset in (_TICKS, (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
    ticks = _between(subset, powers, low, high)
    if len(ticks) <= 9:
      break
  axes.yaxis.set_major_locator(FixedLocator(ticks))
  axes.yaxis.set_minor_locator(NullLocator())
  axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def _between(
  subset: Sequence[float], powers: Sequence[int], low: float, high: float
) -> list[float]:
  every = (round(s * 10.0**p, 12) for p in powers for s in subset)
  return [tick for tick in every if low <= tick <= high]


def _ended(
  axes: Any,
  result: PredictorsResult,
  lines: dict[int, list[CurvePoint]],
  identity: str,
  kind: str,
) -> str:
  axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
  label = f"{kind} against labels, with the most of them: " + ", ".join(
    f"{name(result.curves[i].learner)} {number(line[-1].mean)}"
    for i, line in lines.items()
  )
  return chart.svg(axes.figure, identity, label)
