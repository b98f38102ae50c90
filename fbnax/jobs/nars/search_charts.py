"""Charts of the search: accuracy against cost, and the trials by round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fbnax.report import chart
from fbnax.report.labels import place
from fbnax.report.markup import interval, percent, plural, short
from fbnax.report.schema import Member, Result, Trial


def measured(trials: Sequence[Trial]) -> list[Trial]:
  """The trials that have an accuracy and a cost to draw."""
  return [
    t
    for t in trials
    if t.status == "done" and t.accuracy is not None and t.macs is not None
  ]


def hidden(trials: Sequence[Trial]) -> int:
  """How many of the measured trials lie below the axis of accuracies."""
  accuracies = [t.accuracy or 0.0 for t in trials]
  return sum(a < chart.floor(accuracies) for a in accuracies)


def front(trials: Sequence[Trial]) -> list[Trial]:
  """The trials that none beats in both accuracy and MACs, by MACs."""
  best: list[Trial] = []
  for trial in sorted(trials, key=lambda t: (t.macs or 0, -(t.accuracy or 0))):
    if not best or (trial.accuracy or 0) > (best[-1].accuracy or 0):
      best.append(trial)
  return best


def _tested(result: Result) -> list[Member]:
  return [
    m
    for m in result.members
    if m.test_accuracy is not None and m.macs is not None
  ]


def _rounds(trials: Sequence[Trial]) -> list[int]:
  return sorted({t.round or 0 for t in trials})


def accuracy_macs(result: Result) -> str | None:
  """Accuracy against MACs: trials by round, their Pareto front, the family.

  None where there is neither a trial nor a member to draw.
  """
  trials, members = measured(result.trials), _tested(result)
  if not trials and not members:
    return None
  costs = [t.macs or 0.0 for t in trials] + [m.macs or 0.0 for m in members]
  low = chart.floor([t.accuracy or 0.0 for t in trials])
  if not trials:
    low = min(m.test_accuracy or 0.0 for m in members) - 0.02
  with chart.style("chart-accuracy-macs"):
    figure = chart.new(10.8, 5.2)
    axes = figure.add_subplot()
    divisor = chart.count_axis(axes.xaxis, costs, "MACs")
    _scatter_trials(axes, trials, divisor, low)
    _scatter_family(axes, members, divisor, result.dataset.test)
    # Room above for names, and below for the marks of what lies there.
    lowest = min([low, *(m.test_accuracy or 0.0 for m in members)])
    highest = axes.dataLim.y1
    room = max(0.1 * (highest - lowest), 1e-3)
    # Many names need a place of their own, above the points.
    above = room * (1 + 0.4 * max(0, len(members) - 4))
    axes.set_ylim(lowest - room, highest + above)
    axes.margins(x=0.07)
    chart.percent_axis(axes.yaxis, "accuracy")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.5)
    place(
      axes,
      [(m.macs or 0) / divisor for m in members],
      [m.test_accuracy or 0.0 for m in members],
      [f"{short(m.name)} {percent(m.test_accuracy)}" for m in members],
      [((t.macs or 0) / divisor, max(t.accuracy or 0, low)) for t in trials],
    )
    label = (
      f"Accuracy against MACs of {plural(len(trials), 'trial')} (validation) "
      f"and {plural(len(members), 'member')} of the family (test)"
    )
    return chart.svg(figure, "chart-accuracy-macs", label)


def _scatter_trials(
  axes: Any, trials: Sequence[Trial], divisor: float, low: float
) -> None:
  colours = chart.round_colours(_rounds(trials))
  for number, colour in colours.items():
    of_round = [t for t in trials if (t.round or 0) == number]
    for inside, marker in ((True, "o"), (False, "v")):
      drawn = [t for t in of_round if ((t.accuracy or 0.0) >= low) == inside]
      axes.scatter(
        [(t.macs or 0) / divisor for t in drawn],
        [max(t.accuracy or 0.0, low) for t in drawn],
        s=30,
        marker=marker,
        color=colour,
        alpha=0.8,
        edgecolor="white",
        linewidth=0.5,
        label=f"trials, round {number}" if inside else None,
        zorder=3,
      )
  best = front([t for t in trials if (t.accuracy or 0.0) >= low])
  if len(best) > 1:
    axes.step(
      [(t.macs or 0) / divisor for t in best],
      [t.accuracy for t in best],
      where="post",
      color=chart.MUTED,
      linewidth=1.3,
      label="Pareto front of the trials",
      zorder=2,
    )


def _scatter_family(
  axes: Any, members: Sequence[Member], divisor: float, images: int | None
) -> None:
  if not members:
    return
  x = [(m.macs or 0) / divisor for m in members]
  y = [m.test_accuracy or 0.0 for m in members]
  if images:
    limits = [interval(min(max(v, 0.0), 1.0), images) for v in y]
    axes.vlines(
      x,
      [a for a, _ in limits],
      [b for _, b in limits],
      color=chart.ACCENT,
      alpha=0.45,
      linewidth=2.2,
      label="95% interval",
      zorder=4,
    )
  axes.scatter(
    x,
    y,
    s=110,
    marker="D",
    color=chart.ACCENT,
    edgecolor="white",
    linewidth=1.0,
    label="the family, test",
    zorder=7,
  )


def sampling(result: Result) -> str | None:
  """Accuracy and MACs of the trials of each round, then of the family.

  None without trials.
  """
  import numpy as np

  trials, members = measured(result.trials), _tested(result)
  if not trials:
    return None
  rounds = _rounds(trials)
  low = chart.floor([t.accuracy or 0.0 for t in trials])
  groups = [[t for t in trials if (t.round or 0) == r] for r in rounds]
  with chart.style("chart-sampling"):
    figure = chart.new(10.8, 4.2)
    left, right = figure.subplots(1, 2)
    costs = [t.macs or 0.0 for t in trials] + [m.macs or 0.0 for m in members]
    divisor = chart.count_axis(right.yaxis, costs, "MACs")
    colours = chart.round_colours(rounds)
    for position, (group, number) in enumerate(
      zip(groups, rounds, strict=True)
    ):
      accuracies = np.array([t.accuracy for t in group])
      macs = np.array([t.macs for t in group]) / divisor
      _cloud(left, position, accuracies, low, colours[number])
      _cloud(right, position, macs, -np.inf, colours[number])
    ticks = [
      f"{'round ' if len(rounds) <= 5 else ''}{r}\n{len(g)}"
      for r, g in zip(rounds, groups, strict=True)
    ]
    if members:
      ticks.append(f"family\n{len(members)}")
    for axes, title, values in (
      (left, "accuracy", [m.test_accuracy for m in members]),
      (right, "where they lie in MACs", [m.macs for m in members]),
    ):
      axes.scatter(
        [len(rounds)] * len(values),
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
        for r, g in zip(rounds, groups, strict=True)
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
