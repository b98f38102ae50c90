"""The tables of learners against labels: what is saved, errors, ranks."""

from __future__ import annotations

from fbnax.jobs.predictors.learner_charts import CurvePoint, name, points
from fbnax.jobs.predictors.result import PredictorsResult, SavedLabels
from fbnax.report import markup
from fbnax.report.markup import capital, escape, number


def saved_table(result: PredictorsResult) -> str:
  """How many times the labels others need, by count; empty without any."""
  rows = [row for row in result.saved if row.factors]
  if not rows:
    return ""
  counts = rows[0].labels
  cells = [
    [
      escape(capital(name(row.learner))),
      *(
        _factor(row, c, f) for c, f in zip(row.labels, row.factors, strict=True)
      ),
    ]
    for row in rows
  ]
  return (
    "<p>How many times as many labels a learner needs for the mean error that "
    "the pretrained predictor has with the count of a column. Between the "
    "counts that were tried it is read off a straight line of the picture "
    "above.</p>"
    + markup.table(["learner", *(f"{c:,} labels" for c in counts)], cells)
    + '<p class="note">&gt;: the most labels that were tried are not enough. '
    "≤: the fewest are enough already.</p>"
  )


def mean_table(result: PredictorsResult, key: str) -> str:
  """Means by learner and count; the best of a count is set in bold."""
  winners = best(result, key)
  if not winners:
    return ""
  # Of one seed there is no deviation.
  several = len({score.seed for score in result.scores}) != 1
  rows = []
  for curve in result.curves:
    by_count = {p.labels: p for p in points(curve, key)}
    rows.append(
      [
        escape(capital(name(curve.learner))),
        *(
          _cell(by_count.get(count), learner == curve.learner, several)
          for count, learner in winners.items()
        ),
      ]
    )
  table = markup.table(["learner", *(f"{c:,} labels" for c in winners)], rows)
  words = "Kendall’s rank correlation"
  if key == "rmse":
    words = "Root mean square error in percentage points of accuracy"
  if several:
    words += ": mean and standard deviation over the seeds"
  words += ". Bold: the best."
  if key == "rmse" and result.label_deviation is not None:
    words += (
      " Always saying the mean of all accuracies has the error "
      f"{markup.significant(result.label_deviation)}."
    )
  return table + f'<p class="note">{words}</p>'


def best(result: PredictorsResult, key: str) -> dict[int, str]:
  """The learner with the best mean for each count, by count."""
  winners: dict[int, tuple[float, str]] = {}
  for curve in result.curves:
    for point in points(curve, key):
      value = point.mean if key == "rmse" else -point.mean
      if point.labels not in winners or value < winners[point.labels][0]:
        winners[point.labels] = value, curve.learner
  return {count: winners[count][1] for count in sorted(winners)}


def is_bound(row: SavedLabels, count: int, factor: float) -> bool:
  """Whether even the fewest labels were enough, so that fewer might be."""
  return abs(factor * count - row.labels[0]) < 1e-6 * count


def _factor(row: SavedLabels, count: int, factor: float | None) -> str:
  if factor is None:
    return f"&gt; {markup.significant(row.labels[-1] / count, 2)}"
  text = markup.significant(factor, 2)
  return f"≤ {text}" if is_bound(row, count, factor) else text


def _cell(point: CurvePoint | None, is_best: bool, several: bool) -> str:
  if point is None:
    return markup.MISSING
  text = number(point.mean)
  if is_best:
    text = f"<strong>{text}</strong>"
  if not several:
    return text
  under = f"± {number(point.deviation)}"
  return f'{text}<span class="under whole">{under}</span>'
