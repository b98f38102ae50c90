"""Charts of AutoBuild: fronts, rank correlations, importance, searches.

A label expression has the same colour in all: that of its place in the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnax.jobs.autobuild.result import (
  AutobuildResult,
  LearnedExpression,
  Points,
)
from fbnax.report import chart
from fbnax.report.markup import number, short

_METHODS = {
  "autobuild": "AutoBuild-NAS",
  "stage": "Stage-Full",
  "layer": "Layer-Full",
}


def points(pairs: Points) -> np.ndarray:
  """Accuracies and costs of those that have both, `f64[n, 2]`."""
  rows = [pair for pair in pairs if None not in pair]
  return np.asarray(rows, float).reshape(len(rows), 2)


def fronts(result: AutobuildResult) -> str | None:
  """Accuracy against cost of all networks; None without any."""
  labelled = points(result.training.points)
  built = [points(row.constructed.points) for row in result.expressions]
  if not len(labelled) and not any(map(len, built)):
    return None
  with chart.style("chart-fronts"):
    axes = chart.new(10.2, 5.6).add_subplot()
    axes.scatter(
      labelled[:, 1],
      labelled[:, 0],
      s=9,
      color="#c3cad4",
      linewidths=0,
      label="labelled networks",
    )
    front = points(result.training.front)
    axes.step(
      front[:, 1],
      front[:, 0],
      where="post",
      color=chart.MUTED,
      linewidth=1.4,
      label="their front",
    )
    for i, (row, networks) in enumerate(
      zip(result.expressions, built, strict=True)
    ):
      axes.scatter(
        networks[:, 1],
        networks[:, 0],
        s=16,
        alpha=0.65,
        linewidths=0,
        zorder=4,
        color=_colour(i),
        label=short(row.expression, 44),
      )
    random = points(result.baselines.random.points)
    axes.scatter(
      random[:, 1],
      random[:, 0],
      s=14,
      marker="x",
      linewidths=0.9,
      color="#7b8794",
      label="random networks",
      zorder=3,
    )
    largest = points(result.baselines.largest.points)
    axes.scatter(
      largest[:, 1],
      largest[:, 0],
      s=70,
      marker="*",
      color=chart.INK,
      label="the largest network",
      zorder=5,
    )
    axes.set_xlabel(result.cost)
    axes.set_ylabel(result.accuracy)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    label = (
      f"{result.accuracy} against {result.cost} of {len(labelled)} labelled "
      f"networks and {sum(map(len, built))} that were put together"
    )
    return chart.svg(axes.figure, "chart-fronts", label)


def hops(result: AutobuildResult) -> str | None:
  """Rank correlation by hop and of the prediction; None without any."""
  rows = [(i, row) for i, row in enumerate(result.expressions) if row.hops]
  if not rows:
    return None
  count = max(len(seed) for _, row in rows for seed in row.hops)
  with chart.style("chart-hops"):
    axes = chart.new(10.2, 4.2).add_subplot()
    every = []
    for place, (i, row) in enumerate(rows):
      shift = (place - (len(rows) - 1) / 2) * 0.08
      values = np.full((len(row.hops), count + 1), np.nan)
      for s, seed in enumerate(row.hops):
        values[s, : len(seed)] = [np.nan if v is None else v for v in seed]
      for s, v in enumerate(row.prediction[: len(values)]):
        values[s, count] = np.nan if v is None else v
      x = np.arange(count + 1) + shift
      for dots in values:
        axes.plot(
          x,
          dots,
          "o",
          color=_colour(i),
          markersize=5,
          alpha=0.6,
          markeredgewidth=0,
        )
      defined = np.isfinite(values).any(axis=0)
      mean = np.full(count + 1, np.nan)
      mean[defined] = np.nanmean(values[:, defined], axis=0)
      axes.plot(
        x[:count],
        mean[:count],
        color=_colour(i),
        label=short(row.expression, 44),
      )
      if row.ridge is not None:
        axes.hlines(
          row.ridge,
          count - 0.3 + shift,
          count + 0.3 + shift,
          color=_colour(i),
          linestyles=[(0, (3, 1.5))],
        )
        every.append(row.ridge)
      every += values[np.isfinite(values)].tolist()
    low = min([*every, 0.9])
    axes.set_ylim(low - 0.03 * (1 - low) - 0.01, 1.005)
    axes.set_xticks(
      range(count + 1), [*(f"hop {h}" for h in range(count)), "prediction"]
    )
    axes.set_ylabel("rank correlation (Spearman)")
    axes.legend(loc="lower right")
    label = "Rank correlation by hop: " + "; ".join(
      f"{row.expression} {', '.join(number(v) for v in row.hops[0])}"
      for _, row in rows
    )
    return chart.svg(axes.figure, "chart-hops", label)


def importance(row: LearnedExpression, name: str) -> str | None:
  """A panel of bars for each feature; None without any."""
  features = [f for f in row.importance if len(f.values) > 1]
  if not features:
    return None
  with chart.style(name):
    figure = chart.new(10.2, 2.5)
    widths = [max(len(f.values), 2) for f in features]
    panels = figure.subplots(
      1,
      len(features),
      sharey=True,
      gridspec_kw={"width_ratios": widths},
      squeeze=False,
    )[0]
    for panel, feature in zip(panels, features, strict=True):
      scores = [0.0 if v is None else v for v in feature.scores]
      x = np.arange(len(scores))
      panel.bar(x, scores, width=0.7, color=chart.COLOURS[0])
      step = max(1, len(x) // 8)
      panel.set_xticks(x[::step], feature.values[::step], fontsize=8.5)
      panel.set_title(feature.feature)
      panel.grid(axis="x", visible=False)
    panels[0].set_ylabel("importance")
    label = "Importance: " + "; ".join(
      f"{f.feature} "
      + ", ".join(
        f"{v} {number(s, 2)}" for v, s in zip(f.values, f.scores, strict=True)
      )
      for f in features
    )
    return chart.svg(figure, name, label)


def volumes(result: AutobuildResult) -> dict[str, np.ndarray]:
  """Hypervolume after each evaluation, by method, `f64[seeds, E]`."""
  corner = result.training.reference
  if len(corner) != 2 or None in corner:
    return {}
  by_method: dict[str, list[np.ndarray]] = {}
  for search in result.searches:
    rows = points(search.points)
    if len(rows):
      curve = _growing(rows, np.asarray(corner, float))
      by_method.setdefault(search.method, []).append(curve)
  return {
    method: np.asarray([c[: min(map(len, curves))] for c in curves])
    for method, curves in by_method.items()
  }


def searches(result: AutobuildResult) -> str | None:
  """Hypervolume against evaluations; None without a search."""
  by_method = volumes(result)
  if not by_method:
    return None
  with chart.style("chart-searches"):
    axes = chart.new(10.2, 4.2).add_subplot()
    for i, (method, curves) in enumerate(by_method.items()):
      x = np.arange(1, curves.shape[1] + 1)
      mean = curves.mean(axis=0)
      spread = curves.std(axis=0, ddof=1) if len(curves) > 1 else 0 * mean
      axes.fill_between(
        x,
        mean - spread,
        mean + spread,
        color=_colour(i),
        alpha=0.14,
        linewidth=0,
      )
      axes.plot(x, mean, color=_colour(i), label=_METHODS.get(method, method))
    if result.training.hypervolume is not None:
      axes.axhline(
        result.training.hypervolume,
        color=chart.MUTED,
        linewidth=1.4,
        dashes=(5, 3),
        label="labelled networks",
      )
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume")
    axes.legend(loc="lower right")
    label = "Hypervolume in the end: " + ", ".join(
      f"{_METHODS.get(m, m)} {number(float(c[:, -1].mean()), 4)}"
      for m, c in by_method.items()
    )
    return chart.svg(axes.figure, "chart-searches", label)


def _growing(rows: np.ndarray, corner: np.ndarray) -> np.ndarray:
  """Hypervolume of the first, the first two, … rows, `f64[n]`.

  Of accuracy, to be large, and cost, to be small.
  """
  front: list[tuple[float, float]] = []
  result, area = [], 0.0
  for accuracy, cost in rows:
    dominated = any(a >= accuracy and c <= cost for a, c in front)
    if accuracy > corner[0] and cost < corner[1] and not dominated:
      front = [(a, c) for a, c in front if not (accuracy >= a and cost <= c)]
      front.append((float(accuracy), float(cost)))
      front.sort(key=lambda p: p[1])
      area, below = 0.0, float(corner[0])
      for a, c in front:
        # From cheap to dear every point adds what is above the ones before.
        area += (a - below) * (float(corner[1]) - c)
        below = a
    result.append(area)
  return np.asarray(result)


def _colour(place: int) -> Any:
  return chart.COLOURS[place % len(chart.COLOURS)]
