"""The page of a study: the finding in words, a picture, tables, how it came."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.study import charts as study_charts
from fbnax.jobs.study.result import Estimate, PairedDifference, StudyResult
from fbnax.jobs.study.tables import (
  comparison_table,
  mean_table,
  random_table,
  training_table,
  verdict,
)
from fbnax.report import markup
from fbnax.report.made import footer, made
from fbnax.report.markup import escape, figure, plural, whole
from fbnax.report.page import Section, page, shown

TITLES = {
  "random": "Members against random pairs",
  "swapped": "Architectures with swapped recipes",
  "stages": "What evolution adds to the search's trials",
  "averaging": "What EMA and distillation add",
  "ranking": "Does the recipe switch the ranking?",
}
_COMMON = {"job", "study", "runs"}


def draw(result: StudyResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  name = TITLES.get(result.study or "", f"Study {result.study or 'unnamed'}")
  data = dict.fromkeys(r.dataset for r in result.runs if r.dataset)
  kind = "Study after neural architecture-recipe search"
  return page(
    name,
    kind + (f", on {', '.join(data)}" if data else ""),
    sections(result),
    footer(result, "study"),
  )


def sections(result: StudyResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", finding(result)),
    ("differences", "Differences, in pairs", _differences(result)),
    ("trainings", "Every training", _trainings(result)),
    ("made", "How it was made", _made(result)),
  )


def finding(result: StudyResult) -> str:
  """What was found, with the picture that shows it, as HTML.

  In front of the picture stands the answer in short; a sentence for each
  comparison follows it, or is the answer.
  """
  comparisons = result.summary.comparisons
  whole_family = [c for c in comparisons if not c.group]
  lead = [sentence(c) for c in whole_family]
  if result.study == "ranking":
    lead = switches(result)
  rest = [sentence(c) for c in comparisons if c not in whole_family]
  if not lead:
    lead, rest = rest, []
  if not lead:
    lead = ["The result holds no comparison."]
  notes = [f"{escape(note)}." for note in result.summary.notes]
  if result.summary.failed:
    notes.append(
      f"{plural(result.summary.failed, 'training')} diverged and left no "
      "log-loss; the means are those of the others."
    )
  return (
    "".join(f"<p>{words}</p>" for words in lead)
    + _picture(result)
    + "".join(f"<p>{words}</p>" for words in rest)
    + "".join(f'<p class="note">{words}</p>' for words in notes)
  )


def switches(result: StudyResult) -> list[str]:
  """Of each group of a ranking, whether its two rankings differ, as HTML."""
  sentences = []
  for group in dict.fromkeys(c.group for c in result.summary.comparisons):
    pair = [
      c.test_log_loss
      for c in result.summary.comparisons
      if c.group == group and c.second and c.test_log_loss.mean is not None
    ]
    if len(pair) != 2:
      continue
    verdicts = {verdict(c) for c in pair}
    signs = {(c.mean or 0.0) < 0 for c in pair}
    if verdicts == {"better", "worse"}:
      words = "<strong>switches</strong> the ranking of the two networks"
    elif len(signs) == 2:
      words = (
        "switches the order of the two networks’ means, but <strong>the "
        "difference is not told apart</strong> from chance on both sides"
      )
    else:
      words = "<strong>does not switch</strong> the ranking of the two networks"
    sentences.append(f"Another choice of {escape(group)} {words}.")
  return sentences


def sentence(comparison: PairedDifference) -> str:
  """The comparison in words, with its interval, as HTML."""
  loss = comparison.test_log_loss
  if loss.mean is None:
    return f"{escape(_capital(comparison.name))}: nothing could be measured."
  if not comparison.second:
    return _change(comparison)
  word = verdict(loss)
  first, second = _capital(comparison.first), comparison.second
  link = "than" if word in ("better", "worse") else "from"
  words = (
    f"{escape(first)} is <strong>{word}</strong> {link} {escape(second)}: its "
    f"test log-loss is {_nats(abs(loss.mean))} nats "
    f"{'lower' if loss.mean < 0 else 'higher'} ({_interval(loss)})."
  )
  against = loss.against
  if against is not None and against.of:
    words += f" It beats {against.beats} of {against.of} of them."
  return words


def _change(comparison: PairedDifference) -> str:
  """Of a difference's own change: whether it is shown to be there."""
  loss = comparison.test_log_loss
  assert loss.mean is not None
  told = verdict(loss) in ("better", "worse")
  return (
    f"{escape(_capital(comparison.name))}: the gap "
    f"<strong>{'changes' if told else 'is not shown to change'}</strong>, by "
    f"{_nats(loss.mean, sign=True)} nats ({_interval(loss)})."
  )


