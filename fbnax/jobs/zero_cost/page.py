"""The page of zero-cost scores: which order networks as training would."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.zero_cost import charts as zero_cost_charts
from fbnax.jobs.zero_cost.charts import label
from fbnax.jobs.zero_cost.result import ProxyRow, ZeroCostResult
from fbnax.report import markup
from fbnax.report.made import footer, made_by
from fbnax.report.markup import escape, figure, number, percent, plural, whole
from fbnax.report.page import Section, page, shown

_COUNTS = ("macs", "params")
# Correlations with MACs beyond which a score says little more than they do.
_TRACKS = 0.9


def draw(result: ZeroCostResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  space = result.space.name
  return page(
    f"Zero-cost scores of {space}" if space else "Zero-cost scores",
    "Networks scored without training",
    sections(result),
    footer(result),
  )


def sections(result: ZeroCostResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", finding(result)),
    ("scatters", "Accuracy against scores", _scatters(result)),
    ("matrix", "Proxy against proxy", _matrix(result)),
    ("table", "Correlations", _table(result)),
    ("made", "How it was made", _made(result)),
  )


def finding(result: ZeroCostResult) -> str:
  """Which scores order networks best, with the picture, as HTML."""
  rows = ordered(result)
  count = plural(len(result.networks), "network")
  measured = [r for r in rows if r.spearman is not None]
  if not measured:
    return (
      f"<p>{count} scored. There is no table of accuracies, so the scores are "
      "compared with each other alone.</p>"
    )
  first = measured[0]
  words = (
    f"<p>Of {count} the order by <strong>{escape(label(first.name))}</strong> "
    f"agrees best with the accuracies: Spearman's rank correlation "
    f"<strong>{number(first.spearman)}</strong>{_interval(first)}. "
  )
  single = [r for r in measured if not r.combination and r.name not in _COUNTS]
  if single and single[0] is not first:
    words += (
      f"The best single proxy is {escape(label(single[0].name))} with "
      f"{number(single[0].spearman)}{_interval(single[0])}. "
    )
  macs = next((r for r in measured if r.name == "macs"), None)
  if macs is not None:
    words += f"The MACs alone have {number(macs.spearman)}. "
  if first.best is not None and result.summary.best_networks:
    words += (
      f"Among the best {result.summary.best_networks} networks, where a search "
      f"has to choose, {escape(label(first.name))} has {number(first.best)}"
      f"{_interval(first, 'best_')}. "
    )
  words += "</p>" + _beyond_macs(measured)
  drawn = zero_cost_charts.correlations(result, measured)
  if drawn is None:
    return words
  return words + figure(
    drawn,
    "A correlation of 1 is the order of the accuracies; bars are 95% intervals "
    "(bootstrap over the networks).",
  )


def ordered(result: ZeroCostResult) -> list[ProxyRow]:
  """The rows, the highest correlation first."""
  return sorted(
    result.summary.proxies,
    key=lambda r: -2.0 if r.spearman is None else r.spearman,
    reverse=True,
  )


def _beyond_macs(rows: list[ProxyRow]) -> str:
  """What scores know beyond the MACs, and which only track them."""
  single = [r for r in rows if not r.combination and r.name not in _COUNTS]
  known = [r for r in single if r.given_macs is not None]
  words = []
  if known:
    best = max(known, key=lambda r: r.given_macs or 0.0)
    words.append(
      f"What the MACs explain taken away, {escape(label(best.name))} knows "
      f"most: partial correlation {number(best.given_macs)}."
    )
  tracking = [r for r in single if abs(r.macs or 0.0) > _TRACKS]
  if tracking:
    names = ", ".join(
      f"{escape(label(r.name))} ({number(r.macs, 2)})" for r in tracking
    )
    words.append(f"These order networks nearly as the MACs do: {names}.")
  return f"<p>{' '.join(words)}</p>" if words else ""


def _interval(row: ProxyRow, prefix: str = "") -> str:
  low, high = (getattr(row, f"{prefix}{end}") for end in ("low", "high"))
  if low is None or high is None:
    return ""
  return f" (95% interval {number(low)} to {number(high)})"


def _scatters(result: ZeroCostResult) -> str:
  measured = [r for r in ordered(result) if r.spearman is not None]
  drawn = zero_cost_charts.scatters(result, measured)
  if drawn is None:
    return ""
  words = "Each point is a network; above each panel its rank correlation."
  below = zero_cost_charts.hidden(result)
  if below:
    words += f" {plural(below, 'network')} below the axis."
  return figure(drawn, words)


def _matrix(result: ZeroCostResult) -> str:
  drawn = zero_cost_charts.matrix(result)
  if drawn is None:
    return ""
  words = "Spearman's rank correlation between the scores."
  return figure(drawn, words)


def _table(result: ZeroCostResult) -> str:
  rows = ordered(result)
  if not rows:
    return ""
  measured = any(r.spearman is not None for r in rows)
  share = result.summary.best_share
  best = "best" if share is None else f"best {percent(share, 0)}"
  head = ["Score"]
  if measured:
    head += [
      "All networks",
      "95% interval",
      "Kendall",
      "nDCG",
      f"Of the {best}",
    ]
    head += ["Given the MACs"]
  head += ["With the MACs", "Finite", "Different"]
  cells = []
  for row in rows:
    line = [escape(label(row.name))]
    if measured:
      between = "–"
      if row.low is not None and row.high is not None:
        between = f"{number(row.low)} to {number(row.high)}"
      line += [
        f"<strong>{number(row.spearman)}</strong>",
        f'<span class="whole">{between}</span>',
        number(row.kendall),
        number(row.ndcg),
        number(row.best),
        number(row.given_macs),
        number(row.within_macs),
      ]
    line += [number(row.macs), whole(row.finite), whole(row.distinct)]
    cells.append(line)
  words = (
    "<p>Rank correlations, Spearman's where nothing else is said. A score that "
    "is not finite ranks last. Within MACs: the mean within ten groups of "
    "nearly equal MACs.</p>"
  )
  return words + markup.table(head, cells)


def _made(result: ZeroCostResult) -> str:
  rows = [("Networks", whole(len(result.networks)))]
  if result.dataset.source:
    rows.append(
      (
        "Images",
        f"{whole(result.dataset.images)} of {escape(result.dataset.source)}",
      )
    )
  return made_by(result, rows, "zero_cost.py")
