"""The tables of a study: comparisons, means, and every training."""

from __future__ import annotations

from collections.abc import Sequence

from fbnax.jobs.study.result import (
  Against,
  CaseTraining,
  Estimate,
  PairedEstimate,
  StudyResult,
)
from fbnax.report import markup
from fbnax.report.markup import MISSING, count, escape, number, percent


def verdict(loss: Estimate) -> str:
  """`better`, `worse` or `not told apart`, by a log-loss's difference."""
  if loss.low is None or loss.high is None:
    return "not told apart"
  if loss.high < 0:
    return "better"
  return "worse" if loss.low > 0 else "not told apart"


def comparison_table(result: StudyResult) -> str:
  """A row for each comparison: log-loss, accuracy, and what they say."""
  comparisons = result.summary.comparisons
  ranked = any(c.test_log_loss.against for c in comparisons)
  rows = []
  for comparison in comparisons:
    loss, accuracy = comparison.test_log_loss, comparison.test_accuracy
    row = [
      escape(comparison.name),
      _signed(loss.mean, 1.0, 4) + _under(_ends(loss, 1.0, 4)),
      _signed(accuracy.mean, 100.0, 2) + _under(_ends(accuracy, 100.0, 2)),
    ]
    if ranked:
      row += [_beats(loss), _beats(accuracy)]
    told = verdict(loss)
    if not comparison.second:
      told = "no change shown" if told == "not told apart" else "changes"
    over = f'<span class="whole">{loss.units} {escape(loss.over)}</span>'
    rows.append([*row, f'<span class="whole">{told}</span>', over])
  head = ["difference", "log-loss, nats", "accuracy, points"]
  if ranked:
    head += ["beats, by log-loss", "by accuracy"]
  return markup.table([*head, "by log-loss", "over"], rows) + (
    '<p class="note">Below each difference stands its 95% interval. A lower '
    "log-loss is better, a higher accuracy.</p>"
  )


def mean_table(result: StudyResult) -> str:
  """A row for each case: what it costs, and its means."""
  cases: dict[tuple[str, str], list[CaseTraining]] = {}
  for training in result.cases:
    cases.setdefault((training.group, training.name), []).append(training)
  means = {(m.group, m.name): m for m in result.summary.means}
  rows = []
  for key, trainings in cases.items():
    mean = means.get(key)
    first = trainings[0]
    rows.append(
      [
        escape(f"{key[0]}: {key[1]}" if key[0] else key[1]),
        _mean(mean.test_log_loss, 1.0, 4) if mean else MISSING,
        _mean(mean.test_accuracy, 100.0, 2) if mean else MISSING,
        f'<span class="whole">{_costs(trainings, "macs")}</span>',
        f'<span class="whole">{_costs(trainings, "params")}</span>',
        escape(first.recipe.get("optimizer", MISSING)),
        escape(first.teacher or "none"),
        markup.plain(first.epochs),
        f"{mean.trainings if mean else 0} of {len(trainings)}",
      ]
    )
  head = [
    "case",
    "log-loss, nats",
    "accuracy, %",
    "MACs",
    "parameters",
    "optimizer",
    "teacher",
    "epochs",
    "trainings",
  ]
  return markup.table(head, rows)


def random_table(result: StudyResult) -> str:
  """A row for each group: its member, and the mean, best and worst pair."""
  means = {(m.group, m.name): m for m in result.summary.means}
  rows = []
  for comparison in result.summary.comparisons:
    loss = comparison.test_log_loss.against
    accuracy = comparison.test_accuracy.against
    member = means.get((comparison.group, "member"))
    if loss is None or accuracy is None or member is None:
      continue
    rows.append(
      [
        escape(comparison.group),
        number(member.test_log_loss.mean, 4),
        *(number(v, 4) for v in _range(loss)),
        percent(member.test_accuracy.mean, 2),
        *(percent(v, 2) for v in _range(accuracy)),
      ]
    )
  if not rows:
    return ""
  head = [
    "group",
    "log-loss: member",
    "pairs’ mean",
    "median",
    "best",
    "worst",
    "accuracy: member",
    "pairs’ mean",
    "median",
    "best",
    "worst",
  ]
  return markup.table(head, rows) + (
    '<p class="note">Best and worst are the best and worst of the pairs of '
    "a run by the mean of their seeds, averaged over the runs: chosen with "
    "the test images in hand, which no one could have done before.</p>"
  )


def _range(pairs: Against) -> tuple[float | None, ...]:
  return pairs.mean, pairs.median, pairs.best, pairs.worst


def training_table(result: StudyResult) -> str:
  """A row for each training."""
  rows = [
    [
      escape(f"{t.group}: {t.name}" if t.group else t.name),
      f"<code>{escape(t.run)}</code>",
      markup.plain(t.seed),
      number(t.test_log_loss, 4),
      percent(t.test_accuracy, 2),
      count(t.macs),
      count(t.params),
      escape(t.recipe.get("optimizer", MISSING)),
      escape(markup.plain(t.recipe.get("learning_rate"))),
      escape(t.teacher or "none"),
      markup.plain(t.epochs),
      markup.duration(t.seconds),
    ]
    for t in result.cases
  ]
  head = [
    "case",
    "run",
    "seed",
    "log-loss",
    "accuracy",
    "MACs",
    "parameters",
    "optimizer",
    "learning rate",
    "teacher",
    "epochs",
    "time",
  ]
  return markup.table(head, rows)


def _costs(trainings: Sequence[CaseTraining], name: str) -> str:
  """What a case costs; a range where the runs have different networks."""
  values = [v for t in trainings if (v := getattr(t, name)) is not None]
  if not values:
    return MISSING
  scale = markup.unit(values)
  low, high = count(min(values), scale), count(max(values), scale)
  return low if low == high else f"{low.split()[0]} to {high}"


def _mean(estimate: Estimate, factor: float, decimals: int) -> str:
  if estimate.mean is None:
    return MISSING
  ends = ""
  if estimate.low is not None and estimate.high is not None:
    low, high = factor * estimate.low, factor * estimate.high
    ends = f"{number(low, decimals)}–{number(high, decimals)}"
  return number(factor * estimate.mean, decimals) + _under(ends)


def _signed(value: float | None, factor: float, decimals: int) -> str:
  if value is None:
    return MISSING
  return f"{factor * value:+.{decimals}f}".replace("-", "−")


def _ends(estimate: Estimate, factor: float, decimals: int) -> str:
  low, high = estimate.low, estimate.high
  if low is None or high is None:
    return ""
  ends = (_signed(end, factor, decimals) for end in (low, high))
  return " to ".join(ends)


def _beats(estimate: PairedEstimate) -> str:
  against = estimate.against
  return f"{against.beats} of {against.of}" if against else ""


def _under(words: str) -> str:
  """A second line in a cell, not to be broken."""
  return f'<span class="under whole">{words}</span>' if words else ""
