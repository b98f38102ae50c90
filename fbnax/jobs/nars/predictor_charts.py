"""Charts of the predictor: what it knew of costs, accuracies and epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fbnax.report import chart
from fbnax.report.markup import MISSING, number, plural, short
from fbnax.report.schema import Numbers, PredictorRound, Pretrained, Result

# No network has fewer MACs, and no logarithm of a count is larger.
_LARGEST_LOG = 60.0
_COLUMNS = 4
_LABEL_COLUMNS = 3


def _pairs(a: Numbers, b: Numbers) -> list[tuple[float, float]]:
  return [
    (p, q) for p, q in zip(a, b, strict=True) if p is not None and q is not None
  ]


def accuracy_pairs(
  rounds: Sequence[PredictorRound],
) -> list[tuple[PredictorRound, list[tuple[float, float]]]]:
  """The rounds with their (measured, predicted) accuracies, where any."""
  found = [(r, _pairs(r.measured, r.predicted)) for r in rounds]
  return [(r, pairs) for r, pairs in found if pairs]


def predictions(result: Result) -> str | None:
  """Predicted against measured accuracy, a panel for each round."""
  rounds = accuracy_pairs(result.predictor.rounds)
  if not rounds:
    return None
  columns = min(len(rounds), _COLUMNS)
  rows = math.ceil(len(rounds) / columns)
  values = [v for _, pairs in rounds for pair in pairs for v in pair]
  bound = chart.floor(values)
  high = max(values)
  room = max(0.04 * (high - bound), 1e-3)
  limits = (bound - room, high + room)
  colours = chart.round_colours([r.round or 0 for r, _ in rounds])
  with chart.style("chart-predictions"):
    figure = chart.new(2.5 * columns + 0.8, 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(rounds) :]:
      axes.remove()
    for i, (round_, pairs) in enumerate(rounds):
      axes = grid.flat[i]
      axes.plot(limits, limits, color=chart.MUTED, linewidth=1, dashes=(4, 3))
      for marker, inside in (("o", True), ("v", False)):
        shown = [p for p in pairs if (min(p) >= bound) == inside]
        axes.scatter(
          [max(a, bound) for a, _ in shown],
          [max(b, bound) for _, b in shown],
          s=22,
          marker=marker,
          color=colours[round_.round or 0],
          alpha=0.75,
          edgecolor="white",
          linewidth=0.4,
        )
      name = MISSING if round_.round is None else str(round_.round)
      labels = f", {plural(round_.labels, 'label')}" if round_.labels else ""
      axes.set_title(
        f"round {name}{labels}\nSpearman {number(round_.spearman, 2)}, "
        f"Kendall {number(round_.kendall, 2)}"
      )
      first = i % columns == 0
      chart.percent_axis(axes.xaxis, "measured")
      chart.percent_axis(axes.yaxis, "predicted" if first else "")
      axes.tick_params(axis="y", labelleft=first)
      for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(nbins=4)
      axes.set(xlim=limits, ylim=limits, aspect="equal")
    label = "Predicted against measured accuracy: " + ", ".join(
      f"round {r.round} Spearman {number(r.spearman, 2)} "
      f"Kendall {number(r.kendall, 2)}"
      for r, _ in rounds
    )
    return chart.svg(figure, "chart-predictions", label)


def pretraining(result: Result) -> str | None:
  """Predicted against true free labels, a panel for each.

  MACs and parameters as counts, for which natural logarithms of counts are
  understood, too; scores of untrained networks as normal scores.
  """
  panels = []
  for name, item in result.predictor.pretraining.items():
    pairs = _pairs(item.true, item.predicted)
    if not item.normal_scores:
      pairs = [(_count(a), _count(b)) for a, b in pairs if a > 0 and b > 0]
    if pairs:
      panels.append((name, item, pairs))
  if not panels:
    return None
  columns = min(len(panels), _LABEL_COLUMNS)
  rows = math.ceil(len(panels) / columns)
  with chart.style("chart-pretraining"):
    figure = chart.new(4.4 * columns + 0.2, 4.4 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
      axes.remove()
    for axes, panel in zip(grid.flat, panels, strict=False):
      _free_label(axes, *panel)
    more = " and scores" if any(p.normal_scores for _, p, _ in panels) else ""
    label = f"Costs{more} that the pretrained predictor gives: " + ", ".join(
      f"{name} Spearman {number(item.spearman)}" for name, item, _ in panels
    )
    return chart.svg(figure, "chart-pretraining", label)


def _free_label(
  axes: Any, name: str, item: Pretrained, pairs: list[tuple[float, float]]
) -> None:
  """One panel: what was counted or scored, against what is predicted."""
  noun = {"macs": "MACs", "params": "parameters"}.get(name, short(name))
  values = [v for pair in pairs for v in pair]
  divisor, error = 1.0, f"RMSE of the log {number(item.rmse_log)}"
  if item.normal_scores:
    error = f"RMSE {number(item.rmse)}"
    room = max(0.04 * (max(values) - min(values)), 1e-3)
    limits = (min(values) - room, max(values) + room)
    axes.set_xlabel(f"{noun}, scored (normal score)")
    axes.set_ylabel(f"{noun}, predicted")
  else:
    divisor = chart.count_axis(axes.xaxis, values, f"{noun}, counted")
    chart.count_axis(axes.yaxis, values, f"{noun}, predicted")
    limits = (0.9 * min(values) / divisor, 1.1 * max(values) / divisor)
  axes.plot(limits, limits, color=chart.MUTED, linewidth=1, dashes=(4, 3))
  axes.scatter(
    [a / divisor for a, _ in pairs],
    [b / divisor for _, b in pairs],
    s=12,
    color=chart.COLOURS[0],
    alpha=0.5,
    linewidth=0,
  )
  axes.set(xlim=limits, ylim=limits, aspect="equal")
  axes.set_title(
    f"{noun} of {plural(len(pairs), 'architecture')}\n"
    f"Spearman {number(item.spearman)}, {error}"
  )


def _count(value: float) -> float:
  return math.exp(value) if value < _LARGEST_LOG else value


def early_stop(result: Result) -> str | None:
  """Rank correlation with the final accuracies, by epoch (Figure 4.5)."""
  stop = result.early_stop
  points = [
    (epoch, value)
    for epoch, value in enumerate(stop.correlations, start=1)
    if value is not None
  ]
  if not points:
    return None
  with chart.style("chart-early-stop"):
    figure = chart.new(7.2, 3.4)
    axes = figure.add_subplot()
    axes.plot(
      [e for e, _ in points],
      [v for _, v in points],
      "o-",
      color=chart.COLOURS[0],
      markersize=4,
    )
    last = max(stop.max_epochs or 1, len(stop.correlations))
    axes.set_xlim(0.5, last + 0.5)
    low = min(v for _, v in points)
    axes.set_ylim(min(low, stop.threshold or low) - 0.05, 1.04)
    if stop.threshold is not None:
      axes.axhline(
        stop.threshold, color=chart.COLOURS[2], linewidth=1.5, dashes=(5, 3)
      )
      # At the start, where the curve is low.
      axes.annotate(
        f"threshold {stop.threshold:g}",
        (0, stop.threshold),
        (4, -4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="left",
        va="top",
        color="#00724f",
        fontsize=9.5,
      )
    if stop.epoch is not None:
      axes.axvline(stop.epoch, color=chart.ACCENT, linewidth=1.5)
      near_end = stop.epoch > 0.6 * last
      axes.annotate(
        f"stop after epoch {stop.epoch}",
        (stop.epoch, 0.04),
        (-6 if near_end else 6, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if near_end else "left",
        color="#b04d00",
        fontsize=9.5,
      )
    axes.set_xlabel("epoch")
    axes.set_ylabel("rank correlation with the last epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    label = (
      f"Rank correlation by epoch, threshold {number(stop.threshold, 2)}, "
      f"chosen epoch {stop.epoch if stop.epoch is not None else 'none'}"
    )
    return chart.svg(figure, "chart-early-stop", label)
