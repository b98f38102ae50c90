"""The page of learners against labels: what pretraining on costs saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fbnax.jobs.predictors import learner_charts, learner_proxies
from fbnax.jobs.predictors.learner_charts import name
from fbnax.jobs.predictors.learner_tables import (
  best,
  is_bound,
  mean_table,
  saved_table,
)
from fbnax.jobs.predictors.result import PredictorsResult, SavedLabels
from fbnax.report.made import footer, made_by
from fbnax.report.markup import capital, escape, figure, plural, whole
from fbnax.report.page import Section, page, shown

OURS = "pretrained"
# As a sentence says them.
SAID = {
  "pretrained": "the predictor pretrained on costs",
  "from scratch": "the predictor from scratch",
  "gaussian process": "the Gaussian process",
  "pretrained on proxies": "the predictor pretrained on costs and proxies",
}


def draw(result: PredictorsResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  space = f" in the space {result.space.name}" if result.space.name else ""
  return page(
    "What pretraining on costs saves in labels",
    f"Predictors of accuracy{space}",
    sections(result),
    footer(result, "comparison"),
  )


def sections(result: PredictorsResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", finding(result)),
    ("saved", "Labels for the same error", saved_table(result)),
    ("proxies", "What proxies add", learner_proxies.section(result)),
    ("errors", "Errors", mean_table(result, "rmse")),
    ("ranks", "Rank correlation", _ranks(result)),
    ("made", "How it was made", _made(result)),
  )


def finding(result: PredictorsResult) -> str:
  """What was found, with the picture that shows it, as HTML."""
  lead = " ".join(lowest(result)) or "The result holds no errors."
  picture = figure(
    learner_charts.errors(result),
    "Error on networks that were held out: mean over the seeds, and a "
    "standard deviation to both sides. Both axes are logarithmic.",
  )
  rest = "".join(f"<p>{needs(row)}</p>" for row in result.saved if row.factors)
  more = learner_proxies.finding(result)
  return f"<p>{lead}</p>{picture}{more}{rest}"


def lowest(result: PredictorsResult) -> list[str]:
  """Which learner has the lowest mean error, with how many labels, as HTML."""
  winners = best(result, "rmse")
  counts = list(winners)
  groups: dict[str, list[int]] = {}
  for count, learner in winners.items():
    groups.setdefault(learner, []).append(count)
  sentences = []
  for learner, ours in groups.items():
    words = (
      f"With {_counts(ours, counts)} labels <strong>{escape(said(learner))}"
      "</strong> has the lowest mean error"
    )
    wins, draws = _draws(result, learner, ours)
    if draws:
      words += (
        f" (and the lowest in {wins} of {plural(draws, 'draw')} of labels)"
      )
    sentences.append(words + ".")
  return sentences


def needs(row: SavedLabels) -> str:
  """How many labels a learner needs for the pretrained one's error, as HTML."""
  pairs = list(zip(row.labels, row.factors, strict=True))
  more = {c: f for c, f in pairs if f is not None and f > 1}
  fewer = {c: f for c, f in pairs if f is not None and f <= 1}
  never = [c for c, f in pairs if f is None]
  subject, sentences = escape(capital(said(row.learner))), []
  if more:
    sentences.append(
      f"{subject} needs <strong>{_times(list(more.values()))}</strong> the "
      "labels for the same error as the pretrained predictor with "
      f"{_counts(list(more), row.labels)} labels."
    )
  if fewer:
    who = "It" if sentences else subject
    sentences.append(
      f"{who} needs <strong>no more labels</strong> "
      f"({_at_most(row, list(fewer))}{_times(list(fewer.values()))} as many) "
      f"where the pretrained predictor has {_counts(list(fewer), row.labels)} "
      "labels."
    )
  if never:
    who = "For it" if sentences else f"For {escape(said(row.learner))}"
    least = row.labels[-1] / never[0]
    sentences.append(
      f"{who} <strong>no count</strong> up to {row.labels[-1]:,} is enough for "
      "the error of the pretrained predictor with "
      f"{_counts(never, row.labels)} labels"
      + (
        f": it needs more than {least:.2g} times as many as {never[0]:,}."
        if least > 1
        else "."
      )
    )
  return " ".join(sentences)


