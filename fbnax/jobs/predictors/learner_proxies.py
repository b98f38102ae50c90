"""What scores of untrained networks add to pretraining on costs.

Both predictors are given the same labels and judged by the same networks, so
their errors are compared draw by draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from fbnax.jobs.predictors.result import PredictorsResult
from fbnax.report import markup
from fbnax.report.markup import escape, number, plural

COSTS = "pretrained"
PROXIES = "pretrained on proxies"
_NOUNS = {"macs": "MACs", "params": "parameters"}


class ProxyGain(NamedTuple):
  """Error, or rank correlation, with proxies minus that without.

  Attributes:
    labels: how many were given.
    costs: mean of the predictor pretrained on costs alone.
    mean: of the differences.
    error: standard error of that mean; None of a single draw.
    lower: draws in which it is lower with proxies.
    draws: all of them.
  """

  labels: int
  costs: float
  mean: float
  error: float | None
  lower: int
  draws: int

  @property
  def verdict(self) -> str:
    """`lower` or `higher` beyond two standard errors, else `open`."""
    if self.error is None or abs(self.mean) <= 2 * self.error:
      return "open"
    return "lower" if self.mean < 0 else "higher"


def differences(result: PredictorsResult, key: str = "rmse") -> list[ProxyGain]:
  """One for each count of labels that both were given, ascending.

  Args:
    result: of the job.
    key: `rmse` or `kendall`.
  """
  values: dict[str, dict[tuple[int, int | None], float]] = {}
  for score in result.scores:
    if getattr(score, key) is not None:
      of = values.setdefault(score.learner, {})
      of[score.labels, score.seed] = getattr(score, key)
  ours, theirs = values.get(PROXIES, {}), values.get(COSTS, {})
  by_count: dict[int, list[tuple[float, float]]] = {}
  for draw in ours.keys() & theirs.keys():
    by_count.setdefault(draw[0], []).append((ours[draw], theirs[draw]))
  gains = []
  for count, pairs in sorted(by_count.items()):
    # Sorted, so that sums do not depend on the order of a set.
    gaps = sorted(a - b for a, b in pairs)
    mean = sum(gaps) / len(gaps)
    error = None
    if len(gaps) > 1:
      squares = sum((g - mean) ** 2 for g in gaps) / (len(gaps) - 1)
      error = math.sqrt(squares / len(gaps))
    costs = sum(sorted(b for _, b in pairs)) / len(pairs)
    lower = sum(g < 0 for g in gaps)
    gains.append(ProxyGain(count, costs, mean, error, lower, len(gaps)))
  return gains


def finding(result: PredictorsResult) -> str:
  """Whether the scores help, as HTML; empty without any."""
  rows = differences(result)
  if not rows:
    return ""
  lower, draws = sum(r.lower for r in rows), sum(r.draws for r in rows)
  return (
    "<p>With scores of untrained networks beside the costs in pretraining the "
    f"error is lower in <strong>{lower} of {plural(draws, 'draw')}</strong> of "
    f"labels. {verdict(rows)}</p>{_orders(result)}"
  )


def section(result: PredictorsResult) -> str:
  """The differences, and what was learned of the scores, as HTML."""
  rows = differences(result)
  if not rows:
    return ""
  orders = {r.labels: r for r in differences(result, "kendall")}
  table = markup.table(
    [
      "labels",
      "costs alone",
      "costs and proxies, less that",
      "in proportion",
      "lower in",
      "rank correlation, less that",
    ],
    [
      [
        f"{r.labels:,}",
        number(r.costs),
        _with_error(r),
        _signed(100 * r.mean / r.costs, 1) + "%",
        f"{r.lower} of {r.draws}",
        _with_error(orders.get(r.labels)),
      ]
      for r in rows
    ],
  )
  note = (
    '<p class="note">Errors in percentage points of accuracy, Kendall’s rank '
    "correlation. ±: the standard error of the mean difference over the draws."
    "</p>"
  )
  return table + note + _learned(result)


def verdict(rows: Sequence[ProxyGain]) -> str:
  """With how many labels the error differs, and which way, as a sentence.

  Args:
    rows: of `differences`.
  """
  if all(r.error is None for r in rows):
    return "One draw of each count says nothing of chance."
  if all(r.verdict == "open" for r in rows):
    return (
      "With no count the difference is beyond two standard errors: the proxies "
      "save <strong>no labels that these draws could show</strong>."
    )
  return f"Judged by two standard errors it is {_directions(rows)}."


def _orders(result: PredictorsResult) -> str:
  """What becomes of the rank correlation, as HTML; empty without any."""
  rows = differences(result, "kendall")
  if not rows or all(r.error is None for r in rows):
    return ""
  if all(r.verdict == "open" for r in rows):
    return "<p>Kendall’s rank correlation is not told apart with any count.</p>"
  return f"<p>Kendall’s rank correlation is {_directions(rows)}.</p>"


def _directions(rows: Sequence[ProxyGain]) -> str:
  """`lower with 25 labels; not told apart with 50 and 100 labels`."""
  parts = []
  for kind, said in (
    ("lower", "<strong>lower</strong>"),
    ("higher", "<strong>higher</strong>"),
    ("open", "not told apart"),
  ):
    counts = [f"{r.labels:,}" for r in rows if r.verdict == kind]
    if counts:
      *most, last = counts
      text = f"{', '.join(most)} and {last}" if most else last
      parts.append(f"{said} with {text} labels")
  return "; ".join(parts)


def _with_error(row: ProxyGain | None) -> str:
  if row is None:
    return markup.MISSING
  error = "" if row.error is None else f" ± {row.error:.3f}"
  return _signed(row.mean, 3) + error


def _signed(value: float, digits: int) -> str:
  return f"{value:+.{digits}f}".replace("-", "−")


def _learned(result: PredictorsResult) -> str:
  """How well the encoder predicts the scores, as HTML."""
  if result.proxies is None:
    return ""
  correlations = {
    name: value
    for name, value in result.proxies.spearman.items()
    if value is not None
  }
  if not correlations:
    return ""
  values = ", ".join(
    f"{escape(_NOUNS.get(name, name))} {number(value)}"
    for name, value in correlations.items()
  )
  networks = ""
  if result.proxies.networks is not None:
    networks = f" of {plural(result.proxies.networks, 'scored network')}"
  return (
    f"<p>What the encoder learned of its labels: rank correlation (Spearman) "
    f"on the fifth{networks} that was held out of pretraining: {values}. MACs "
    "and parameters are those of the pool, too.</p>"
  )
