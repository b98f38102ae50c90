"""Charts of a tree: accuracies with intervals, nodes, traversals."""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnax.jobs.nbdt.result import NbdtResult
from fbnax.report import chart
from fbnax.report.markup import interval, percent, short

_KINDS = (
  ("network", "the network itself"),
  ("soft", "soft tree"),
  ("hard", "hard tree"),
)
TITLES = {
  "plain": "plain training",
  "tree": "trained with the tree loss",
  "given": "as given",
}


def accuracies(result: NbdtResult) -> str | None:
  """Accuracies of each network and its trees; None without any."""
  rows = [
    (f"{TITLES.get(name, name)}: {words}", getattr(row, kind), i)
    for name, row in result.accuracies.items()
    for i, (kind, words) in enumerate(_KINDS)
    if getattr(row, kind) is not None
  ]
  if not rows:
    return None
  images = result.dataset.test
  with chart.style("chart-accuracies"):
    figure = chart.new(10.8, 0.36 * len(rows) + 0.9)
    axes = figure.add_subplot()
    for y, (_, value, colour) in enumerate(rows):
      low, high = interval(value, images) if images else (value, value)
      axes.plot(
        [low, high],
        [y, y],
        color=chart.COLOURS[colour],
        linewidth=2.4,
        alpha=0.45,
        solid_capstyle="butt",
      )
      axes.plot([value], [y], "D", color=chart.COLOURS[colour], markersize=7)
      chart.beside(axes, y, percent(value, 2), 10)
    chart.rows_axis(axes, [short(r[0], 60) for r in rows])
    chart.percent_axis(axes.xaxis, "")
    axes.set_xlabel("test accuracy")
    label = "Test accuracy: " + ", ".join(
      f"{name} {percent(value, 2)}" for name, value, _ in rows
    )
    return chart.svg(figure, "chart-accuracies", label)


def traversals(result: NbdtResult) -> str | None:
  """Shares of each class's images that pass each node; None without them."""
  traversed = result.traversals
  if traversed is None or not traversed.groups or not traversed.nodes:
    return None
  from matplotlib.patches import Rectangle

  labels, classes = result.hierarchy.labels, result.hierarchy.num_classes
  names = [labels[n] if labels else str(n) for n in traversed.nodes]
  values = np.asarray(
    [[np.nan if v is None else v for v in row] for row in traversed.shares]
  )
  with chart.style("chart-traversals"):
    rows, columns = values.shape
    figure = chart.new(
      10.8, min(0.9, max(0.26, 10.0 / columns)) * 0.7 * rows + 2.2
    )
    axes = figure.add_subplot()
    for (y, x), value in np.ndenumerate(values):
      if not np.isfinite(value) or value < 5e-4:
        continue
      axes.add_patch(
        Rectangle(
          (x - 0.46, y - 0.44),
          0.92,
          0.88,
          facecolor=_shade(value),
          linewidth=0,
        )
      )
      if columns <= 30 and value >= 0.005:
        axes.text(
          x,
          y,
          f"{100 * value:.0f}",
          ha="center",
          va="center",
          fontsize=8,
          color="#ffffff" if value > 0.6 else chart.INK,
        )
    if traversed.unseen:
      axes.axhline(
        rows - traversed.unseen - 0.5, color=chart.ACCENT, linewidth=1.2
      )
    _labelled(axes, list(traversed.groups), names, traversed.nodes, classes)
    label = (
      f"Share of the images of {rows} classes that pass each of {columns} nodes"
    )
    return chart.svg(figure, "chart-traversals", label)


def _labelled(
  axes: Any,
  groups: list[str],
  names: list[str],
  nodes: tuple[int, ...],
  classes: int,
) -> None:
  rows, columns = len(groups), len(names)
  axes.set_xlim(-0.52, columns - 0.48)
  axes.set_ylim(rows - 0.48, -0.52)
  axes.set_yticks(range(rows), [short(g, 22) for g in groups])
  axes.set_xticks(
    range(columns), [short(n, 20) for n in names], rotation=60, ha="right"
  )
  axes.tick_params(length=0, labelcolor=chart.INK, labelsize=8.5)
  for tick, node in zip(axes.get_xticklabels(), nodes, strict=True):
    tick.set_color(chart.MUTED if node < classes else chart.INK)
    tick.set_fontweight("normal" if node < classes else "bold")
  axes.grid(visible=False)
  axes.spines[["left", "bottom"]].set_visible(False)


def _shade(value: float) -> str:
  import matplotlib
  from matplotlib.colors import to_hex

  return str(to_hex(matplotlib.colormaps["Blues"](0.08 + 0.8 * value)))
