"""The page of learned latencies: errors against measurements, by device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fbnax.jobs.latency_predictor import charts
from fbnax.jobs.latency_predictor.charts import KINDS, STARTS
from fbnax.jobs.latency_predictor.result import (
  KindScore,
  LatencyResult,
  LatencyScore,
)
from fbnax.report import markup
from fbnax.report.made import footer, made_by
from fbnax.report.markup import escape, figure, number, percent, plural
from fbnax.report.page import Section, page, shown

_SHARES = 4  # That a row of the table names.


def draw(result: LatencyResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  space = f" in the space {result.space.name}" if result.space.name else ""
  return page(
    "Latency from a few measurements",
    f"Predictors of latency{space}",
    sections(result),
    footer(result),
  )


def sections(result: LatencyResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", finding(result)),
    ("tables", "The tables that were left", _tables(result)),
    ("ranks", "Rank correlation", _ranks(result)),
    ("taken", "What was taken", _taken(result)),
    ("made", "How it was made", _made(result)),
  )


def finding(result: LatencyResult) -> str:
  """What few measurements are worth, with the picture, as HTML."""
  counts = sorted({s.count for s in result.scores})
  words = [_worth(result, count) for count in counts[:1] + counts[1:][-1:]]
  words = [sentence for sentence in words if sentence]
  if not words:
    words.append("The result holds no scores.")
  drawn = charts.curves(result, "error")
  picture = ""
  if drawn is not None:
    picture = figure(
      drawn,
      "Median relative error on networks that were held out, a panel for each "
      "device. A full mark is the kind that was taken there, by measurements "
      "that were left out of learning.",
    )
  return f"<p>{' '.join(words)}</p>{picture}"


def _worth(result: LatencyResult, count: int) -> str:
  """What was taken with so many measurements, over the devices."""
  parts = []
  devices: set[str] = set()
  for start, said in STARTS.items():
    rows = [s for s in result.scores if (s.count, s.start) == (count, start)]
    taken = [kind for row in rows for kind in _taken_kind(row)]
    error = _median([k.error for k in taken])
    if error is not None:
      devices |= {s.device for s in rows}
      parts.append(
        f"{said} <strong>{percent(error)}</strong> (rank correlation "
        f"{number(_median([k.spearman for k in taken]))})"
      )
  if not parts:
    return ""
  many = len(devices) > 1
  return (
    f"With {plural(count, 'measurement')} the median error on networks that "
    f"were held out is {' and '.join(parts)}"
    f"{f', medians over {len(devices)} devices' if many else ''}."
  )


def _taken_kind(score: LatencyScore) -> list[KindScore]:
  return [kind for kind in score.kinds if kind.kind == score.taken]


def _median(values: Sequence[float | None]) -> float | None:
  numbers = [v for v in values if v is not None]
  return float(np.median(numbers)) if numbers else None


def _tables(result: LatencyResult) -> str:
  if not result.tables:
    return ""
  rows = [
    (
      escape(table.device),
      f"<code>{escape(table.file)}</code>",
      escape(_learned_by(table.taken, table.start)),
      f"{table.count:,}",
      percent(table.error),
      number(table.spearman),
    )
    for table in result.tables
  ]
  head = (
    "Device",
    "File",
    "Learned",
    "Measurements",
    "Error",
    "Rank correlation",
  )
  drawn = charts.tables(result)
  picture = ""
  if drawn is not None:
    picture = figure(
      drawn,
      "Each point is a network that was held out; on the line the sum of the "
      "table is what the network takes.",
    )
  return (
    picture
    + "<p>Each file is a latency table, as <code>search.table</code> of "
    "<code>configs/dmasking.py</code> and <code>configs/fbnet.py</code> takes "
    "it, and <code>budgets.table</code> of <code>configs/nars.py</code> and "
    "<code>configs/evolve.py</code>. Tables are sums over parts of networks: "
    "where an MLP or a graph predictor was taken, the table is the nearest to "
    "it and may err more."
    "</p>" + markup.table(head, rows)
  )


def _learned_by(taken: str, start: str) -> str:
  return f"{KINDS.get(taken, taken)}, {STARTS.get(start, start)}"


def _ranks(result: LatencyResult) -> str:
  drawn = charts.curves(result, "spearman")
  if drawn is None:
    return ""
  return figure(
    drawn,
    "Spearman’s rank correlation of predicted and measured latencies on the "
    "same networks: what a search needs.",
  )


def _taken(result: LatencyResult) -> str:
  if not result.scores:
    return ""
  seeds = len({s.seed for s in result.scores}) > 1
  rows = []
  for score in result.scores:
    taken = _taken_kind(score)
    row = [
      escape(score.device),
      f"{score.count:,}",
      escape(STARTS.get(score.start, score.start)),
      f"<strong>{escape(KINDS.get(score.taken, score.taken))}</strong>",
      ", ".join(
        f"{escape(KINDS.get(k.kind, k.kind))} {percent(k.validated)}"
        for k in score.kinds
      ),
      percent(taken[0].error if taken else None),
      number(taken[0].spearman if taken else None),
      _shares(score),
    ]
    rows.append([*row, markup.plain(score.seed)] if seeds else row)
  head = [
    "Device",
    "Measurements",
    "Learned",
    "Taken",
    "Errors to choose by",
    "Error",
    "Rank correlation",
    "Where it starts",
  ]
  return (
    "<p>The kind with the least error on measurements that were left out of "
    "learning is taken (those to choose by); the error and the rank "
    "correlation are on networks that were held out from all. All kinds start "
    "from a sum, with weights that are not negative, of what can be counted "
    "and of other devices’ latencies; the shares of its largest parts stand "
    "last.</p>" + markup.table([*head, "Seed"] if seeds else head, rows)
  )


def _shares(score: LatencyScore) -> str:
  shares = [(n, s) for n, s in score.shares.items() if s and s >= 0.005]
  shares.sort(key=lambda pair: -pair[1])
  words = [f"{escape(name)} {percent(s, 0)}" for name, s in shares[:_SHARES]]
  return ", ".join(words) or markup.MISSING


def _made(result: LatencyResult) -> str:
  rows = []
  if file := result.config.get("measurements"):
    rows.append(("Measurements", f"<code>{escape(file)}</code>"))
  if result.space.rows is not None:
    rows.append(("Measured networks", markup.whole(result.space.rows)))
  if result.held_out is not None:
    rows.append(("Held out of them", markup.whole(result.held_out)))
  return made_by(result, rows, "latency_predictor.py")
