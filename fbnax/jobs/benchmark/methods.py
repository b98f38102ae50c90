"""The searches that the job `benchmark` compares, under one signature.

Each takes what all have in common and a seed, and gives what it evaluated, in
order.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fbnax.jobs.benchmark.config import BenchmarkConfig
from fbnax.search import nars
from fbnax.search.benchmarks import assisted, baselines, tables
from fbnax.search.benchmarks.baselines import Trajectory, best_measured
from fbnax.search.evaluators import Evaluator
from fbnax.search.nars import posterior
from fbnax.search.nars.planning import NarsSizes
from fbnax.search.trials import open_store
from fbnax.spaces import SearchSpace
from fbnax.training.progress import open_progress


class TableTask(NamedTuple):
  """What all searches have in common.

  Attributes:
    config: of the job.
    space: of the table.
    pool: the genotypes of the table, `i32[n, D]`.
    evaluate: of a seed, the evaluator that looks accuracies up; their noise is
      of the seed.
  """

  config: BenchmarkConfig
  space: SearchSpace
  pool: np.ndarray
  evaluate: Callable[[int], Evaluator]


Method = Callable[[TableTask, int], Trajectory]


def _nars(task: TableTask, seed: int) -> Trajectory:
  """Rounds of the search `nars`, on all rows of the table."""
  config, keys = task.config, task.config.search
  options = NarsSizes(
    pool=max(len(task.pool), 100),
    rounds=1 + (config.evaluations - keys.first) // keys.candidates,
    candidates=keys.candidates,
    epochs=config.epochs,
    correlation=1.0,
    macs=(0.0, np.inf),
    predictors=keys.predictors,
    seed=seed,
    bins=keys.bins,
    first=keys.first,
    exploration=keys.exploration,
    ranks=keys.ranks,
    learner=keys.learner,
  )
  # Memory alone: what has ended is kept by the job.
  with (
    open_store(":memory:") as store,
    open_progress(io.StringIO()) as progress,
  ):
    searched = nars.search(
      task.space,
      config.num_classes,
      task.evaluate(seed),
      store,
      options,
      progress,
      _untimed,
      pool=task.pool,
      check=False,
    )
  genotypes = np.asarray([t.genotype for t in searched.trials], np.int32)
  accuracies = np.asarray(
    [np.nan if t.accuracy is None else t.accuracy for t in searched.trials]
  )
  chosen = None
  if keys.choice == "posterior":
    chosen = _chosen(task, genotypes, accuracies)
  return Trajectory(genotypes, accuracies, chosen)


def _chosen(
  task: TableTask, genotypes: np.ndarray, accuracies: np.ndarray
) -> np.ndarray:
  """Which would be returned after each evaluation, `i64[n]`.

  After each round that of the largest posterior mean; within the first the best
  measurement.
  """
  keys = task.config.search
  places = best_measured(accuracies)
  ends = range(keys.first, len(places) + 1, keys.candidates)
  for end in ends:
    places[end - 1 : end - 1 + keys.candidates] = posterior.chosen(
      task.space, genotypes[:end], accuracies[:end], task.config.num_classes
    )
  return places


def _random(task: TableTask, seed: int) -> Trajectory:
  config = task.config
  return baselines.random_search(
    seed, task.evaluate(seed), task.pool, config.evaluations, config.epochs
  )


def _evolution(task: TableTask, seed: int) -> Trajectory:
  config = task.config
  return baselines.regularized_evolution(
    seed,
    task.evaluate(seed),
    task.space,
    task.pool,
    config.evaluations,
    config.epochs,
    population=config.evolution.population,
    sample=config.evolution.sample,
  )


def _naswot(samples: int) -> Method:
  """NASWOT that chooses among so many random genotypes."""

  def method(task: TableTask, seed: int) -> Trajectory:
    config, (genotypes, scores) = task.config, _scored(task)
    return assisted.naswot(
      seed,
      task.evaluate(seed),
      genotypes,
      scores,
      config.evaluations,
      config.epochs,
      samples=samples,
    )

  return method


def _area(moves: bool) -> Method:
  """AREA; with moves the score chooses among proposed children too."""

  def method(task: TableTask, seed: int) -> Trajectory:
    config, (genotypes, scores) = task.config, _scored(task)
    return assisted.area(
      seed,
      task.evaluate(seed),
      task.space,
      genotypes,
      scores,
      config.evaluations,
      config.epochs,
      samples=config.assisted.samples,
      population=config.evolution.population,
      sample=config.evolution.sample,
      moves=config.assisted.moves if moves else 1,
    )

  return method


def _scored(task: TableTask) -> tuple[np.ndarray, np.ndarray]:
  """The genotypes that have the score, and it.

  Raises:
    ValueError: the table has no such score.
  """
  scores = _scores(task.config.table, task.config.assisted.score)
  has_score = ~np.isnan(scores)
  return task.pool[has_score], scores[has_score]


# A benchmark asks for it with every seed.
_scores = functools.lru_cache(maxsize=2)(tables.scores)

METHODS: dict[str, Method] = {
  "nars": _nars,
  "evolution": _evolution,
  "random": _random,
  "naswot_10": _naswot(10),
  "naswot_100": _naswot(100),
  "naswot_1000": _naswot(1000),
  "area": _area(moves=False),
  "area_moves": _area(moves=True),
}
ASSISTED = tuple(n for n in METHODS if n.startswith(("naswot", "area")))


@contextlib.contextmanager
def _untimed(name: str) -> Iterator[None]:
  yield
