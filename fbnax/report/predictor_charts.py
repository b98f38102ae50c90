"""Charts of the predictor: what it knew of costs, accuracies and epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fbnax.report import chart
from fbnax.report.markup import MISSING, number, plural, short
from fbnax.report.schema import Numbers, PredictorRound, Result

# No network has fewer MACs, and no logarithm of a count is larger.
_LARGEST_LOG = 60.0
_COLUMNS = 4


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
  """Predicted against true MACs and parameters, on logarithmic axes.

  Counts and natural logarithms of counts are both understood.
  """
  panels = []
  for name, item in result.predictor.pretraining.items():
    pairs = [
      (_count(a), _count(b))
      for a, b in _pairs(item.true, item.predicted)
      if a > 0 and b > 0
    ]
    if pairs:
      panels.append((name, item, pairs))
  if not panels:
    return None
  with chart.style("chart-pretraining"):
    figure = chart.new(4.4 * len(panels) + 0.2, 4.4)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, item, pairs) in zip(all_axes, panels, strict=True):
      noun = {"macs": "MACs", "params": "parameters"}.get(name, short(name))
      values = [v for pair in pairs for v in pair]
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
        f"Spearman {number(item.spearman)}, "
        f"RMSE of the log {number(item.rmse_log)}"
      )
    label = "Costs that the pretrained predictor gives: " + ", ".join(
      f"{name} Spearman {number(item.spearman)}" for name, item, _ in panels
    )
    return chart.svg(figure, "chart-pretraining", label)


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
