"""Charts of the search: the trials, round by round."""

from __future__ import annotations

from typing import Any

from fbnax.report import chart
from fbnax.report.accuracy_chart import measured, rounds, tested
from fbnax.report.markup import percent
from fbnax.report.schema import Result


def sampling(result: Result) -> str | None:
  """Accuracy and MACs of the trials of each round, then of the family.

  None without trials.
  """
  import numpy as np

  trials, members = measured(result.trials), tested(result)
  if not trials:
    return None
  numbers = rounds(trials)
  low = chart.floor([t.accuracy or 0.0 for t in trials])
  groups = [[t for t in trials if (t.round or 0) == r] for r in numbers]
  with chart.style("chart-sampling"):
    figure = chart.new(10.8, 4.2)
    left, right = figure.subplots(1, 2)
    costs = [t.macs or 0.0 for t in trials] + [m.macs or 0.0 for m in members]
    divisor = chart.count_axis(right.yaxis, costs, "MACs")
    colours = chart.round_colours(numbers)
    for position, (group, number) in enumerate(
      zip(groups, numbers, strict=True)
    ):
      accuracies = np.array([t.accuracy for t in group])
      macs = np.array([t.macs for t in group]) / divisor
      _cloud(left, position, accuracies, low, colours[number])
      _cloud(right, position, macs, -np.inf, colours[number])
    ticks = [
      f"{'round ' if len(numbers) <= 5 else ''}{r}\n{len(g)}"
      for r, g in zip(numbers, groups, strict=True)
    ]
    if members:
      ticks.append(f"family\n{len(members)}")
    for axes, title, values in (
      (left, "accuracy", [m.test_accuracy for m in members]),
      (right, "where they lie in MACs", [m.macs for m in members]),
    ):
      axes.scatter(
        [len(numbers)] * len(values),
        [(v or 0) / (divisor if axes is right else 1) for v in values],
        s=60,
        marker="D",
        color=chart.ACCENT,
        edgecolor="white",
        linewidth=0.8,
      )
      axes.set_title(title)
      axes.set_xticks(range(len(ticks)), ticks)
      axes.set_xlim(-0.6, len(ticks) - 0.4)
      axes.grid(axis="x", visible=False)
      axes.set_xlabel("round, and its number of trials")
    lowest = min([low, *(m.test_accuracy or 0.0 for m in members)])
    room = 0.06 * (left.get_ylim()[1] - lowest)
    left.set_ylim(lowest - max(room, 1e-3))
    chart.percent_axis(left.yaxis, "")
    label = "Distribution of measured accuracy and of MACs by round: " + (
      ", ".join(
        f"round {r} median {percent(float(np.median([t.accuracy for t in g])))}"
        for r, g in zip(numbers, groups, strict=True)
      )
    )
    return chart.svg(figure, "chart-sampling", label)


def _cloud(
  axes: Any, position: int, values: Any, bound: float, colour: Any
) -> None:
  """Dots spread sideways, triangles for those under the bound, quartiles."""
  import numpy as np

  # Sideways by a fixed shuffle, so that the picture is the same every time.
  order = np.random.default_rng(position).permutation(len(values))
  x = position + 0.46 * ((order + 0.5) / len(values) - 0.5)
  inside = values >= bound
  for mask, marker in ((inside, "o"), (~inside, "v")):
    axes.scatter(
      x[mask],
      np.maximum(values[mask], bound),
      s=20,
      marker=marker,
      color=colour,
      alpha=0.65,
      edgecolor="white",
      linewidth=0.4,
    )
  first, median, third = np.maximum(
    np.quantile(values, [0.25, 0.5, 0.75]), bound
  )
  middle = position + 0.36
  axes.vlines(middle, first, third, color=chart.INK, linewidth=3, zorder=4)
  axes.hlines(
    median,
    middle - 0.08,
    middle + 0.08,
    color=chart.INK,
    linewidth=2.4,
    zorder=4,
  )
