"""Charts of a study: every training as a dot, differences, matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fbnax.jobs.study.result import CaseTraining, PairedDifference, StudyResult
from fbnax.report import chart
from fbnax.report.markup import number, percent, plural, short

LANE = 0.34  # Height of a lane of dots in inches.
_GOLDEN = 0.6180339887  # Spreads dots evenly, however many there are.


def trainings(result: StudyResult) -> str | None:
  """Test log-loss of every training, a lane for each case of a group.

  The random pairs of a group share a lane. None without a finished training.
  """
  lanes = lanes_of(result)
  values = [loss(t) for _, _, of_lane in lanes for t in of_lane]
  if not values:
    return None
  end = ceiling(values)
  with chart.style("chart-study"):
    groups = list(dict.fromkeys(group for group, _, _ in lanes))
    figure = chart.new(10.2, LANE * len(lanes) + 0.24 * len(groups) + 0.75)
    axes = figure.add_subplot()
    places, names, y = [], [], 0.0
    before = lanes[0][0]
    for group, name, of_lane in lanes:
      # A gap between groups, with a line where there are several.
      if group != before:
        axes.axhline(y - 0.35, color=chart.GRID, linewidth=1.2)
        y += 0.3
      before = group
      _lane(axes, y, of_lane, end)
      places.append(y)
      names.append(short(_lane_name(result, group, name), 60))
      y += 1.0
    low = min(values)
    margin = 0.04 * (end - low) or 0.01
    axes.set_xlim(low - margin, end + margin)
    axes.set_ylim(y - 0.4, -0.6)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0, labelcolor=chart.INK)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("test log-loss in nats; left is better")
    label = (
      f"Test log-loss of {plural(len(values), 'training')}, by network: "
      + ", ".join(
        f"{g} {n} {number(float(np.mean([loss(t) for t in f])), 4)}"
        for g, n, f in lanes
      )
    )
    return chart.svg(figure, "chart-study", label)


def lanes_of(result: StudyResult) -> list[tuple[str, str, list[CaseTraining]]]:
  """Group, name and finished trainings of each lane, in order."""
  lanes: dict[tuple[str, str], list[CaseTraining]] = {}
  for training in result.cases:
    if training.test_log_loss is not None:
      name = training.name
      if result.study == "random" and not training.is_member:
        name = "random pairs"
      lanes.setdefault((training.group, name), []).append(training)
  order = list(dict.fromkeys(group for group, _ in lanes))
  return [
    (group, name, trainings)
    for ordered in order
    for (group, name), trainings in lanes.items()
    if group == ordered
  ]


def _lane_name(result: StudyResult, group: str, name: str) -> str:
  if result.study == "random":
    return group if name == "member" else name
  # Names in a matrix say all; others are the same in each group.
  return name if any(c.row for c in result.cases) else f"{group}: {name}"


def hidden(result: StudyResult) -> int:
  """How many trainings lie beyond the end of the axis."""
  values = [
    t.test_log_loss for t in result.cases if t.test_log_loss is not None
  ]
  return sum(v > ceiling(values) for v in values)


def loss(training: CaseTraining) -> float:
  """The log-loss of a training that has one."""
  assert training.test_log_loss is not None
  return training.test_log_loss


def ceiling(values: Sequence[float]) -> float:
  """Where the axis of log-losses ends: those far above the bulk lie beyond."""
  if not len(values):
    return 0.0
  low, high = np.quantile(values, [0.25, 0.75])
  return min(float(high + 3.0 * (high - low) + 1e-3), float(max(values)))


def _lane(
  axes: Any, y: float, trainings: Sequence[CaseTraining], end: float
) -> None:
  member = trainings[0].is_member
  colour = chart.ACCENT if member else chart.COLOURS[0]
  x = np.asarray([loss(t) for t in trainings])
  spread = (np.arange(len(x)) * _GOLDEN % 1.0 - 0.5) * 0.56
  inside = x <= end
  axes.scatter(
    x[inside],
    y + spread[inside],
    s=20,
    color=colour,
    alpha=0.55,
    linewidths=0,
    zorder=3,
  )
  axes.scatter(
    np.full((~inside).sum(), end),
    y + spread[~inside],
    s=22,
    marker=">",
    color=colour,
    alpha=0.8,
    linewidths=0,
    zorder=3,
    clip_on=False,
  )
  mean = float(x.mean())
  if mean <= end:
    axes.plot([mean, mean], [y - 0.38, y + 0.38], color=chart.INK, zorder=4)
  chart.beside(axes, y, f"mean {number(mean, 4)}")


def differences(result: StudyResult) -> str | None:
  """Each comparison's mean difference with its interval; None without any."""
  shown = [
    c for c in result.summary.comparisons if c.test_log_loss.mean is not None
  ]
  if not shown:
    return None
  with chart.style("chart-differences"):
    figure = chart.new(10.8, 0.4 * len(shown) + 0.9)
    axes = figure.add_subplot()
    axes.axvline(0.0, color=chart.MUTED, linewidth=1.2)
    for y, comparison in enumerate(shown):
      _difference(axes, y, comparison)
    chart.rows_axis(axes, [short(c.name, 72) for c in shown])
    axes.set_xlabel(
      "difference of the test log-loss in nats; left: first better"
    )
    label = "Differences of the test log-loss: " + ", ".join(
      f"{c.name} {number(c.test_log_loss.mean, 4)}" for c in shown
    )
    return chart.svg(figure, "chart-differences", label)


