"""Job `autobuild`: which building blocks matter, learned from labels.

For every label expression a graph predictor learns to rank networks at every
hop; modules are scored by it, and networks put together from the best modules
of every stage. Reduced spaces of these modules are then searched beside the
whole space. What networks that have no label are worth is told by an additive
model of accuracy and cost, whose agreement with held-out labels is stated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.jobs.autobuild import data as autobuild_data
from fbnax.jobs.autobuild import search as autobuild_search
from fbnax.jobs.autobuild import summary as autobuild_summary
from fbnax.jobs.autobuild.config import AutobuildConfig
from fbnax.jobs.autobuild.data import Data
from fbnax.jobs.autobuild.result import AutobuildResult, SearchedNetworks
from fbnax.jobs.autobuild.summary import StandIn
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.report.schema import Rows
from fbnax.search.autobuild import graph_files, graph_fit, modules
from fbnax.search.autobuild.chains import encoding
from fbnax.spaces import SearchSpace
from fbnax.training.loop import DivergedError
from fbnax.training.progress import Progress


def run(
  config: AutobuildConfig, work: WorkDir, progress: Progress
) -> AutobuildResult:
  """Fits, scores, constructs and searches, or does what is left."""
  data = autobuild_data.read(config)
  space = data.labels.space
  expressions = autobuild_data.expressions(config, data)
  # Whatever a space lacks is told before anything is learned.
  modules.stages(space)
  epochs = len(expressions) * config.predictor.epochs
  with work.phase("fit"), progress.phase("fit", epochs) as advance:
    models = [
      _fitted(config, work, data, number, text, labels, advance)
      for number, (text, labels) in enumerate(expressions)
    ]
  with work.phase("construct"):
    stand_in = autobuild_summary.stand_in(config, data)
    rows, scores = [], []
    for (text, labels), model in zip(expressions, models, strict=True):
      row, of_label = autobuild_summary.expression(
        config, data, stand_in, text, labels, model
      )
      rows.append(row)
      scores.append(of_label)
  with work.phase("search"):
    searches = _searches(config, space, scores, stand_in, progress)
  return AutobuildResult(
    space=Rows(space.name, space.size, len(data.labels.genotypes)),
    train=len(data.train),
    held_out=len(data.test),
    accuracy=config.accuracy,
    cost=config.cost,
    stand_in=stand_in.agreement,
    training=autobuild_summary.training(config, data, stand_in),
    expressions=tuple(rows),
    baselines=autobuild_summary.baselines(config, data, stand_in, rows),
    searches=searches,
  )


def lines(result: AutobuildResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for row in result.expressions:
    yield (
      f"{row.expression}: rank correlation "
      f"{autobuild_summary.mean(row.prediction):.3f} (additive ridge "
      f"{row.ridge:.3f}); {len(row.constructed.points)} networks put together, "
      f"{row.constructed.beyond} beyond the front of the labels"
    )


def _fitted(
  config: AutobuildConfig,
  work: WorkDir,
  data: Data,
  number: int,
  text: str,
  labels: np.ndarray,
  advance: Callable[..., None],
) -> graph_fit.FittedGraph:
  """The predictor of an expression, from its file where there is one."""
  space, keys = data.labels.space, config.predictor
  encoder = encoding(space)
  about = {
    "expression": text,
    "space": space.name,
    "features": [
      [f.name, [str(v) for v in f.values]] for f in encoder.features
    ],
  }
  path = work.path / f"predictor{number}.npz"
  if path.exists():
    model = graph_files.load(path, about)
    advance(keys.epochs)
    return model
  module = GraphPredictor(
    encoder.categories, encoder.numbers, keys.hidden, keys.hops
  )
  genotypes = jnp.asarray(data.labels.genotypes[data.train])
  chains = jax.jit(encoder.encode)(genotypes)
  key = jax.random.fold_in(jax.random.key(config.seed), number)
  model = graph_fit.fit(
    jax.random.split(key, keys.seeds),
    module,
    chains,
    labels[data.train],
    graph_fit.GraphSettings(
      epochs=keys.epochs,
      batch_size=keys.batch_size,
      learning_rate=keys.learning_rate,
      weight_decay=keys.weight_decay,
    ),
    advance,
  )
  if not all(np.isfinite(x).all() for x in jax.tree.leaves(model.variables)):
    raise DivergedError(
      f"the predictor of {text} diverged: a weight is not finite;"
      f" config.predictor.learning_rate is {keys.learning_rate:g}: a lower"
      " one may help"
    )
  graph_files.save(path, model, about)
  return model


def _searches(
  config: AutobuildConfig,
  space: SearchSpace,
  scores: list[list[np.ndarray]],
  stand_in: StandIn,
  progress: Progress,
) -> tuple[SearchedNetworks, ...]:
  """AutoBuild-NAS beside searches of the whole space."""
  if not config.search.seeds:
    return ()
  # One object for all searches, so that their program is compiled once.
  objectives = functools.partial(StandIn.objectives, stand_in)
  methods = autobuild_search.methods(space, scores, config.search.top)
  with progress.phase("search", len(methods) * config.search.seeds) as advance:
    return tuple(
      autobuild_search.search(
        method,
        space,
        jax.random.fold_in(jax.random.key(config.seed + 1), seed),
        objectives,
        config.search,
        seed,
        advance,
      )
      for method in methods
      for seed in range(config.search.seeds)
    )
