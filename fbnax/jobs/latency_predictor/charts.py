"""Charts of learned latencies: errors by measurements, tables by network.

A kind of predictor has one colour in all panels, a start one dash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fbnax.jobs.latency_predictor.result import (
  DeviceTable,
  LatencyResult,
  LatencyScore,
)
from fbnax.report import chart
from fbnax.report.markup import number, percent, short

STARTS = {
  "scratch": "from this device alone",
  "warm": "from other devices too",
}
KINDS = {"additive": "additive table", "mlp": "MLP", "graph": "graph predictor"}
_COLUMNS = 5
_MARKERS = "osD^vPX"


class Line(NamedTuple):
  """A kind of predictor from one start, on one device.

  Attributes:
    kind: of the predictor.
    start: a key of `STARTS`.
    counts: measurements.
    means: over the seeds.
    taken: share of the seeds in which it was taken, by count.
  """

  kind: str
  start: str
  counts: list[int]
  means: list[float]
  taken: list[float]


def lines(scores: Sequence[LatencyScore], device: str, key: str) -> list[Line]:
  """What is known of a device's `error` or `spearman`."""
  values: dict[tuple[str, str], dict[int, list[tuple[float, bool]]]] = {}
  for score in scores:
    for kind in score.kinds if score.device == device else ():
      value = getattr(kind, key)
      # An error of 0 has no place on a logarithmic axis.
      if value is not None and (value > 0 or key != "error"):
        by_count = values.setdefault((kind.kind, score.start), {})
        by_count.setdefault(score.count, []).append(
          (value, kind.kind == score.taken)
        )
  every = []
  for (kind_name, start), by_count in values.items():
    counts = sorted(c for c in by_count if c > 0)
    pairs = [np.asarray(by_count[c], float).mean(axis=0) for c in counts]
    means = [float(mean) for mean, _ in pairs]
    taken = [float(share) for _, share in pairs]
    every.append(Line(kind_name, start, counts, means, taken))
  return [line for line in every if line.counts]


def curves(result: LatencyResult, key: str) -> str | None:
  """`error` or `spearman` against measurements; None without any."""
  names = dict.fromkeys(s.device for s in result.scores)
  every = {name: lines(result.scores, name, key) for name in names}
  every = {name: of for name, of in every.items() if of}
  if not every:
    return None
  kinds = list(dict.fromkeys(x.kind for f in every.values() for x in f))
  name = f"chart-{key}"
  with chart.style(name):
    figure, panels = _panels(len(every), 2.9, sharey=True)
    for i, (device, of) in enumerate(every.items()):
      panel, first = panels[i], _is_first(panels[i])
      for line in of:
        _draw(panel, line, kinds.index(line.kind))
      _measurements(panel, sorted({c for x in of for c in x.counts}))
      panel.set_title(short(device, 20))
      panel.tick_params(axis="y", labelleft=first)
      if first:
        panel.set_ylabel(
          "median error" if key == "error" else "rank correlation"
        )
    if key == "error":
      values = [v for f in every.values() for x in f for v in x.means]
      _errors(panels[0], min(values), max(values))
    _legend(figure, every, kinds)
    best = ", ".join(
      f"{device} {_best(key, of)}" for device, of in every.items()
    )
    label = {
      "error": "Median error against measurements, the least of each device",
      "spearman": "Rank correlation against measurements, the largest of each "
      "device",
    }[key]
    return chart.svg(figure, name, f"{label}: {best}")


def tables(result: LatencyResult) -> str | None:
  """Sums of the tables against what was measured; None without any."""
  every = [(table, points(table)) for table in result.tables]
  every = [(table, pairs) for table, pairs in every if pairs]
  if not every:
    return None
  with chart.style("chart-tables"):
    figure, panels = _panels(len(every), 2.7, sharey=False)
    for i, (table, pairs) in enumerate(every):
      panel, first = panels[i], _is_first(panels[i])
      values = [v for pair in pairs for v in pair]
      room = 0.06 * (max(values) - min(values)) or 0.1 * max(values) or 1.0
      limits = (min(values) - room, max(values) + room)
      panel.plot(limits, limits, color=chart.MUTED, linewidth=1, dashes=(4, 3))
      panel.scatter(
        [x for x, _ in pairs],
        [y for _, y in pairs],
        s=12,
        color=chart.COLOURS[0],
        alpha=0.6,
        linewidth=0,
      )
      panel.set(xlim=limits, ylim=limits, aspect="equal")
      panel.locator_params(nbins=4)
      panel.set_xlabel("measured, ms")
      panel.set_ylabel("the table’s sum, ms" if first else "")
      panel.set_title(
        f"{short(table.device, 20)}\nmedian error {percent(table.error)},\n"
        f"Spearman {number(table.spearman)}"
      )
    label = "Sums of the learned tables against measured latencies: " + (
      ", ".join(f"{t.device} Spearman {number(t.spearman)}" for t, _ in every)
    )
    return chart.svg(figure, "chart-tables", label)


