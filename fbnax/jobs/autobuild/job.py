"""Job `autobuild`: which building blocks matter, learned from labels.

For every label expression a graph predictor learns to rank networks at every
hop; modules are scored by it, and networks put together from the best modules
of every stage. Reduced spaces of these modules are then searched beside the
whole space. What networks that have no label are worth is told by an additive
model of accuracy and cost, whose agreement with held-out labels is stated.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import __version__, report
from fbnax.jobs.autobuild import data as autobuild_data
from fbnax.jobs.autobuild import search as autobuild_search
from fbnax.jobs.autobuild import summary as autobuild_summary
from fbnax.jobs.autobuild.data import Data
from fbnax.jobs.autobuild.summary import StandIn
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild import graph_files, graph_fit, modules
from fbnax.search.autobuild.chains import encoding
from fbnax.spaces import SearchSpace
from fbnax.training.loop import DivergedError
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1


def run(config: Any, workdir: str) -> None:
  """Fits, scores, constructs and searches, or does what is left."""
  settings = _settings(config)
  data = autobuild_data.read(config)
  space = data.labels.space
  expressions = autobuild_data.expressions(config, data)
  # Whatever a space lacks is told before anything is learned.
  modules.stages(space)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with open_progress() as progress:
      models = []
      with (
        work.phase("fit"),
        progress.phase(
          "fit", len(expressions) * config.predictor.epochs
        ) as advance,
      ):
        for number, (text, labels) in enumerate(expressions):
          models.append(
            _fitted(config, work, data, settings, number, text, labels, advance)
          )
      with work.phase("construct"):
        stand_in = autobuild_summary.stand_in(
          data, config.accuracy, config.cost
        )
        rows, scores = [], []
        for (text, labels), model in zip(expressions, models, strict=True):
          row, of_label = autobuild_summary.expression(
            config, data, stand_in, text, labels, model
          )
          rows.append(row)
          scores.append(of_label)
      with work.phase("search"):
        searches = _searches(config, space, scores, stand_in, progress)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "autobuild",
        "config": config.to_dict(),
        "space": {
          "name": space.name,
          "size": space.size,
          "rows": len(data.labels.genotypes),
        },
        "train": len(data.train),
        "held_out": len(data.test),
        "accuracy": config.accuracy,
        "cost": config.cost,
        "stand_in": stand_in.agreement,
        "training": autobuild_summary.training(data, stand_in, config),
        "expressions": rows,
        "baselines": autobuild_summary.baselines(config, data, stand_in, rows),
        "searches": searches,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for row in rows:
    built = row["constructed"]
    print(
      f"{row['expression']}: rank correlation "
      f"{autobuild_summary.mean(row['prediction']):.3f} (additive ridge "
      f"{row['ridge']:.3f}); {len(built['points'])} networks put together, "
      f"{built['beyond']} beyond the front of the labels"
    )
  print(f"report: {page}")


def _settings(config: Any) -> graph_fit.GraphSettings:
  """Checks what needs no data."""
  given, search = config.predictor, config.search
  for name, group, least in (
    ("top", config, 1),
    ("predictor.seeds", given, 1),
    ("predictor.epochs", given, 1),
    ("predictor.batch_size", given, 2),
    ("predictor.hidden", given, 1),
    ("predictor.hops", given, 0),
    ("search.top", search, 1),
    ("search.seeds", search, 0),
    ("search.first", search, 2),
    ("search.rounds", search, 1),
    ("search.children", search, 1),
  ):
    value = group[name.split(".")[-1]]
    if value < least:
      raise ValueError(f"config.{name} is {value!r}; legal: at least {least}")
  if not config.labels:
    raise ValueError(
      "config.labels is empty; legal: a .csv, .json or .npz file"
    )
  if not given.learning_rate > 0:
    raise ValueError(
      f"config.predictor.learning_rate is {given.learning_rate!r}; legal: "
      "above 0"
    )
  return graph_fit.GraphSettings(
    epochs=given.epochs,
    batch_size=given.batch_size,
    learning_rate=given.learning_rate,
    weight_decay=given.weight_decay,
  )


def _fitted(
  config: Any,
  work: WorkDir,
  data: Data,
  settings: graph_fit.GraphSettings,
  number: int,
  text: str,
  labels: np.ndarray,
  advance: Any,
) -> graph_fit.FittedGraph:
  """The predictor of an expression, from its file where there is one."""
  space = data.labels.space
  found = encoding(space)
  about = {
    "expression": text,
    "space": space.name,
    "features": [[f.name, [str(v) for v in f.values]] for f in found.features],
  }
  path = work.path / f"predictor{number}.npz"
  if path.exists():
    model = graph_files.load(path, about)
    advance(settings.epochs)
    return model
  module = GraphPredictor(
    found.categories,
    found.numbers,
    config.predictor.hidden,
    config.predictor.hops,
  )
  genotypes = jnp.asarray(data.labels.genotypes[data.train])
  chains = jax.jit(found.encode)(genotypes)
  key = jax.random.fold_in(jax.random.key(config.seed), number)
  model = graph_fit.fit(
    jax.random.split(key, config.predictor.seeds),
    module,
    chains,
    labels[data.train],
    settings,
    advance,
  )
  if not all(np.isfinite(x).all() for x in jax.tree.leaves(model.variables)):
    raise DivergedError(
      f"the predictor of {text} diverged: a weight is not finite;"
      f" config.predictor.learning_rate is {settings.learning_rate:g}: a lower"
      " one may help"
    )
  graph_files.save(path, model, about)
  return model


def _searches(
  config: Any,
  space: SearchSpace,
  scores: list[list[np.ndarray]],
  stand_in: StandIn,
  progress: Progress,
) -> list[dict[str, Any]]:
  """AutoBuild-NAS beside searches of the whole space."""
  if not config.search.seeds:
    return []
  # One object for all searches, so that their program is compiled once.
  objectives = functools.partial(StandIn.objectives, stand_in)
  methods = autobuild_search.methods(space, scores, config.search.top)
  with progress.phase("search", len(methods) * config.search.seeds) as advance:
    return [
      autobuild_search.search(
        method,
        jax.random.fold_in(jax.random.key(config.seed + 1), seed),
        objectives,
        config.search,
        seed,
        advance,
      )
      for method in methods
      for seed in range(config.search.seeds)
    ]
