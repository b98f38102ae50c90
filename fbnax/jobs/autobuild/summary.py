"""What the job `autobuild` says of its predictors and networks.

Symbols: `n` networks, `D` decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.ranks import correlations
from fbnax.costs.latency_keys import made_of_blocks
from fbnax.jobs.autobuild.config import AutobuildConfig
from fbnax.jobs.autobuild.data import Data
from fbnax.jobs.autobuild.result import (
  Baselines,
  BuiltNetworks,
  Importance,
  LabelledNetworks,
  LearnedExpression,
  ModelAgreement,
  Module,
  Points,
  StageModules,
  StandInAgreement,
  UnseenLength,
)
from fbnax.search.autobuild import additive, construction, graph_fit, modules
from fbnax.search.autobuild.chains import encoding
from fbnax.search.pareto import hypervolume, pareto_front
from fbnax.spaces import Architecture, SearchSpace
from fbnax.spaces.kinds import KINDS
from fbnax.spaces.tables import fill

SHOWN = 1000  # Labelled networks that the report draws.


class StandIn(NamedTuple):
  """Accuracy and cost of networks that have no labels.

  Attributes:
    accuracy: additive model of it, fitted to all labelled networks.
    cost: likewise.
    agreement: of models fitted to the training networks alone, on those held
      out: rank correlation and error (median, relative) of both.
  """

  accuracy: additive.Additive
  cost: additive.Additive
  agreement: StandInAgreement

  def objectives(self, genotypes: jax.Array) -> jax.Array:
    """What is to be small: -accuracy and cost, `f32[n, 2]`."""
    return jnp.stack([-self.accuracy(genotypes), self.cost(genotypes)], axis=1)


def stand_in(config: AutobuildConfig, data: Data) -> StandIn:
  """Additive models of two columns, and how far they can be trusted."""
  labels = data.labels
  models: list[additive.Additive] = []
  agreements = []
  for name in (config.accuracy, config.cost):
    values = labels.columns[name]
    part = additive.fit(
      labels.space, labels.genotypes[data.train], values[data.train]
    )
    predicted = np.asarray(part(labels.genotypes[data.test]), np.float64)
    truth = values[data.test]
    agreements.append(
      ModelAgreement(
        spearman=correlations(predicted, truth)[1],
        error=float(np.median(np.abs(predicted - truth) / np.abs(truth))),
      )
    )
    models.append(additive.fit(labels.space, labels.genotypes, values))
  return StandIn(models[0], models[1], StandInAgreement(*agreements))


def expression(
  config: AutobuildConfig,
  data: Data,
  model_of_labels: StandIn,
  text: str,
  labels: np.ndarray,
  model: graph_fit.FittedGraph,
) -> tuple[LearnedExpression, list[np.ndarray]]:
  """All of a label expression, and the scores of all modules."""
  space = data.labels.space
  genotypes = data.labels.genotypes
  chains = jax.jit(encoding(space).encode)(jnp.asarray(genotypes[data.test]))
  evaluated = graph_fit.evaluate(model, chains)
  truth = labels[data.test]

  def spearman(predicted: Any) -> float:
    return correlations(np.asarray(predicted, np.float64), truth)[1]

  baseline = additive.fit(space, genotypes[data.train], labels[data.train])
  moments = modules.moments(
    model, space, genotypes[data.train], labels[data.train]
  )
  importance = modules.importance(model, space)
  resolution = _best_resolution(importance)
  scores = modules.scores(model, space, moments, resolution)
  joined = construction.best(space, [scores], config.top)
  fixed = {} if resolution is None else {"resolution": resolution}
  built = construction.constructed(joined, **fixed)
  row = LearnedExpression(
    expression=text,
    prediction=tuple(map(spearman, evaluated.prediction)),
    hops=tuple(tuple(map(spearman, seed)) for seed in evaluated.norms),
    ridge=spearman(baseline(genotypes[data.test])),
    constant=bool(np.ptp(labels[data.train]) == 0),
    unseen=tuple(
      UnseenLength(stage, length)
      for stage, length in modules.unseen(space, moments)
    ),
    importance=tuple(
      Importance(
        name, tuple(map(_word, values)), tuple(np.asarray(counts).tolist())
      )
      for name, values, counts in importance
    ),
    stages=_stages(space, scores),
    best=_whole(space, scores, resolution, 1),
    worst=_whole(space, scores, resolution, -1),
    constructed=_built(config, data, model_of_labels, built),
  )
  return row, scores


def training(
  config: AutobuildConfig, data: Data, model_of_labels: StandIn
) -> LabelledNetworks:
  """The labelled networks: some of them, and their front."""
  points = _labels(data, config)
  front = np.asarray(pareto_front(jnp.asarray(points)))
  drawn = np.linspace(0, len(points) - 1, min(SHOWN, len(points))).astype(int)
  reference = _reference(points)
  modelled = np.asarray(
    model_of_labels.objectives(jnp.asarray(data.labels.genotypes))
  )
  return LabelledNetworks(
    points=_public(points[drawn]),
    front=_public(points[front][np.argsort(points[front, 1])]),
    reference=_public(reference[None])[0],
    hypervolume=hypervolume(points, reference),
    hypervolume_of_stand_in=hypervolume(modelled, reference),
  )


def baselines(
  config: AutobuildConfig,
  data: Data,
  model_of_labels: StandIn,
  rows: Sequence[LearnedExpression],
) -> Baselines:
  """The largest network, and as many random ones as were put together."""
  space = data.labels.space
  largest = np.asarray(space.choices, np.int32)[None] - 1
  largest = np.asarray(space.canonical(jnp.asarray(largest)))
  count = max(len(row.constructed.points) for row in rows)
  random = np.asarray(space.sample(jax.random.key(config.seed + 2), count))
  return Baselines(
    largest=_built(config, data, model_of_labels, largest),
    random=_built(config, data, model_of_labels, random),
  )


def mean(values: Sequence[float | None]) -> float:
  """The mean of what is defined; NaN of nothing."""
  defined = [v for v in values if v is not None and v == v]
  return float(np.mean(defined)) if defined else float("nan")


def _built(
  config: AutobuildConfig,
  data: Data,
  model_of_labels: StandIn,
  genotypes: np.ndarray,
) -> BuiltNetworks:
  """Networks by the stand-in, beside the front of the labels."""

  def objectives(of: np.ndarray) -> np.ndarray:
    return np.asarray(model_of_labels.objectives(jnp.asarray(of)), np.float64)

  points, labels = objectives(genotypes), _labels(data, config)
  reference = _reference(labels)
  modelled = objectives(data.labels.genotypes)
  most_accurate = genotypes[np.argsort(points[:, 0])][:20]
  return BuiltNetworks(
    points=_public(points),
    genotypes=tuple(map(tuple, most_accurate.tolist())),
    hypervolume=hypervolume(points, reference),
    with_training=hypervolume(np.concatenate([points, labels]), reference),
    beyond=int(_beyond(points, labels).sum()),
    beyond_stand_in=int(_beyond(points, modelled).sum()),
  )


def _beyond(points: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Whether no other is as good in both and better in one, `bool[n]`."""
  no_worse = (others[None] <= points[:, None]).all(axis=2)
  better = (others[None] < points[:, None]).any(axis=2)
  dominated = np.any(no_worse & better, axis=1)
  return np.asarray(~dominated)


