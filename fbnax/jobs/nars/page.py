"""The page of a search and its family: a chart each, and what is to be seen."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.nars import predictor_charts, published, search_charts, slider
from fbnax.jobs.nars.result import NarsResult
from fbnax.report import accuracy_chart, design, markup
from fbnax.report.family import LIKELIHOOD, signal
from fbnax.report.markup import escape, figure, plural
from fbnax.report.networks import networks
from fbnax.report.overview import overview
from fbnax.report.schema import Result
from fbnax.report.trees import trees


def draw(result: NarsResult, folder: Path) -> str:
  """The whole document; of an unknown job, too."""
  kind = f"Report of the job {result.job}" if result.job else "Report"
  if result.job == "nars":
    kind = "Neural architecture-recipe search"
  drawings = design.drawings(folder, result)
  choice = slider.slider(result)
  return design.document(
    result,
    kind,
    ("overview", "Overview", overview(result) + _on_labels(result)),
    ("accuracy-macs", "Accuracy against MACs", design.accuracy_macs(result)),
    ("otherwise", "What one would do otherwise", _baselines(result)),
    ("any-budget", "A network for any budget", choice),
    ("sampling", "The search, round by round", _sampling(result)),
    ("predictor", "What the predictor knew", _predictor(result)),
    ("early-stop", "When a candidate could be stopped", _early_stop(result)),
    ("scores", "Beyond accuracy", design.scores(result)),
    ("mistakes", "What they get wrong", design.mistakes(result)),
    ("networks", "The networks, block by block", networks(result)),
    ("trees", "The decisions of the members", trees(result, drawings)),
    ("recipes", "The training recipes", design.recipes(result)),
    ("training", "Training the family", design.curves(result)),
    ("times", "Where the time went", design.times(result)),
    ("failed", "Failed trials", _failed(result)),
    (
      "setup",
      "Configuration and versions",
      published.line(result.config) + design.setup(result),
    ),
    script=slider.script() if choice else "",
    style=slider.style() if choice else "",
  )


def _on_labels(result: NarsResult) -> str:
  """What the network that teaches all can do itself."""
  network = result.on_labels
  if network is None:
    return ""
  return (
    f"<p>All members were taught by <strong>{escape(network.name)}</strong>,"
    " the largest of them as it was trained on labels alone: test accuracy"
    f" {markup.percent(network.test_accuracy)}, log-loss"
    f" {markup.number(network.test_log_loss)}.</p>"
  )


_OTHERWISE = {
  "resolution": "the given network on smaller images",
  "width": "the given network, all widths narrowed alike",
  "scratch": "the member's architecture from random weights",
}


def _baselines(result: NarsResult) -> str:
  """A row for each member, and below it those of its budget."""
  if not result.baselines:
    return ""
  rows = []
  for member in result.members:
    beside = [b for b in result.baselines if b.beside == member.name]
    losses = [
      m.test_log_loss for m in (member, *beside) if m.test_log_loss is not None
    ]
    best = min(losses, default=None)
    for network, words in (
      (member, f"<strong>{escape(member.name)}</strong>"),
      *((b, escape(_OTHERWISE.get(b.kind, b.kind))) for b in beside),
    ):
      loss = markup.number(network.test_log_loss)
      if network.test_log_loss == best:
        loss = f"<strong>{loss}</strong>"
      side = getattr(network.architecture, "resolution", None)
      rows.append(
        [
          words,
          markup.whole(network.macs),
          markup.whole(side),
          markup.percent(network.test_accuracy),
          loss,
        ]
      )
  table = markup.table(
    ["network", "MACs", "pixels", "test accuracy", "log-loss"], rows
  )
  return table + (
    "<p>Below each member stands what its budget buys without a search: each"
    " has seen at least as many images as the supernet and the member together,"
    " with the same recipe and teacher. The lowest log-loss under each budget"
    " is bold.</p>"
  )


def _sampling(result: Result) -> str:
  chart = search_charts.sampling(result)
  if chart is None:
    return ""
  rounds = {t.round for t in accuracy_chart.measured(result.trials)}
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