def _difference(axes: Any, y: float, comparison: PairedDifference) -> None:
  estimate = comparison.test_log_loss
  low, high, mean = estimate.low, estimate.high, estimate.mean
  told = low is not None and high is not None and (low > 0 or high < 0)
  colour = chart.ACCENT if told else chart.MUTED
  if low is not None and high is not None:
    axes.plot(
      [low, high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt"
    )
  if estimate.over == "runs":
    runs = [v for v in estimate.by_run if v is not None]
    axes.plot(
      runs,
      [y + 0.22] * len(runs),
      "o",
      color=chart.COLOURS[0],
      markersize=4,
      alpha=0.6,
      markeredgewidth=0,
    )
  axes.plot([mean], [y], "D", color=colour, markersize=7, zorder=4)


def matrices(result: StudyResult) -> str | None:
  """Mean log-loss and accuracy by row and column; None without a matrix."""
  groups = list(dict.fromkeys(c.group for c in result.cases if c.row))
  if not groups:
    return None
  with chart.style("chart-matrix"):
    width = 4.7 if len(groups) > 1 else 5.6
    rows = max(
      len({c.row for c in result.cases if c.group == g}) for g in groups
    )
    figure = chart.new(width * len(groups), 0.72 * rows + 0.9)
    all_axes = figure.subplots(1, len(groups), squeeze=False)[0]
    label = []
    for axes, group in zip(all_axes, groups, strict=True):
      label += _matrix(axes, result, group, len(groups) > 1)
    words = "Test log-loss by network and training: " + ", ".join(label)
    return chart.svg(figure, "chart-matrix", words)


def _matrix(
  axes: Any, result: StudyResult, group: str, titled: bool
) -> list[str]:
  """Draws one matrix; returns its cells in words."""
  import matplotlib
  from matplotlib.colors import to_hex
  from matplotlib.patches import Rectangle

  cases = [c for c in result.cases if c.group == group]
  rows = list(dict.fromkeys(c.row for c in cases))
  columns = list(dict.fromkeys(c.column for c in cases))
  means = {m.name: m for m in result.summary.means if m.group == group}
  cells = {(c.row, c.column): means.get(c.name) for c in cases}
  values = np.full((len(rows), len(columns)), np.nan)
  for (row, column), mean in cells.items():
    if mean is not None and mean.test_log_loss.mean is not None:
      values[rows.index(row), columns.index(column)] = mean.test_log_loss.mean
  # Colours from the best to the worst cell, light enough for the text.
  finite = values[np.isfinite(values)]
  low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
  share = (values - low) / (high - low or 1.0)
  colours = matplotlib.colormaps["Blues"]
  for (y, x), value in np.ndenumerate(share):
    if np.isfinite(value):
      # Rectangles, since a page holds no raster image.
      colour = to_hex(colours(0.04 + 0.36 * (1.0 - value)))
      axes.add_patch(
        Rectangle(
          (x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0
        )
      )
  axes.set_xlim(-0.52, len(columns) - 0.48)
  axes.set_ylim(len(rows) - 0.48, -0.52)
  designed = {(c.row, c.column) for c in cases if c.is_member}
  words = []
  for (row, column), mean in cells.items():
    if mean is None:
      continue
    y, x = rows.index(row), columns.index(column)
    text = number(mean.test_log_loss.mean, 4)
    words.append(f"{row} {column} {text}")
    axes.text(
      x, y - 0.1, text, ha="center", va="center", fontsize=13, fontweight="bold"
    )
    axes.text(
      x,
      y + 0.22,
      percent(mean.test_accuracy.mean, 2),
      ha="center",
      va="center",
      fontsize=9.5,
      color=chart.MUTED,
    )
    if (row, column) in designed:
      axes.add_patch(
        Rectangle(
          (x - 0.48, y - 0.46),
          0.96,
          0.92,
          fill=False,
          edgecolor=chart.ACCENT,
          linewidth=2.2,
        )
      )
  chart.matrix_axes(
    axes, [short(c, 26) for c in columns], [short(r, 26) for r in rows]
  )
  if titled:
    axes.set_xlabel(short(group), color=chart.MUTED)
  return words
