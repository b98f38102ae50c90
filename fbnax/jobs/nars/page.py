"""The sections of the report: a chart each, and what there is to see in it."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from pathlib import Path

from fbnax.jobs.nars import predictor_charts, search_charts
from fbnax.report import markup, training_charts
from fbnax.report.family import LIKELIHOOD, signal
from fbnax.report.markup import escape, figure, percent, plural, whole
from fbnax.report.networks import networks
from fbnax.report.overview import overview
from fbnax.report.overview import title as title_of
from fbnax.report.page import Section, page
from fbnax.report.recipes import recipe_table
from fbnax.report.schema import Result
from fbnax.report.trees import read_drawing, trees

_BEST = 10  # Trials that are listed.


def sections(
  result: Result, drawings: Mapping[str, str] = types.MappingProxyType({})
) -> list[Section]:
  """All sections for which the result has something to show, in order.

  Args:
    result: what to show.
    drawings: decision trees of members by their names, `<svg>` elements.
  """
  found = [Section("overview", "Overview", overview(result))]
  for name, title, content in (
    ("accuracy-macs", "Accuracy against MACs", _accuracy_macs(result)),
    ("sampling", "The search, round by round", _sampling(result)),
    ("predictor", "What the predictor knew", _predictor(result)),
    ("early-stop", "When a candidate could be stopped", _early_stop(result)),
    ("networks", "The networks, block by block", networks(result)),
    ("trees", "The decisions of the members", trees(result, drawings)),
    ("recipes", "The training recipes", _recipes(result)),
    ("training", "Training the family", _curves(result)),
    ("times", "Where the time went", _times(result)),
    ("failed", "Failed trials", _failed(result)),
    ("setup", "Configuration and versions", _setup(result)),
  ):
    if content:
      found.append(Section(name, title, content))
  return found


def _epochs(values: set[int | None]) -> str:
  known = sorted(v for v in values if v is not None)
  if not known:
    return ""
  low, high = known[0], known[-1]
  return f"{low} epochs" if low == high else f"{low} to {high} epochs"


def _accuracy_macs(result: Result) -> str:
  chart = search_charts.accuracy_macs(result)
  if chart is None:
    return ""
  trials = search_charts.measured(result.trials)
  words = []
  if trials:
    validation = result.dataset.validation
    on = (
      f"{whole(validation)} validation images" if validation else "validation"
    )
    words.append(
      f"Dots: {plural(len(trials), 'trial')}, accuracy on {on}, darker in "
      "later rounds; the line is the front that no trial beats in both."
    )
    low = search_charts.hidden(trials)
    if low:
      words.append(
        f"Triangles at the bottom: {plural(low, 'trial')} below the axis."
      )
  if any(m.test_accuracy is not None for m in result.members):
    words.append("Diamonds: the family, accuracy on the test images.")
  if trials and result.members:
    words.append(_not_alike(result))
  return figure(chart, " ".join(words)) + _best_trials(result)


def _best_trials(result: Result) -> str:
  best = sorted(
    search_charts.measured(result.trials), key=lambda t: -(t.accuracy or 0.0)
  )[:_BEST]
  if not best:
    return ""
  rows = [
    [
      markup.plain(t.id),
      markup.plain(t.round),
      percent(t.accuracy),
      percent(t.predicted),
      markup.count(t.macs),
      markup.count(t.params),
      markup.plain(t.epochs),
    ]
    for t in best
  ]
  head = [
    "trial",
    "round",
    "validation accuracy",
    f"{signal(result)} predicted before",
    "MACs",
    "parameters",
    "epochs",
  ]
  return markup.details(
    f"the {len(best)} most accurate trials", markup.table(head, rows)
  )


def _not_alike(result: Result) -> str:
  """Why the family's marks and the trials' are not on one footing."""
  mine = _epochs({m.epochs for m in result.members})
  theirs = _epochs({t.epochs for t in result.trials if t.status == "done"})
  reasons = ["are measured on other images"]
  if mine and theirs and mine != theirs:
    reasons.append(f"trained for {mine} (trials: {theirs})")
  if any(m.teacher for m in result.members):
    reasons.append("in part taught by a larger member (distillation)")
  return (
    f"The two are not on one footing: the diamonds {', '.join(reasons)}, so a "
    "diamond above the front is no gain of the search alone."
  )


def _sampling(result: Result) -> str:
  chart = search_charts.sampling(result)
  if chart is None:
    return ""
  rounds = {t.round for t in search_charts.measured(result.trials)}
  words = (
    "Every dot is a trial, triangles lie below the axis; the bar beside a "
    "cloud spans the middle half, its tick is the median. "
  )
  if len(rounds) > 1:
    words += (
      "The first round is drawn from the whole space, each later one from what "
      "the predictor favoured: the clouds should rise and tighten."
    )
  else:
    words += "There was one round only, so there is no progress to show."
  if any(m.test_accuracy is not None for m in result.members):
    words += (
      " At the right the family that came of it, by its test accuracy after "
      "its full training."
    )
  return figure(chart, words)


def _predictor(result: Result) -> str:
  parts = []
  chart = predictor_charts.predictions(result)
  if chart is not None:
    parts.append(
      figure(
        chart,
        f"{markup.capital(signal(result))} of trials that the predictor had "
        "not been shown, against what it predicted, by round; on the dashed "
        "line it would be right, triangles lie beyond the axes. "
        "A search needs the order more than the value: that is what the two "
        "rank correlations (1 is perfect, 0 is chance) say."
        + (LIKELIHOOD if signal(result) == "likelihood" else ""),
      )
    )
  chart = predictor_charts.pretraining(result)
  if chart is not None:
    words = (
      "Before it saw an accuracy, the predictor learned to tell the costs of "
      "an architecture, which need no training. Each dot is an architecture "
      "that was held out."
    )
    if any(p.normal_scores for p in result.predictor.pretraining.values()):
      words += (
        " Beside them it learned scores of untrained networks, by rank: 0 is "
        "the median network, 1 a standard deviation above it."
      )
    parts.append("<h3>Pretraining on free labels</h3>" + figure(chart, words))
  return "".join(parts)


def _early_stop(result: Result) -> str:
  chart = predictor_charts.early_stop(result)
  if chart is None:
    return ""
  stop = result.early_stop
  words = (
    "How well the order of the first round's candidates after each epoch "
    "agrees with their order after the last."
  )
  if stop.epoch is not None and stop.max_epochs:
    words += (
      f" Later candidates were trained for {stop.epoch} of "
      f"{stop.max_epochs} epochs"
    )
    reached = any(
      c is not None and c >= (stop.threshold or 0.0) for c in stop.correlations
    )
    if stop.threshold is not None and reached:
      words += (
        f", from which on the correlation stays at {stop.threshold:g} or more"
      )
    elif stop.threshold is not None:
      words += f"; the threshold of {stop.threshold:g} was never reached"
    words += "."
  return figure(chart, words)


def _recipes(result: Result) -> str:
  table = recipe_table(result)
  if not table:
    return ""
  return (
    table + '<p class="note">A dot marks where a value lies in the range that '
    "was searched. Learning rates are for a batch of 256 images.</p>"
  )


def _curves(result: Result) -> str:
  chart = training_charts.curves(result)
  if chart is None:
    return ""
  return figure(
    chart,
    "Each member's training by epoch. With mixup or a teacher the training "
    "loss is not that of the plain labels, so compare its course within a "
    "member, not its height between members. The first epochs may lie below "
    "the axis of the accuracy.",
  )


def _times(result: Result) -> str:
  chart = training_charts.times(result)
  if chart is None:
    return ""
  times = result.times
  words = "Wall-clock time of each phase, in the order they ran"
  if times.total is not None:
    words += f"; {markup.time_spent(times.total, times.compiled)}, in all"
  return figure(chart, f"{words}.")


def _failed(result: Result) -> str:
  failed = [t for t in result.trials if t.status == "failed"]
  if not failed:
    return ""
  rows = [
    [
      markup.plain(t.id),
      markup.plain(t.round),
      markup.count(t.macs),
      f"<code>{escape(t.error or 'no reason recorded')}</code>",
    ]
    for t in failed
  ]
  table = markup.table(["trial", "round", "MACs", "reason"], rows, "text")
  return (
    f"<p>{plural(len(failed), 'trial')} of {len(result.trials):,} failed. They "
    "have no accuracy and taught the predictor nothing.</p>" + table
  )


def _setup(result: Result) -> str:
  version = escape(result.fbnax_version or "unknown")
  words = (
    f"<p>Run by fbnax {version}; result of schema version "
    f"{result.schema_version}.</p>"
  )
  if result.config:
    text = json.dumps(result.config, indent=2, ensure_ascii=False)
    words += markup.details("configuration", f"<pre>{escape(text)}</pre>")
  return words


def draw(result: Result, folder: Path) -> str:
  """The whole document of a job that designs or trains networks."""
  kind = (
    "Neural architecture-recipe search"
    if result.job == "nars"
    else (f"Report of the job {result.job}" if result.job else "Report")
  )
  return page(
    title_of(result),
    kind,
    sections(result, _drawings(folder, result)),
    f"Written by fbnax.report from the run's result.json (fbnax "
    f"{result.fbnax_version or 'of unknown version'}).",
  )


def _drawings(folder: Path, result: Result) -> dict[str, str]:
  """The decision trees of members that have one."""
  drawings = {}
  for member in result.members:
    if member.tree is not None and re.fullmatch(r"\w[\w.-]*", member.name):
      name = member.tree.pictures.get("drawing")
      place = folder / "members" / member.name
      drawings[member.name] = read_drawing(place, name)
  return drawings
