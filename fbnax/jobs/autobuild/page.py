"""The page of AutoBuild: which building blocks matter, and what they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fbnax.jobs.autobuild import charts as autobuild_charts
from fbnax.jobs.autobuild.result import (
  AutobuildResult,
  BuiltNetworks,
  LearnedExpression,
  Module,
)
from fbnax.report import drawing, markup
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

METHODS = {
  "autobuild": "AutoBuild-NAS",
  "stage": "Stage-Full",
  "layer": "Layer-Full",
}


def draw(result: AutobuildResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  space = f" of the space {result.space.name}" if result.space.name else ""
  return page(
    "Which building blocks matter",
    f"AutoBuild on labelled networks{space}",
    sections(result),
    footer(result),
  )


def sections(result: AutobuildResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", finding(result)),
    ("networks", "Networks put together", _networks(result)),
    ("hops", "Rank correlation by hop", _hops(result)),
    ("importance", "What the values of features count", _importance(result)),
    ("modules", "Best and worst modules", _modules(result)),
    ("searches", "Searches of the reduced space", _searches(result)),
    ("made", "How it was made", _made(result)),
  )


def finding(result: AutobuildResult) -> str:
  """What was put together, and how it compares, as HTML."""
  words = []
  for row in result.expressions:
    built = row.constructed
    if built.points and built.beyond is not None:
      words.append(
        f"By <code>{escape(row.expression)}</code>, "
        f"<strong>{built.beyond:,} of {plural(len(built.points), 'network')}"
        "</strong> put together from the best modules lie beyond the front of "
        "the labelled networks."
      )
  trust = result.stand_in.accuracy
  if trust.spearman is not None:
    words.append(
      "What they are worth is told by additive models of accuracy and cost, "
      f"not measured: on held-out labels their rank correlation is "
      f"{number(trust.spearman)} and {number(result.stand_in.cost.spearman)}, "
      f"their median error {percent(trust.error, 2)} and "
      f"{percent(result.stand_in.cost.error, 2)}."
    )
  if not words:
    words.append("The result holds no networks.")
  picture = figure(
    autobuild_charts.fronts(result),
    "Grey: labelled networks, and the line is their front. Colours: networks "
    "put together from the best modules of every stage, a colour for each "
    "label. Up and to the left is better.",
  )
  return f"<p>{' '.join(words)}</p>{picture}"


def _networks(result: AutobuildResult) -> str:
  training = result.training
  rows = []
  if training.hypervolume is not None:
    rows.append(
      (
        "labelled networks",
        whole(result.space.rows),
        significant(training.hypervolume, 4),
        markup.MISSING,
        markup.MISSING,
      )
    )

  def add(name: str, networks: BuiltNetworks) -> None:
    if networks.points:
      volume = networks.hypervolume
      together = networks.with_training
      rows.append(
        (
          name,
          whole(len(networks.points)),
          markup.MISSING if volume is None else significant(volume, 4),
          markup.MISSING if together is None else significant(together, 4),
          whole(networks.beyond),
        )
      )

  for row in result.expressions:
    add(f"<code>{escape(row.expression)}</code>", row.constructed)
  add("random networks", result.baselines.random)
  add("the largest network", result.baselines.largest)
  if not rows:
    return ""
  head = (
    "Networks",
    "How many",
    "Hypervolume",
    "With the labelled",
    "Beyond their front",
  )
  note = ""
  if len(training.reference) == 2 and None not in training.reference:
    accuracy, cost = (significant(v or 0.0, 4) for v in training.reference)
    note = (
      "<p>The hypervolume is the area up to the worst labels, "
      f"{escape(result.accuracy)} {accuracy} and {escape(result.cost)} {cost}. "
      "Beyond the front is what no labelled network dominates.</p>"
    )
  return note + markup.table(head, rows)


def _hops(result: AutobuildResult) -> str:
  drawn = autobuild_charts.hops(result)
  if drawn is None:
    return ""
  text = figure(
    drawn,
    "Spearman’s rank correlation with held-out labels: of the norm of the mean "
    "embedding at every hop, and of the prediction, a dot for each seed. The "
    "dashed line is an additive ridge regression.",
  )
  rows = []
  for row in result.expressions:
    hops = list(zip(*row.hops, strict=True)) if row.hops else []
    rows.append(
      (
        f"<code>{escape(row.expression)}</code>",
        _mean(row.prediction),
        number(row.ridge),
        *(_mean(values) for values in hops),
      )
    )
  count = max(len(r) for r in rows) - 3
  rows = [r + (markup.MISSING,) * (count + 3 - len(r)) for r in rows]
  head = ("Label", "Prediction", "Ridge", *(f"Hop {h}" for h in range(count)))
  beaten = [
    row.expression
    for row in result.expressions
    if row.ridge is not None and _value(row.prediction) <= row.ridge
  ]
  note = ""
  if beaten:
    listed = ", ".join(f"<code>{escape(e)}</code>" for e in beaten)
    note = (
      "<p>As a predictor the graph network does not beat the ridge regression "
      f"on {listed}: what it has over it are the scores of modules.</p>"
    )
  return text + markup.table(head, rows) + note + _less_than_a_batch(result)


def _less_than_a_batch(result: AutobuildResult) -> str:
  keys = result.config.get("predictor")
  batch = keys.get("batch_size") if isinstance(keys, dict) else None
  if result.train is None or not isinstance(batch, int):
    return ""
  if result.train >= batch:
    return ""
  return (
    f"<p>There are fewer labels to learn from ({whole(result.train)}) than a "
    f"batch holds ({whole(batch)}), so that every step learns from all of "
    "them.</p>"
  )


def _importance(result: AutobuildResult) -> str:
  parts = []
  for i, row in enumerate(result.expressions):
    drawn = autobuild_charts.importance(row, f"chart-importance{i}")
    if drawn is not None:
      parts.append(
        f"<h3>By <code>{escape(row.expression)}</code></h3>"
        + figure(
          drawn,
          "What each value of a feature adds to a layer’s norm at hop 0, mean "
          "over the seeds: the higher, the more the label gains by it.",
        )
      )
  return "".join(parts)


def _modules(result: AutobuildResult) -> str:
  parts = []
  for i, row in enumerate(result.expressions):
    if not row.stages:
      continue
    parts.append(f"<h3>By <code>{escape(row.expression)}</code></h3>")
    if row.unseen:
      listed = ", ".join(f"{u.stage} with {u.length}" for u in row.unseen)
      parts.append(
        f"<p>No labelled network has {escape(listed)} layers: such modules are "
        "shifted by the mean and deviation of all labels.</p>"
      )
    if row.constant:
      parts.append(
        "<p>The labels are all equal, so scores mean nothing here.</p>"
      )
    parts.append(_drawn(row, i))
    rows = [
      (
        escape(stage.stage),
        whole(stage.modules),
        _module(stage.best),
        _module(stage.worst),
      )
      for stage in row.stages
    ]
    head = ("Stage", "Modules", "Best", "Worst")
    parts.append(markup.table(head, rows, "text"))
  return "".join(parts)


def _drawn(row: LearnedExpression, place: int) -> str:
  """The networks of the best and of the worst modules."""
  text = ""
  for name, architecture in (("best", row.best), ("worst", row.worst)):
    if architecture is not None:
      words = f"The {name} module of every stage by {row.expression}"
      text += figure(
        drawing.draw(architecture, f"modules{place}-{name}", words),
        f"The <strong>{name}</strong> module of every stage.",
      )
  drawn = [a for a in (row.best, row.worst) if a is not None]
  return text + (drawing.legend(drawn) if drawn else "")


def _module(modules: Sequence[Module]) -> str:
  """Modules under each other with their scores."""
  lines = []
  for module in modules:
    layers = " → ".join(map(escape, module.layers))
    score = "" if module.score is None else f" ({significant(module.score, 4)})"
    lines.append(f'<span class="under">{layers}{score}</span>')
  return "".join(lines)


def _searches(result: AutobuildResult) -> str:
  drawn = autobuild_charts.searches(result)
  if drawn is None:
    return ""
  rows = []
  for method, volumes in autobuild_charts.volumes(result).items():
    size = next(s.size for s in result.searches if s.method == method)
    deviation = float(np.std(volumes[:, -1], ddof=1)) if len(volumes) > 1 else 0
    rows.append(
      (
        METHODS.get(method, escape(method)),
        markup.MISSING if size is None else f"{size:.2g}",
        whole(len(volumes)),
        f"{significant(float(volumes[:, -1].mean()), 4)} "
        f"± {significant(deviation, 2)}",
      )
    )
  head = ("Search", "Networks in reach", "Seeds", "Hypervolume")
  return (
    "<p>AutoBuild-NAS searches the best modules by every label, Stage-Full all "
    "modules, Layer-Full changes one layer at a time; the evolution and its "
    "number of evaluations are the same.</p>"
    + figure(
      drawn,
      "Hypervolume of all networks evaluated so far: mean and a standard "
      "deviation over the seeds.",
    )
    + markup.table(head, rows)
  )


def _made(result: AutobuildResult) -> str:
  rows = []
  if result.config.get("labels"):
    words = f"<code>{escape(result.config['labels'])}</code>"
    if result.train is not None:
      words += (
        f", {whole(result.train)} networks to learn from and "
        f"{whole(result.held_out)} held out"
      )
    rows.append(("Labels", words))
  return made_by(result, rows, "autobuild.py")


def _value(values: Sequence[float | None]) -> float:
  defined = [v for v in values if v is not None]
  return float(np.mean(defined)) if defined else float("nan")


def _mean(values: Sequence[float | None]) -> str:
  mean = _value(values)
  return markup.MISSING if mean != mean else number(mean)
