"""Charts of the trees' tables: differences with intervals, and heat tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fbnax.jobs.nbdt_tables.result import CellSummary, SeedMean
from fbnax.report import chart
from fbnax.report.markup import number, percent, short
from fbnax.report.schema import Numbers

_PANELS = (
  ("soft inference", "soft_accuracy"),
  ("hard inference", "hard_accuracy"),
  ("the network itself", "network_accuracy"),
)


def differences(
  rows: Sequence[tuple[str, SeedMean, Numbers]], name: str = "claims"
) -> str:
  """Differences of accuracies with their intervals, a row each.

  Args:
    rows: name, estimate and the values of seeds, as fractions of 1.
    name: of the chart.
  """
  shown = [row for row in rows if row[1].mean is not None]
  with chart.style(f"chart-{name}"):
    figure = chart.new(10.8, 0.42 * len(shown) + 0.9)
    axes = figure.add_subplot()
    axes.axvline(0.0, color=chart.MUTED, linewidth=1.2)
    for y, (_, mean, values) in enumerate(shown):
      _difference(axes, y, mean, values)
    chart.rows_axis(axes, [_wrapped(r[0]) for r in shown])
    axes.set_xlabel("difference of the test accuracy, points")
    label = "Differences of the test accuracy in points: " + ", ".join(
      f"{r[0]} {number(100 * (r[1].mean or 0.0), 2)}" for r in shown
    )
    return chart.svg(figure, f"chart-{name}", label)


def matrices(cells: Sequence[CellSummary]) -> str | None:
  """Mean accuracies by hierarchy and loss; None without any."""
  rows = list(dict.fromkeys(c.hierarchy for c in cells))
  columns = list(dict.fromkeys(c.loss for c in cells))
  if not rows or len(columns) < 2:
    return None
  with chart.style("chart-cells"):
    figure = chart.new(10.8, 0.66 * len(rows) + 1.0)
    label = []
    for axes, (title, metric) in zip(
      figure.subplots(1, len(_PANELS), sharey=True), _PANELS, strict=True
    ):
      label += _matrix(axes, cells, rows, columns, metric)
      axes.set_xlabel(title, color=chart.INK)
    words = "Mean test accuracy by hierarchy and loss: " + ", ".join(label)
    return chart.svg(figure, "chart-cells", words)


def _difference(axes: Any, y: float, mean: SeedMean, values: Numbers) -> None:
  low, high = mean.low, mean.high
  told = low is not None and high is not None and (low > 0 or high < 0)
  colour = chart.ACCENT if told else chart.MUTED
  if low is not None and high is not None:
    ends = [100 * low, 100 * high]
    axes.plot(ends, [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
  seeds = [100 * v for v in values if v is not None]
  axes.plot(
    seeds,
    [y + 0.24] * len(seeds),
    "o",
    color=chart.COLOURS[0],
    markersize=4,
    alpha=0.6,
    markeredgewidth=0,
  )
  axes.plot([100 * (mean.mean or 0.0)], [y], "D", color=colour, markersize=7)


def _matrix(
  axes: Any,
  cells: Sequence[CellSummary],
  rows: Sequence[str],
  columns: Sequence[str],
  metric: str,
) -> list[str]:
  """Draws one matrix; returns its cells in words."""
  import matplotlib
  from matplotlib.colors import to_hex
  from matplotlib.patches import Rectangle

  values = np.full((len(rows), len(columns)), np.nan)
  gains: dict[tuple[int, int], float | None] = {}
  for cell in cells:
    place = rows.index(cell.hierarchy), columns.index(cell.loss)
    mean = getattr(cell, metric).mean
    values[place] = np.nan if mean is None else mean
    gains[place] = getattr(cell, f"{metric}_gain").mean
  finite = values[np.isfinite(values)]
  low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
  colours = matplotlib.colormaps["Blues"]
  words = []
  for (y, x), value in np.ndenumerate(values):
    if not np.isfinite(value):
      continue
    # Light enough for the text; rectangles, as a page holds no raster image.
    share = (value - low) / (high - low or 1.0)
    corner = (x - 0.48, y - 0.46)
    colour = to_hex(colours(0.04 + 0.36 * share))
    axes.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=colour, linewidth=0))
    text = percent(value, 2)
    words.append(f"{rows[y]} {columns[x]} {metric} {text}")
    axes.text(
      x, y - 0.1, text, ha="center", va="center", fontsize=12, weight="bold"
    )
    gain = gains[y, x]
    if gain is not None:
      axes.text(
        x,
        y + 0.24,
        f"{100 * gain:+.2f}",
        ha="center",
        va="center",
        fontsize=9,
        color=chart.MUTED,
      )
  axes.set_xlim(-0.52, len(columns) - 0.48)
  axes.set_ylim(len(rows) - 0.48, -0.52)
  chart.matrix_axes(
    axes,
    [short(c, 16) for c in columns],
    [short(r.replace("_", " "), 26) for r in rows],
  )
  return words


def _wrapped(name: str) -> str:
  """A name on two lines at most."""
  if len(name) <= 48:
    return name
  middle = name.rfind(" ", 0, 48)
  return f"{name[:middle]}\n{short(name[middle + 1 :], 52)}"