def points(table: DeviceTable) -> list[tuple[float, float]]:
  """(measured, predicted) of the networks that have both."""
  return [
    (m, p)
    for p, m in zip(table.predicted, table.measured, strict=True)
    if p is not None and m is not None
  ]


def _panels(count: int, high: float, sharey: bool) -> tuple[Any, Any]:
  """A figure with so many axes in rows of one length; no more are left."""
  rows = math.ceil(count / _COLUMNS)
  columns = math.ceil(count / rows)
  wide = 2.0 if columns > 2 else 3.2
  figure = chart.new(wide * columns + 1.2, high * rows + (columns < 3))
  panels = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel()
  for panel in panels[count:]:
    panel.remove()
  return figure, panels


def _is_first(panel: Any) -> bool:
  """It begins a row."""
  return bool(panel.get_subplotspec().is_first_col())


def _draw(panel: Any, line: Line, place: int) -> None:
  """A line, full where it was taken and hollow where not."""
  colour = chart.COLOURS[place % len(chart.COLOURS)]
  panel.plot(
    line.counts,
    line.means,
    color=colour,
    linestyle=_dash(line.start),
    linewidth=1.6,
  )
  for taken in (True, False):
    at = [i for i, share in enumerate(line.taken) if (share > 0.5) == taken]
    panel.plot(
      [line.counts[i] for i in at],
      [line.means[i] for i in at],
      linestyle="none",
      marker=_MARKERS[place % len(_MARKERS)],
      markersize=5.5,
      color=colour,
      markerfacecolor=colour if taken else "white",
    )


def _dash(start: str) -> Any:
  return chart.DASHES[1] if start == "scratch" else chart.DASHES[0]


def _measurements(panel: Any, counts: Sequence[int]) -> None:
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  panel.set_xscale("log")
  panel.xaxis.set_major_locator(FixedLocator(list(counts)))
  panel.xaxis.set_minor_locator(NullLocator())
  panel.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
  panel.set_xlim(counts[0] / 1.3, counts[-1] * 1.3)
  panel.set_xlabel("measurements")


def _errors(panel: Any, low: float, high: float) -> None:
  """A logarithmic axis of shares; panels share it."""
  from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

  panel.set_yscale("log")
  panel.set_ylim(low / 1.25, high * 1.25)
  subs = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
  panel.yaxis.set_major_locator(LogLocator(subs=subs))
  panel.yaxis.set_major_formatter(
    FuncFormatter(lambda v, _: f"{round(100 * v, 10):g}%")
  )
  panel.yaxis.set_minor_formatter(NullFormatter())


def _legend(
  figure: Any, every: dict[str, list[Line]], kinds: Sequence[str]
) -> None:
  from matplotlib.lines import Line2D

  handles = [
    Line2D(
      [],
      [],
      color=chart.COLOURS[i % len(chart.COLOURS)],
      marker=_MARKERS[i % len(_MARKERS)],
      markersize=5.5,
      label=KINDS.get(kind, short(kind)),
    )
    for i, kind in enumerate(kinds)
  ]
  starts = dict.fromkeys(x.start for of in every.values() for x in of)
  handles += [
    Line2D(
      [], [], color=chart.MUTED, linestyle=_dash(s), label=STARTS.get(s, s)
    )
    for s in starts
  ]
  columns = len(handles) if len(every) > 3 else 3
  figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def _best(key: str, of: Sequence[Line]) -> str:
  values = [v for line in of for v in line.means]
  return percent(min(values)) if key == "error" else number(max(values))
