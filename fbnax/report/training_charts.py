"""Charts of training: the members' curves, and where the time went."""

from __future__ import annotations

from typing import Any

from fbnax.report import chart, markup
from fbnax.report.markup import duration, plural, short
from fbnax.report.schema import JobResult, Result

_PANELS = (
  ("train_loss", "training loss"),
  ("validation_accuracy", "validation accuracy"),
  ("test_accuracy", "test accuracy"),
)
_OTHER = 0.01  # Share of the total from which untold time is shown.


def curves(result: Result) -> str | None:
  """Loss and accuracy of the members by epoch; None without a history."""
  series: dict[str, list[tuple[int, list[tuple[float, float]]]]] = {}
  for key, _ in _PANELS:
    for i, member in enumerate(result.members):
      points = [
        (e.epoch if e.epoch is not None else float(at), getattr(e, key))
        for at, e in enumerate(member.history, start=1)
        if getattr(e, key) is not None
      ]
      if points:
        series.setdefault(key, []).append((i, points))
  panels = [(k, title) for k, title in _PANELS if k in series]
  if not panels:
    return None
  with chart.style("chart-curves"):
    figure = chart.new(10.8 if len(panels) > 1 else 5.6, 4.0)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    lines = {}
    for axes, (key, title) in zip(all_axes, panels, strict=True):
      for i, points in series[key]:
        (lines[i],) = axes.plot(
          [x for x, _ in points],
          [y for _, y in points],
          color=chart.COLOURS[i % len(chart.COLOURS)],
          linestyle=chart.DASHES[i // len(chart.COLOURS) % len(chart.DASHES)],
          marker="o" if len(points) <= 12 else None,
          markersize=3.5,
          linewidth=1.5,
        )
      axes.set_title(title)
      axes.set_xlabel("epoch")
      axes.xaxis.get_major_locator().set_params(integer=True)
      if key != "train_loss":
        values = [y for _, points in series[key] for _, y in points]
        low = chart.floor(values)
        axes.set_ylim(low - max(0.05 * (max(values) - low), 1e-3))
        chart.percent_axis(axes.yaxis, "")
      else:
        _loss_scale(axes, [y for _, points in series[key] for _, y in points])
    figure.legend(
      [lines[i] for i in sorted(lines)],
      [short(result.members[i].name) for i in sorted(lines)],
      loc="outside lower center",
      ncols=min(4, len(lines)),
    )
    titles = " and ".join(title for _, title in panels)
    label = f"{titles} by epoch of {plural(len(lines), 'member')}".capitalize()
    return chart.svg(figure, "chart-curves", label)


def _loss_scale(axes: Any, values: list[float]) -> None:
  """A logarithmic axis where losses fall over a wide range."""
  from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

  if min(values) > 0 and max(values) > 8 * min(values):
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def times_figure(
  result: JobResult,
  words: str = "Wall-clock time of each phase, in the order they ran.",
) -> str:
  """The chart of a run's phases with its caption; "" without any."""
  drawn = times(Result(times=result.times))
  return "" if drawn is None else markup.figure(drawn, words)


def times(result: Result) -> str | None:
  """Seconds of each phase as bars, what of it was compiling in another colour.

  None where no time is recorded.
  """
  phases = [
    (name, seconds)
    for name, seconds in result.times.phases.items()
    if seconds is not None and seconds >= 0
  ]
  if not phases:
    return None
  known = sum(s for _, s in phases)
  total = max(result.times.total or 0.0, known)
  if total - known > _OTHER * total:
    phases.append(("everything else", total - known))
  with chart.style("chart-times"):
    figure = chart.new(9.0, 0.32 * len(phases) + 0.75)
    axes = figure.add_subplot()
    seconds = [s for _, s in phases]
    longest = max(seconds)
    unit, name = next(
      (u, n)
      for u, n in ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
      if longest >= 2 * u or u == 1.0
    )
    axes.barh(
      range(len(phases)),
      [s / unit for s in seconds],
      height=0.66,
      color=[
        "#b7bfca" if n == "everything else" else chart.COLOURS[0]
        for n, _ in phases
      ],
    )
    compiled = [min(result.times.compiling.get(n) or 0.0, s) for n, s in phases]
    if any(compiled):
      axes.barh(
        range(len(phases)),
        [s / unit for s in compiled],
        height=0.66,
        color=chart.COLOURS[5],
        label="of it tracing and compiling programs",
      )
      # Above the bars, which may be as long as the axis.
      axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0
      )
    for i, s in enumerate(seconds):
      share = 100 * s / total if total else 0.0
      words = f" ({share:.0f}%)" if share >= 0.5 else ""
      axes.annotate(
        duration(s) + words,
        (s / unit, i),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
      )
    axes.set_yticks(range(len(phases)), [short(n) for n, _ in phases])
    axes.tick_params(axis="y", length=0, labelcolor=chart.INK)
    axes.invert_yaxis()
    # Room at the right for the words behind the longest bar.
    axes.set_xlim(0, 1.24 * longest / unit if longest else 1.0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(name)
    label = f"Where the time went, {duration(total)} in all: " + ", ".join(
      f"{n} {duration(s)}" for n, s in phases
    )
    if any(compiled):
      label += f"; {duration(sum(compiled))} of it compiling"
    return chart.svg(figure, "chart-times", label)
