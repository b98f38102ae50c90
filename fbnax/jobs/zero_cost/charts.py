"""Charts of zero-cost scores: correlations, scatters, proxy against proxy."""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnax.jobs.zero_cost.result import ProxyRow, ZeroCostResult
from fbnax.report import chart
from fbnax.report.markup import number, plural

# The most scores that the scatters show.
_MOST = 9


def label(name: str) -> str:
  """A score's name as text."""
  return {"macs": "MACs", "params": "parameters"}.get(name, name)


def correlations(result: ZeroCostResult, rows: list[ProxyRow]) -> str | None:
  """Spearman's correlation of each row with the accuracies.

  Args:
    result: for how many networks.
    rows: from the top down.
  """
  rows = [row for row in rows if row.spearman is not None]
  if not rows:
    return None
  name = "chart-correlations"
  with chart.style(name):
    axes = chart.new(9.0, 1.1 + 0.3 * len(rows)).add_subplot()
    series = (
      (
        "all networks",
        0.14,
        "o",
        chart.COLOURS[0],
        ("spearman", "low", "high"),
      ),
      (
        f"the best {100 * (result.summary.best_share or 0):g}% by accuracy",
        -0.14,
        "D",
        chart.COLOURS[1],
        ("best", "best_low", "best_high"),
      ),
    )
    for words, shift, marker, colour, keys in series:
      places, values, lows, highs = [], [], [], []
      for place, row in enumerate(reversed(rows)):
        value, low, high = (getattr(row, key) for key in keys)
        if value is None:
          continue
        places.append(place + shift)
        values.append(value)
        lows.append(low if low is not None else value)
        highs.append(high if high is not None else value)
      axes.hlines(places, lows, highs, color=colour, alpha=0.45, linewidth=2)
      axes.plot(
        values,
        places,
        marker,
        color=colour,
        markersize=5.5,
        label=words,
        linestyle="none",
      )
    axes.axvline(0, color=chart.MUTED, linewidth=1)
    axes.set_yticks(range(len(rows)), [label(r.name) for r in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(right=1.0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Spearman's rank correlation with the accuracy")
    axes.figure.legend(loc="outside upper left", ncols=2)
    first = max(rows, key=lambda row: row.spearman or 0.0)
    text = (
      f"Rank correlation of {plural(len(rows), 'score')} with the accuracy; "
      f"the highest is {label(first.name)} with {number(first.spearman)}"
    )
    return chart.svg(axes.figure, name, text)


def scatters(result: ZeroCostResult, rows: list[ProxyRow]) -> str | None:
  """Accuracy against the rank of each score, a panel for each."""
  rows = [row for row in rows if not row.combination][:_MOST]
  known = [n for n in result.networks if n.accuracy is not None]
  if not rows or len(known) < 2:
    return None
  from scipy import stats  # Slow to import.

  name = "chart-scatters"
  accuracies = np.asarray([n.accuracy for n in known])
  across = 3
  down = -(-len(rows) // across)
  with chart.style(name):
    figure = chart.new(9.6, 0.4 + 2.3 * down)
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    floor = chart.floor(accuracies.tolist())
    shown = accuracies >= floor
    for axes, row in zip(grid.flat, rows, strict=False):
      values = [n.scores.get(row.name) for n in known]
      ranks = stats.rankdata([-np.inf if v is None else v for v in values])
      shares = (ranks - 1) / (len(known) - 1)
      _points(axes, shares[shown], accuracies[shown])
      axes.set_title(f"{label(row.name)}: {number(row.spearman)}")
      axes.set(xlim=(-0.02, 1.02), xticks=(0, 0.5, 1))
    for axes in grid.flat[len(rows) :]:
      axes.remove()
    for axes in grid[:, 0]:
      chart.percent_axis(axes.yaxis, "accuracy")
    figure.supxlabel("rank of the score, from the last to the first", size=10)
    text = f"Accuracy of {plural(len(known), 'network')} against their scores"
    return chart.svg(figure, name, text)


def hidden(result: ZeroCostResult) -> int:
  """Networks below the scatters' axis."""
  found = [n.accuracy for n in result.networks if n.accuracy is not None]
  return sum(a < chart.floor(found) for a in found)


def matrix(result: ZeroCostResult) -> str | None:
  """Correlations between the scores, as a table of colours."""
  summary = result.summary
  if len(summary.names) < 2 or not summary.matrix:
    return None
  name = "chart-matrix"
  values = np.asarray(
    [[np.nan if v is None else v for v in row] for row in summary.matrix]
  )
  names = [label(n) for n in summary.names]
  side = 1.6 + 0.52 * len(names)
  with chart.style(name):
    axes = chart.new(side, side).add_subplot()
    axes.pcolormesh(
      values, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="white", linewidth=1.5
    )
    for i, j in np.ndindex(values.shape):
      strong = abs(values[i, j]) > 0.6
      axes.text(
        j + 0.5,
        i + 0.5,
        "–" if np.isnan(values[i, j]) else f"{values[i, j]:.2f}",
        ha="center",
        va="center",
        size=8.5,
        color="white" if strong else chart.INK,
      )
    places = np.arange(len(names)) + 0.5
    axes.set_xticks(places, names, rotation=40, ha="right")
    axes.set_yticks(places, names)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
      spine.set_visible(False)
    text = f"Rank correlations between {plural(len(names), 'score')}"
    return chart.svg(axes.figure, name, text)


def _points(axes: Any, x: np.ndarray, y: np.ndarray) -> None:
  size = float(np.clip(900 / max(len(x), 1), 3, 16))
  axes.scatter(x, y, s=size, color=chart.COLOURS[0], alpha=0.5, linewidths=0)
