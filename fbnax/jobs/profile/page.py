"""The page of a latency table: what parts take, and how well they add up."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.profile.result import ProfileResult
from fbnax.report import chart, markup
from fbnax.report.made import footer, made_by
from fbnax.report.markup import (
  escape,
  figure,
  number,
  percent,
  plural,
  significant,
  whole,
)
from fbnax.report.page import Section, page, shown


def draw(result: ProfileResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  space = f" of the space {result.space.name}" if result.space.name else ""
  return page(
    f"Latency on {result.device or 'a device'}",
    f"Latency table{space}",
    sections(result),
    footer(result, "profile"),
  )


def sections(result: ProfileResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", finding(result)),
    ("kinds", "What parts take", _kinds(result)),
    ("made", "How it was made", _made(result)),
  )


def finding(result: ProfileResult) -> str:
  """What was measured and how well it adds up, as HTML."""
  agreement, words = result.agreement, []
  if result.entries is not None:
    words.append(
      f"The table holds <strong>{plural(result.entries, 'part')}</strong>."
    )
  count = len(_points(result))
  if count and agreement.median_error is not None:
    rank = (
      ""
      if agreement.spearman is None
      else f"rank correlation (Spearman) {number(agreement.spearman)}, "
    )
    words.append(
      f"Its sums against {plural(count, 'random network')} measured as a "
      f"whole: {rank}median error <strong>"
      f"{percent(agreement.median_error)}</strong>."
    )
  if agreement.ratio is not None:
    words.append(
      f"A network takes {number(agreement.ratio, 2)} times its sum (median); "
      "with that factor the median error is "
      f"{percent(agreement.median_error_scaled)}."
    )
  if not words:
    words.append("The result holds no measurements.")
  drawn = scatter(result)
  picture = ""
  if drawn is not None:
    picture = figure(
      drawn,
      "Each point is a random network of the space; the line is where the sum "
      "of the table is what the network takes. Bars are a standard deviation "
      "of a single call.",
    )
  return f"<p>{' '.join(words)}</p>{picture}"


def scatter(result: ProfileResult) -> str | None:
  """Measured against summed latency; None without networks."""
  points = _points(result)
  if not points:
    return None
  with chart.style("chart-latency"):
    axes = chart.new(5.6, 5.0).add_subplot()
    values = [v for x, y, _ in points for v in (x, y)]
    room = 0.08 * (max(values) - min(values)) or 0.1 * max(values)
    limits = (max(min(values) - room, 0.0), max(values) + room)
    axes.plot(limits, limits, color=chart.MUTED, linewidth=1, dashes=(4, 3))
    axes.errorbar(
      [x for x, _, _ in points],
      [y for _, y, _ in points],
      yerr=[s for _, _, s in points],
      fmt="o",
      markersize=5,
      color=chart.COLOURS[0],
      ecolor=chart.GRID,
      elinewidth=1.2,
      alpha=0.85,
    )
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("sum of the table, ms")
    axes.set_ylabel("measured, ms")
    label = (
      f"Measured against summed latency of {plural(len(points), 'network')}: "
      f"Spearman {number(result.agreement.spearman)}, median error "
      f"{percent(result.agreement.median_error)}"
    )
    return chart.svg(axes.figure, "chart-latency", label)


def _points(result: ProfileResult) -> list[tuple[float, float, float]]:
  """(sum, measured, spread) of the networks that have both, ms."""
  return [
    (n.predicted, n.measured, abs(n.spread or 0.0))
    for n in result.networks
    if n.predicted is not None and n.measured is not None
  ]


def _kinds(result: ProfileResult) -> str:
  if not result.kinds:
    return ""

  def ms(value: float | None) -> str:
    return markup.MISSING if value is None else significant(value)

  rows = [
    (
      escape(kind.name),
      whole(kind.entries),
      ms(kind.fastest),
      ms(kind.median),
      ms(kind.slowest),
    )
    for kind in result.kinds
  ]
  head = ("Kind", "Parts", "Fastest, ms", "Median, ms", "Slowest, ms")
  return "<p>Of all sizes and widths that were measured.</p>" + markup.table(
    head, rows
  )


def _made(result: ProfileResult) -> str:
  rows = []
  for title, text in (("Device", result.device), ("Clock", result.note)):
    if text:
      rows.append((title, escape(text)))
  if result.overhead is not None:
    rows.append(
      ("Overhead of a call", f"{significant(result.overhead)} ms, in every sum")
    )
  batch = result.config.get("batch_size")
  if isinstance(batch, int):
    rows.append(("Batch", plural(batch, "image")))
  shares = [
    n.interpolated for n in result.networks if n.interpolated is not None
  ]
  if shares:
    rows.append(
      (
        "Between widths",
        f"{percent(sum(shares) / len(shares), 0)} of the parts of the random "
        "networks have widths between measured ones",
      )
    )
  return made_by(result, rows, "profile.py")