def _labels(data: Data, config: AutobuildConfig) -> np.ndarray:
  """-accuracy and cost of the labelled networks, `f64[n, 2]`."""
  columns = data.labels.columns
  return np.stack([-columns[config.accuracy], columns[config.cost]], axis=1)


def _reference(points: np.ndarray) -> np.ndarray:
  """The corner of hypervolumes: the worst label of either."""
  corner: np.ndarray = points.max(axis=0)
  return corner


def _public(points: np.ndarray) -> Points:
  """Accuracy and cost."""
  return tuple((-float(a), float(c)) for a, c in points)


def _best_resolution(importance: Sequence[tuple[Any, ...]]) -> int | None:
  """The choice whose number counts most at hop 0; None without one."""
  name, _, counts = importance[-1]
  return int(np.argmax(counts)) if name == "resolution" else None


def _stages(
  space: SearchSpace, scores: Sequence[np.ndarray]
) -> tuple[StageModules, ...]:
  """The best and worst modules of every stage."""
  rows = []
  for stage, of_stage in zip(modules.stages(space), scores, strict=True):
    order = np.argsort(-of_stage, kind="stable")
    best, worst = (
      tuple(
        Module(float(of_stage[i]), tuple(_layers(space, stage, i)))
        for i in places
      )
      for places in (order[:3], order[:-4:-1])
    )
    rows.append(StageModules(stage.name, len(of_stage), best, worst))
  return tuple(rows)


def _layers(space: SearchSpace, stage: modules.Stage, index: int) -> list[str]:
  """A module's layers in words."""
  genotype = modules.placed(
    space, stage.decisions, stage.modules[index : index + 1]
  )[0]
  chosen = {
    d.name: int(i) for d, i in zip(space.decisions, genotype, strict=True)
  }
  encoder = encoding(space)
  blocks = made_of_blocks(space.table).blocks
  texts = []
  for node in stage.blocks:
    block = fill(blocks[encoder.blocks[node]], chosen)
    if block.present:
      if KINDS[block.op].passes:
        texts.append(KINDS[block.op].label)
      else:
        marks = ["SE"] if block.squeeze_excite else []
        marks += [f"g{block.groups}"] if block.groups > 1 else []
        texts.append(
          " ".join([f"k{block.kernel} e{block.expansion:g}", *marks])
        )
  return texts


def _whole(
  space: SearchSpace,
  scores: Sequence[np.ndarray],
  resolution: int | None,
  sign: int,
) -> Architecture:
  """The network of the best (or worst) module of every stage."""
  start = np.zeros(len(space.decisions), np.int32)
  for i, decision in enumerate(space.decisions):
    if decision.name == "resolution" and resolution is not None:
      start[i] = resolution
  for stage, of_stage in zip(modules.stages(space), scores, strict=True):
    start[list(stage.decisions)] = stage.modules[np.argmax(sign * of_stage)]
  return space.architecture(start)


def _word(value: Any) -> str:
  return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