def _interval(loss: Estimate) -> str:
  if loss.low is None or loss.high is None:
    return f"one of {loss.over}, so without an interval"
  return (
    f"95% interval of the difference {_nats(loss.low, sign=True)} to "
    f"{_nats(loss.high, sign=True)}, over {loss.units} {loss.over}"
  )


def _nats(value: float, sign: bool = False) -> str:
  text = f"{value:+.4f}" if sign else f"{value:.4f}"
  return text.replace("-", "−")


def _capital(words: str) -> str:
  """As a sentence begins; names, which have digits or dashes, stay."""
  first = words.split(" ")[0]
  return words[:1].upper() + words[1:] if first.isalpha() else words


def _picture(result: StudyResult) -> str:
  matrix = study_charts.matrices(result)
  dots = study_charts.trainings(result)
  if matrix is not None:
    words = (
      "Mean test log-loss in nats (less is better, darker) and mean test "
      "accuracy."
    )
    if any(c.is_member for c in result.cases):
      words += " Outlined: as the search designed it."
    return figure(matrix, words)
  return figure(dots, _dots_caption(result)) if dots is not None else ""


def _dots_caption(result: StudyResult) -> str:
  words = "Every dot is one training"
  if any(c.is_member for c in result.cases):
    words += ", orange those of the members"
  words += "; the line across a row is its mean."
  far = study_charts.hidden(result)
  if far:
    words += (
      f" Triangles: {plural(far, 'training')} beyond the end of the axis."
    )
  return words


def _differences(result: StudyResult) -> str:
  chart = study_charts.differences(result)
  if chart is None:
    return ""
  over = {c.test_log_loss.over for c in result.summary.comparisons}
  words = (
    "Diamonds: the mean of the paired differences (same run, same seed), bars "
    "its 95% interval (Student); orange where it leaves zero out. "
  )
  if "runs" in over:
    words += (
      "Dots: each run with the mean of its seeds, which counts once. Where the "
      "runs are folds of one data set their test images are disjoint but their "
      "training images overlap, which makes an interval somewhat too narrow."
    )
  else:
    words += (
      "There is one run, so the interval is over the seeds of the training: it "
      "says how sure the difference is for these networks on these test "
      "images, and nothing of another search or of other images."
    )
  if len(result.summary.comparisons) > 1:
    words += " The comparisons are not corrected for their number."
  means = random_table(result) if result.study == "random" else ""
  return (
    figure(chart, words)
    + comparison_table(result)
    + (means or mean_table(result))
  )


def _trainings(result: StudyResult) -> str:
  if not result.cases:
    return ""
  words = ""
  if any(c.row for c in result.cases):
    dots = study_charts.trainings(result)
    words = "" if dots is None else figure(dots, _dots_caption(result))
  table = training_table(result)
  return words + markup.details(
    f"{plural(len(result.cases), 'training')} in a table", table
  )


def _made(result: StudyResult) -> str:
  rows = []
  epochs = sorted({c.epochs for c in result.cases if c.epochs is not None})
  seeds = sorted({c.seed for c in result.cases if c.seed is not None})
  if seeds:
    words = f"{plural(len(seeds), 'seed')}: {', '.join(map(str, seeds))}"
    rows.append(("Seeds", f"{words}; all cases are trained with the same"))
  if epochs:
    rows.append(("Epochs", f"{', '.join(map(str, epochs))} for each training"))
  rows += [
    (
      "Runs" if i == 0 else "",
      f"<code>{escape(r.name)}</code>: {escape(r.source or r.dataset or '')}, "
      f"trained on {whole(r.train)} images, measured once on "
      f"{whole(r.test)} test images",
    )
    for i, r in enumerate(result.runs)
  ]
  times = result.times
  if times.total is not None:
    rows.append(("Time", markup.time_spent(times.total, times.compiled)))
  rows.append(("Command", f"<code>{escape(command(result))}</code>"))
  return (
    "<p>Members, too, are trained anew here, with the settings of their run, "
    "so that all networks of a comparison are treated alike.</p>"
    + made(rows, result.config)
  )


def command(result: StudyResult) -> str:
  """The command that gives this result, without the work directory."""
  parts = [
    f"python -m fbnax.main --config=configs/study.py:{result.study}",
    f'--config.runs="{_tuple([r.name for r in result.runs])}"',
  ]
  for key, value in result.config.items():
    # Nested keys and those of a user's own code are in the configuration.
    if key in _COMMON or value in ([], None, "") or isinstance(value, dict):
      continue
    text = f'"{_tuple(value)}"' if isinstance(value, list) else str(value)
    parts.append(f"--config.{key}={text}")
  return " ".join(parts)


def _tuple(values: list[object]) -> str:
  return "(" + "".join(f"{value!r}," for value in values) + ")"
