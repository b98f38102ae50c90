"""Accuracy against cost: the trials of a search, their front, the family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fbnax.report import chart
from fbnax.report.labels import place
from fbnax.report.markup import interval, percent, plural, short
from fbnax.report.schema import MemberRow, Result, TrialRow


def measured(trials: Sequence[TrialRow]) -> list[TrialRow]:
  """The trials that have an accuracy and a cost to draw."""
  return [
    t
    for t in trials
    if t.status == "done" and t.accuracy is not None and t.macs is not None
  ]


def hidden(trials: Sequence[TrialRow]) -> int:
  """How many of the measured trials lie below the axis of accuracies."""
  accuracies = [t.accuracy or 0.0 for t in trials]
  return sum(a < chart.floor(accuracies) for a in accuracies)


def front(trials: Sequence[TrialRow]) -> list[TrialRow]:
  """The trials that none beats in both accuracy and MACs, by MACs."""
  best: list[TrialRow] = []
  for trial in sorted(trials, key=lambda t: (t.macs or 0, -(t.accuracy or 0))):
    if not best or (trial.accuracy or 0) > (best[-1].accuracy or 0):
      best.append(trial)
  return best


def tested(result: Result) -> list[MemberRow]:
  """The members that have an accuracy and a cost to draw."""
  return [
    m
    for m in result.members
    if m.test_accuracy is not None and m.macs is not None
  ]


def rounds(trials: Sequence[TrialRow]) -> list[int]:
  """The rounds that trials are of, in order."""
  return sorted({t.round or 0 for t in trials})


def accuracy_macs(result: Result) -> str | None:
  """Accuracy against MACs: trials by round, their Pareto front, the family.

  None where there is neither a trial nor a member to draw.
  """
  trials, members = measured(result.trials), tested(result)
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
  axes: Any, trials: Sequence[TrialRow], divisor: float, low: float
) -> None:
  colours = chart.round_colours(rounds(trials))
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
  axes: Any, members: Sequence[MemberRow], divisor: float, images: int | None
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
