"""Sections that the pages of jobs which leave networks have in common.

A job that designs networks searched before it trained them; one that only
trains them leaves the parts of a result empty that are of a search. Sections
are HTML.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from fbnax.report import accuracy_chart, markup, training_charts
from fbnax.report import scores as judgement
from fbnax.report.family import signal
from fbnax.report.made import footer
from fbnax.report.markup import escape, figure, percent, plural, whole
from fbnax.report.overview import title
from fbnax.report.page import page, shown
from fbnax.report.recipes import recipe_table
from fbnax.report.schema import Result
from fbnax.report.trees import read_drawing

_BEST = 10  # Trials that are listed.


def document(
  result: Result,
  kind: str,
  *parts: tuple[str, str, str],
  script: str = "",
  style: str = "",
) -> str:
  """The whole page.

  Args:
    result: what is drawn.
    kind: the line above the title, as text.
    *parts: anchor, title as text and HTML of each section, in order.
    script: what the page runs, and
    style: what it needs for that beside the style of all pages.
  """
  return page(
    title(result),
    kind,
    shown(*parts),
    footer(result),
    script=script,
    style=style,
  )


def accuracy_macs(result: Result) -> str:
  """Accuracy against MACs, and the best trials; "" without any."""
  chart = accuracy_chart.accuracy_macs(result)
  if chart is None:
    return ""
  trials = accuracy_chart.measured(result.trials)
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
    low = accuracy_chart.hidden(trials)
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
    accuracy_chart.measured(result.trials), key=lambda t: -(t.accuracy or 0.0)
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


def _epochs(values: set[int | None]) -> str:
  known = sorted(v for v in values if v is not None)
  if not known:
    return ""
  low, high = known[0], known[-1]
  return f"{low} epochs" if low == high else f"{low} to {high} epochs"


def recipes(result: Result) -> str:
  """The members' recipes; "" where nothing is to be shown."""
  table = recipe_table(result)
  if not table:
    return ""
  return (
    table + '<p class="note">A dot marks where a value lies in the range that '
    "was searched. Learning rates are for a batch of 256 images.</p>"
  )


def curves(result: Result) -> str:
  """The members' trainings; "" where nothing is to be shown."""
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


def scores(result: Result) -> str:
  """What the members can beyond accuracy; "" where nothing is to be shown."""
  return judgement.scores(result.members, result.dataset.class_names)


def mistakes(result: Result) -> str:
  """Pictures that the members get wrong; "" where nothing is to be shown."""
  return judgement.mistakes(result.members)


def times(result: Result) -> str:
  """Where the time went; "" where nothing is to be shown."""
  chart = training_charts.times(result)
  if chart is None:
    return ""
  times = result.times
  words = "Wall-clock time of each phase, in the order they ran"
  if times.total is not None:
    words += f"; {markup.time_spent(times.total, times.compiled)}, in all"
  return figure(chart, f"{words}.")


def setup(result: Result) -> str:
  """Configuration and versions; "" where nothing is to be shown."""
  version = escape(result.fbnax_version or "unknown")
  words = (
    f"<p>Run by fbnax {version}; result of schema version "
    f"{result.schema_version}.</p>"
  )
  if result.config:
    text = json.dumps(result.config, indent=2, ensure_ascii=False)
    words += markup.details("configuration", f"<pre>{escape(text)}</pre>")
  return words


def drawings(folder: Path, result: Result) -> dict[str, str]:
  """The decision trees of members that have one."""
  drawings = {}
  for member in result.members:
    if member.tree is not None and re.fullmatch(r"\w[\w.-]*", member.name):
      name = member.tree.pictures.get("drawing")
      place = folder / "members" / member.name
      drawings[member.name] = read_drawing(place, name)
  return drawings
