"""The front of one cost as a chart: expected accuracy against the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fbnax.base.cost_kinds import COST_KINDS
from fbnax.jobs.nars.result import NarsResult
from fbnax.report import chart
from fbnax.report.accuracy_chart import tested
from fbnax.report.front_schema import Front, FrontLine, FrontNetwork
from fbnax.report.labels import place
from fbnax.report.markup import percent, short
from fbnax.report.schema import MemberRow

_WIDTH, _HEIGHT = 10.8, 4.0  # Inches.
_TRIALS = "trials (validation)"
_POINTS = 72  # In an inch; what an SVG is drawn in, so that places agree.


class FrontChart(NamedTuple):
  """A chart, and where on it the budgets lie.

  Attributes:
    svg: the chart. In it `NAME-budget`, a line, marks the first budget, and
      `NAME-network`, a dot, its network.
    name: the chart's id.
    left: where the first budget lies, as share of the width.
    right: where the last one lies.
    moves: for each budget how far the line, and the dot, are from the first
      one's: to the right, and to the right and down, in units of the chart.
  """

  svg: str
  name: str
  left: float
  right: float
  moves: list[tuple[float, float, float]]


def draw(result: NarsResult, front: Front, line: FrontLine) -> FrontChart:
  """The chart of a line, which has stops."""
  kind = COST_KINDS[line.cost]
  name = f"chart-front-{line.cost}"
  limits = [stop.limit or 0.0 for stop in line.stops]
  networks = [front.networks[stop.network] for stop in line.stops]
  members = [m for m in tested(result) if _cost(m, line.cost) is not None]
  trials = _trials(result, front, line.cost)
  with chart.style(name):
    figure = chart.new(_WIDTH, _HEIGHT)
    figure.set_dpi(_POINTS)
    axes = figure.add_subplot()
    costs = limits + [_cost(m, line.cost) or 0.0 for m in members]
    divisor = chart.count_axis(axes.xaxis, costs, kind.column)
    _logarithmic(axes)
    axes.set_xlabel(f"budget: {axes.get_xlabel()}")
    low = _floor(networks, members, trials)
    _scatter_trials(axes, trials, divisor, low)
    points = [
      (limit / divisor, (_cost(n, line.cost) or 0.0) / divisor, _accuracy(n))
      for limit, n in zip(limits, networks, strict=True)
    ]
    _line(axes, points, networks)
    x = [(_cost(m, line.cost) or 0.0) / divisor for m in members]
    y = [m.test_accuracy or 0.0 for m in members]
    axes.scatter(
      x,
      y,
      s=90,
      marker="D",
      color=chart.ACCENT,
      edgecolor="white",
      linewidth=1.0,
      label="members (test)",
      zorder=7,
    )
    room = max(0.1 * (axes.dataLim.y1 - low), 1e-3)
    axes.set_ylim(low - 0.5 * room, min(axes.dataLim.y1, 1.0) + 1.6 * room)
    axes.margins(x=0.03)
    chart.percent_axis(axes.yaxis, "accuracy")
    axes.legend(
      loc="lower left",
      bbox_to_anchor=(-0.01, 1.0),
      ncols=4,
      handletextpad=0.5,
      columnspacing=1.6,
    )
    _marks(axes, points[0])
    place(
      axes,
      x,
      y,
      [f"{short(m.name)} {percent(m.test_accuracy)}" for m in members],
      [(limit, accuracy) for limit, _, accuracy in points],
    )
    figure.draw_without_rendering()
    places = _places(axes, points)
    label = (
      f"Expected accuracy of the best network against its budget of "
      f"{kind.column}: {percent(_accuracy(networks[0]))} at the smallest, "
      f"{percent(_accuracy(networks[-1]))} at the largest"
    )
    width = _WIDTH * _POINTS
    first = places[0]
    return FrontChart(
      chart.svg(figure, name, label),
      name,
      first[0] / width,
      places[-1][0] / width,
      [_move(first, place) for place in places],
    )


def _move(
  first: tuple[float, float, float], place: tuple[float, float, float]
) -> tuple[float, float, float]:
  along, right, down = (
    round(b - a, 1) for a, b in zip(first, place, strict=True)
  )
  return along, right, down


def _cost(row: Any, name: str) -> float | None:
  """A cost of a member, a trial or a network, if it is told of it."""
  value: float | None = getattr(row, name, None)
  return value


def _accuracy(network: FrontNetwork) -> float:
  return network.accuracy or 0.0


def _trials(
  result: NarsResult, front: Front, cost: str
) -> list[tuple[float, float]]:
  """Cost and accuracy of trials, after as many epochs as is predicted for."""
  pairs = []
  for trial in result.trials:
    value, curve = _cost(trial, cost), trial.curve
    if value is None or not curve or trial.status != "done":
      continue
    accuracy = curve[min(front.epochs or len(curve), len(curve)) - 1]
    if accuracy is not None:
      pairs.append((value, accuracy))
  return pairs


def _floor(
  networks: Sequence[FrontNetwork],
  members: Sequence[MemberRow],
  trials: Sequence[tuple[float, float]],
) -> float:
  """Where the axis begins: below all but the trials that did not learn."""
  lowest = min(map(_accuracy, networks))
  accuracies = [m.test_accuracy or 0.0 for m in members]
  return min(
    [
      lowest,
      *accuracies,
      max(chart.floor([a for _, a in trials]), lowest - 0.1),
    ]
  )


def _logarithmic(axes: Any) -> None:
  """Equal ratios at equal distances, as the budgets are spread."""
  from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

  if axes.get_xscale() != "log":
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _scatter_trials(
  axes: Any,
  trials: Sequence[tuple[float, float]],
  divisor: float,
  low: float,
) -> None:
  """Dots, all in one path: as marks of their own they would weigh most."""
  from matplotlib.patches import PathPatch
  from matplotlib.path import Path

  shown = [(cost / divisor, a) for cost, a in trials if a >= low]
  if not shown:
    return
  look: Any = {"color": chart.MUTED, "alpha": 0.35}
  vertices = [point for point in shown for _ in range(2)]
  codes = [Path.MOVETO, Path.LINETO] * len(shown)
  axes.add_patch(
    PathPatch(Path(vertices, codes), linewidth=5, capstyle="round", zorder=2)
  )
  axes.patches[-1].set(**look)
  axes.plot([], [], "o", markersize=5, label=_TRIALS, **look)
  axes.update_datalim(shown)


def _line(
  axes: Any,
  points: Sequence[tuple[float, float, float]],
  networks: Sequence[FrontNetwork],
) -> None:
  """The expected accuracy, and how far the predictor's members disagree.

  It rises where a network begins to be affordable, which is its cost.
  """
  ends = [n.accuracy_range or (n.accuracy, n.accuracy) for n in networks]
  steps = [cost for _, cost, _ in points] + [points[-1][0]]
  axes.fill_between(
    steps,
    [low or 0.0 for low, _ in [*ends, ends[-1]]],
    [high or 0.0 for _, high in [*ends, ends[-1]]],
    step="post",
    color=chart.COLOURS[0],
    alpha=0.16,
    linewidth=0,
    label="spread of the predictor",
    zorder=1,
  )
  axes.step(
    steps,
    [accuracy for _, _, accuracy in [*points, points[-1]]],
    where="post",
    color=chart.COLOURS[0],
    label="best network, expected (validation)",
    zorder=3,
  )


def _marks(axes: Any, point: tuple[float, float, float]) -> None:
  """What a script moves: the line of the budget, the dot of its network."""
  limit, cost, accuracy = point
  low, high = axes.get_ylim()
  axes.plot(
    [limit, limit],
    [low, high],
    color=chart.INK,
    linewidth=1.2,
    gid="budget",
    clip_on=False,
    zorder=5,
  )
  axes.plot(
    [cost],
    [accuracy],
    "o",
    markersize=9,
    color=chart.COLOURS[0],
    markeredgecolor="white",
    markeredgewidth=1.4,
    gid="network",
    clip_on=False,
    zorder=8,
  )
  axes.set_ylim(low, high)


def _places(
  axes: Any, points: Sequence[tuple[float, float, float]]
) -> list[tuple[float, float, float]]:
  """Where budgets and networks lie, in points from the chart's top left."""
  low = axes.get_ylim()[0]
  limits = axes.transData.transform([(limit, low) for limit, _, _ in points])
  dots = axes.transData.transform([(cost, a) for _, cost, a in points])
  return [
    (float(x), float(dot[0]), float(_HEIGHT * _POINTS - dot[1]))
    for (x, _), dot in zip(limits, dots, strict=True)
  ]