def said(learner: str) -> str:
  """A learner within a sentence."""
  return SAID.get(learner, name(learner))


def _at_most(row: SavedLabels, counts: Sequence[int]) -> str:
  factors = dict(zip(row.labels, row.factors, strict=True))
  bounds = [is_bound(row, c, factors[c] or 0.0) for c in counts]
  return "at most " if any(bounds) else ""


def _times(factors: Sequence[float]) -> str:
  """`1.2 to 3.4 times`."""
  low, high = (f"{f:.2g}" if f < 10 else f"{f:.0f}" for f in _ends(factors))
  return f"{low} times" if low == high else f"{low} to {high} times"


def _ends(values: Sequence[float]) -> tuple[float, float]:
  return min(values), max(values)


def _counts(counts: Sequence[int], every: Sequence[int]) -> str:
  """`25 to 200` of neighbours, else `25, 100 and 800`."""
  texts = [f"{count:,}" for count in counts]
  start = list(every).index(counts[0])
  if len(counts) > 2 and list(every[start : start + len(counts)]) == [*counts]:
    return f"{texts[0]} to {texts[-1]}"
  *most, last = texts
  return f"{', '.join(most)} and {last}" if most else last


def _draws(
  result: PredictorsResult, learner: str, counts: Sequence[int]
) -> tuple[int, int]:
  """In how many draws of labels a learner has the lowest error, of how many."""
  draws: dict[tuple[int, int | None], dict[str, float]] = {}
  for score in result.scores:
    if score.labels in counts and score.rmse is not None:
      draw = draws.setdefault((score.labels, score.seed), {})
      draw[score.learner] = score.rmse
  # A draw that not all learners were given says nothing.
  whole_draws = [d for d in draws.values() if len(d) == len(result.curves) > 1]
  wins = sum(min(d, key=lambda n: d[n]) == learner for d in whole_draws)
  return wins, len(whole_draws)


def _ranks(result: PredictorsResult) -> str:
  return figure(
    learner_charts.rank_correlations(result),
    "Kendall’s rank correlation of predicted and true accuracies, 1 for the "
    "same order: what a search needs of a predictor. Bands as above.",
  ) + mean_table(result, "kendall")


def _made(result: PredictorsResult) -> str:
  config, rows = result.config, []
  for key, title in (("table", "Table"), ("run", "Run")):
    if config.get(key):
      words = f"<code>{escape(config[key])}</code>"
      if result.space.rows is not None:
        words += f", {whole(result.space.rows)} networks with an accuracy"
      rows.append((title, words))
  seeds = sorted({s.seed for s in result.scores if s.seed is not None})
  if seeds:
    rows.append(
      (
        "Seeds",
        f"{plural(len(seeds), 'seed')}: {', '.join(map(str, seeds))}; each "
        "draws the labels and what is held out, the same for all learners, "
        "and more labels contain fewer",
      )
    )
  for key, title, words in (
    ("held_out", "Held out", "networks, which judge all learners of a seed"),
    ("pool", "Pretraining", "networks, their MACs and parameters"),
    ("predictors", "Ensemble", "predictors, with and without pretraining"),
  ):
    if isinstance(config.get(key), int):
      rows.append((title, f"{config[key]:,} {words}"))
  if config.get("proxies"):
    names = ", ".join(map(str, config.get("proxy_names") or ()))
    words = f"<code>{escape(config['proxies'])}</code>: {escape(names)}"
    rows.append(("Proxies", words))
  if any(c.learner in ("ridge", "gaussian process") for c in result.curves):
    rows.append(
      (
        "Others",
        "ridge regression with a penalty by leave-one-out error and a Gaussian "
        "process (Matérn 5/2, by marginal likelihood), on the same features",
      )
    )
  return made_by(result, rows, "predictors.py")
