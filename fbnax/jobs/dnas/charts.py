"""Charts of a differentiable search: theta, cost, losses, networks, memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fbnax.base.cost_kinds import measured
from fbnax.jobs.dnas.result import DnasResult, EpochRow
from fbnax.report import chart
from fbnax.report.labels import place
from fbnax.report.markup import percent, plural

# Decisions in a row of the small multiples.
_COLUMNS = 6
# Rectangles that all of them together may have.
_CELLS = 12_000
# How options of channels are built, and what it is called.
FORMS = {"masks": "masks, as here", "blocks": "one block per option"}


def course(result: DnasResult) -> str | None:
  """Losses, cost against the target, temperature and entropy by epoch."""
  rows = [r for r in result.rows if r.epoch is not None]
  if not rows:
    return None
  with chart.style("chart-course"):
    figure = chart.new(10.8, 6.4)
    grid = figure.subplots(2, 2)
    _losses(grid[0][0], rows)
    _costs(grid[0][1], rows, result)
    _lines(
      grid[1][0], rows, [("temperature", "temperature")], "temperature", True
    )
    _entropies(grid[1][1], rows)
    for axes in grid.flat:
      axes.set_xlabel("epoch")
      axes.xaxis.get_major_locator().set_params(integer=True)
    last = rows[-1]
    label = (
      f"The search by epoch: losses, expected and derived cost, temperature, "
      f"entropy of theta; after {plural(len(rows), 'epoch')} the expected cost "
      f"is {last.expected or 0:.4g} {result.cost.unit}"
    )
    return chart.svg(figure, "chart-course", label)


def probabilities(result: DnasResult) -> str | None:
  """The probability of each choice over the epochs, a panel per decision.

  None where no decision has two choices.
  """
  import matplotlib

  rows = [r for r in result.rows if r.probabilities]
  searched = [
    (i, d) for i, d in enumerate(result.space.decisions) if len(d.values) > 1
  ]
  if not rows or not searched:
    return None
  columns = min(_COLUMNS, len(searched))
  lines = math.ceil(len(searched) / columns)
  most = max(len(d.values) for _, d in searched)
  tall = 0.75 + 0.17 * max(most, 4)
  with chart.style("chart-theta"):
    figure = chart.new(10.8, 0.6 + tall * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    mesh = None
    shown = _thinned(rows, _CELLS // sum(len(d.values) for _, d in searched))
    epochs = [row.epoch or 0 for row in shown]
    # A column begins where the one before it ends.
    edges = [e - 0.5 for e in epochs] + [epochs[-1] + 0.5]
    for axes, (i, decision) in zip(grid.flat, searched, strict=False):
      table = [
        [row.probabilities[i][j] or 0.0 for row in shown]
        for j in range(len(decision.values))
      ]
      # Not as an image: the page lets none in, and lines stay sharp.
      mesh = axes.pcolormesh(
        edges,
        [j - 0.5 for j in range(len(table) + 1)],
        table,
        cmap=matplotlib.colormaps["Blues"].resampled(20),
        vmin=0.0,
        vmax=1.0,
        edgecolor="face",
        linewidth=0.1,
      )
      axes.invert_yaxis()
      chosen = _choice(result, i)
      names = [_short(v) for v in decision.values]
      axes.set_yticks(range(len(names)), names, fontsize=7)
      if chosen is not None:
        axes.get_yticklabels()[chosen].set_color(chart.ACCENT)
        axes.get_yticklabels()[chosen].set_fontweight("bold")
      axes.set_title(_short(decision.name, 18), fontsize=8.5)
      axes.tick_params(length=0, labelsize=7)
      axes.set_xticks(sorted({epochs[0], epochs[-1]}))
      axes.grid(visible=False)
    for axes in list(grid.flat)[len(searched) :]:
      axes.set_visible(False)
    figure.colorbar(
      mesh, ax=list(grid.flat), label="probability", fraction=0.02, aspect=30
    )
    label = (
      "Probability of each choice by epoch, for "
      f"{plural(len(searched), 'decision')}"
    )
    return chart.svg(figure, "chart-theta", label)


def networks(result: DnasResult) -> str | None:
  """Test accuracy against cost: the derived network and the random ones."""
  members = [
    m
    for m in result.members
    if m.test_accuracy is not None and m.cost is not None
  ]
  if len(members) < 2:
    return None
  with chart.style("chart-compared"):
    figure = chart.new(8.4, 3.9)
    axes = figure.add_subplot()
    costs = [m.cost or 0.0 for m in members]
    if kind := measured(result.cost.kind):
      divisor = 1.0
      axes.set_xlabel(kind.column)
    else:
      divisor = chart.count_axis(axes.xaxis, costs, result.cost.unit)
    for derived, colour, marker, words in (
      (False, chart.COLOURS[0], "o", "random, same cost"),
      (True, chart.ACCENT, "D", "derived by the search"),
    ):
      group = [m for m in members if (m.network == "derived") == derived]
      axes.scatter(
        [(m.cost or 0.0) / divisor for m in group],
        [m.test_accuracy for m in group],
        s=80 if derived else 46,
        marker=marker,
        color=colour,
        edgecolor="white",
        linewidth=0.8,
        label=words if group else None,
        zorder=4 if derived else 3,
      )
    if result.comparison.random_mean is not None:
      axes.axhline(
        result.comparison.random_mean,
        color=chart.COLOURS[0],
        linewidth=1.2,
        linestyle=chart.DASHES[1],
        label="mean of the random ones",
      )
    _mark_target(axes, result, divisor, vertical=True)
    axes.margins(x=0.15, y=0.2)
    chart.percent_axis(axes.yaxis, "test accuracy")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ours = [m for m in members if m.network == "derived"]
    # One label for all seeds, beside the one nearest to their mean.
    mean = sum(m.test_accuracy or 0.0 for m in ours) / max(len(ours), 1)
    named = sorted(ours, key=lambda m: abs((m.test_accuracy or 0.0) - mean))[:1]
    place(
      axes,
      [(m.cost or 0.0) / divisor for m in named],
      [m.test_accuracy or 0.0 for m in named],
      [("mean " if len(ours) > 1 else "") + percent(mean)] * len(named),
      [((m.cost or 0.0) / divisor, m.test_accuracy or 0.0) for m in members],
    )
    label = (
      f"Test accuracy of the derived network and of "
      f"{plural(len(members) - len(ours), 'random network')} of the same cost"
    )
    return chart.svg(figure, "chart-compared", label)


def memory_of(result: DnasResult, form: str) -> list[tuple[int, float]]:
  """Options and bytes of a form, by options."""
  return sorted(
    (row.options, row.total)
    for row in result.memory
    if row.form == form and row.total and row.options > 0
  )


def memory(result: DnasResult) -> str | None:
  """Memory of a training step against the channel options of each block."""
  by_form = {form: memory_of(result, form) for form in FORMS}
  by_form = {form: rows for form, rows in by_form.items() if rows}
  if not by_form:
    return None
  with chart.style("chart-memory"):
    figure = chart.new(8.4, 3.9)
    axes = figure.add_subplot()
    for i, (form, rows) in enumerate(by_form.items()):
      axes.plot(
        [k for k, _ in rows],
        [total / 1e6 for _, total in rows],
        color=chart.COLOURS[i],
        linestyle=chart.DASHES[i],
        marker="o",
        label=FORMS[form],
      )
    options = sorted({k for rows in by_form.values() for k, _ in rows})
    axes.set_xticks(options, [str(k) for k in options])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("channel options of each block")
    axes.set_ylabel("memory of a training step, MB")
    axes.legend(loc="upper left")
    label = "Memory of a training step: " + "; ".join(
      f"{FORMS[form]} {rows[0][1] / 1e6:.4g} MB with {rows[0][0]} and "
      f"{rows[-1][1] / 1e6:.4g} MB with {plural(rows[-1][0], 'option')}"
      for form, rows in by_form.items()
    )
    return chart.svg(figure, "chart-memory", label)


def _thinned(rows: Sequence[EpochRow], most: int) -> list[EpochRow]:
  """At most so many rows, evenly spread, the last among them."""
  step = math.ceil(len(rows) / max(most, 1))
  return list(rows)[::-1][::step][::-1]


def _losses(axes: Any, rows: Sequence[EpochRow]) -> None:
  _lines(
    axes,
    rows,
    [
      ("loss", "weights' images"),
      ("theta_loss", "theta's images"),
      ("objective", "with the cost"),
    ],
    "cross entropy, nats",
    False,
  )
  axes.legend(loc="best")


def _costs(axes: Any, rows: Sequence[EpochRow], result: DnasResult) -> None:
  costs = [v for r in rows for v in (r.expected, r.derived) if v is not None]
  target = result.cost.target or 0.0
  if not costs:
    axes.set_visible(False)
    return
  if kind := measured(result.cost.kind):
    divisor = 1.0
    axes.set_ylabel(kind.unit)
  else:
    values = [*costs, *([target] if target > 0 else [])]
    divisor = chart.count_axis(axes.yaxis, values, result.cost.unit)
  for i, (name, words) in enumerate(
    (("expected", "expected"), ("derived", "of the likeliest"))
  ):
    points = [(r.epoch, getattr(r, name)) for r in rows]
    points = [(x, y) for x, y in points if y is not None]
    axes.plot(
      [x for x, _ in points],
      [y / divisor for _, y in points],
      color=chart.COLOURS[i],
      linestyle=chart.DASHES[i],
      label=words,
    )
  if result.derived.cost is not None:
    axes.plot(
      [rows[-1].epoch],
      [result.derived.cost / divisor],
      marker="D",
      color=chart.ACCENT,
      linestyle="none",
      label="derived",
      zorder=5,
      clip_on=False,
    )
  _mark_target(axes, result, divisor, vertical=False)
  axes.set_title("cost")
  axes.legend(loc="best")


def _mark_target(
  axes: Any, result: DnasResult, divisor: float, *, vertical: bool
) -> None:
  """A line at the target, and a band of what is near enough."""
  target = result.cost.target or 0.0
  if target <= 0:
    return
  width = target * (result.cost.tolerance or 0.0)
  low, high = (target - width) / divisor, (target + width) / divisor
  line, span = (
    (axes.axvline, axes.axvspan) if vertical else (axes.axhline, axes.axhspan)
  )
  span(low, high, color=chart.MUTED, alpha=0.13, linewidth=0)
  line(target / divisor, color=chart.MUTED, linewidth=1.2, label="target")


def _lines(
  axes: Any,
  rows: Sequence[EpochRow],
  series: Sequence[tuple[str, str]],
  title: str,
  logarithmic: bool,
) -> None:
  for i, (name, words) in enumerate(series):
    points = [(r.epoch, getattr(r, name)) for r in rows]
    points = [(x, y) for x, y in points if y is not None]
    if points:
      axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=chart.COLOURS[i],
        linestyle=chart.DASHES[i % len(chart.DASHES)],
        marker="o" if len(points) == 1 else None,
        label=words,
      )
  axes.set_title(title)
  if logarithmic:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _entropies(axes: Any, rows: Sequence[EpochRow]) -> None:
  """Each decision's in grey, their mean over them."""
  import numpy as np

  table = np.asarray([[e or 0.0 for e in r.entropies] for r in rows])
  # A decision with one choice has none from the start.
  table = table[:, table.max(0) > 0] if table.size else table
  epochs = [r.epoch for r in rows]
  if table.size:
    axes.plot(epochs, table, color="#b7bfca", linewidth=0.8)
    axes.plot(
      epochs, table.mean(1), color=chart.COLOURS[0], linewidth=2.2, label="mean"
    )
    axes.legend(loc="best")
  axes.set_ylim(0, 1.05)
  axes.set_title("entropy of theta, share of the largest")


def _choice(result: DnasResult, decision: int) -> int | None:
  """The derived network's choice, None where that is not known."""
  genotype = result.derived.genotype
  if decision >= len(genotype):
    return None
  count = len(result.space.decisions[decision].values)
  return genotype[decision] if 0 <= genotype[decision] < count else None


def _short(value: Any, longest: int = 9) -> str:
  text = f"{value:g}" if isinstance(value, float) else str(value)
  return text if len(text) <= longest else text[: longest - 1] + "…"
