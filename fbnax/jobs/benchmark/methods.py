"""The searches that the job `benchmark` compares, under one signature.

Each takes the job's config, a seed, the evaluator, the space and the genotypes
of the table, and gives what it evaluated, in order.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fbnax.search import nars
from fbnax.search.benchmarks import assisted, baselines, tables
from fbnax.search.benchmarks.baselines import Trajectory
from fbnax.search.evaluators import Evaluator
from fbnax.search.nars.planning import NarsSizes
from fbnax.search.trials import open_store
from fbnax.spaces import SearchSpace
from fbnax.training.progress import open_progress

Method = Callable[[Any, int, Evaluator, SearchSpace, np.ndarray], Trajectory]


def _nars(
  config: Any,
  seed: int,
  evaluate: Evaluator,
  space: SearchSpace,
  pool: np.ndarray,
) -> Trajectory:
  """Rounds of the search `nars`, on all rows of the table."""
  given = config.search
  options = NarsSizes(
    pool=max(len(pool), 100),
    rounds=1 + (config.evaluations - given.first) // given.candidates,
    candidates=given.candidates,
    epochs=config.epochs,
    correlation=1.0,
    macs=(0.0, np.inf),
    predictors=given.predictors,
    seed=seed,
    bins=given.bins,
    first=given.first,
    exploration=given.exploration,
    ranks=given.ranks,
  )
  # Memory alone: what has ended is kept by the job.
  with (
    open_store(":memory:") as store,
    open_progress(io.StringIO()) as progress,
  ):
    found = nars.search(
      space,
      config.num_classes,
      evaluate,
      store,
      options,
      progress,
      _untimed,
      pool=pool,
      check=False,
    )
  return Trajectory(
    np.asarray([t.genotype for t in found.trials], np.int32),
    np.asarray(
      [np.nan if t.accuracy is None else t.accuracy for t in found.trials]
    ),
  )


def _random(
  config: Any,
  seed: int,
  evaluate: Evaluator,
  space: SearchSpace,
  pool: np.ndarray,
) -> Trajectory:
  return baselines.random_search(
    seed, evaluate, pool, config.evaluations, config.epochs
  )


def _evolution(
  config: Any,
  seed: int,
  evaluate: Evaluator,
  space: SearchSpace,
  pool: np.ndarray,
) -> Trajectory:
  return baselines.regularized_evolution(
    seed,
    evaluate,
    space,
    pool,
    config.evaluations,
    config.epochs,
    population=config.evolution.population,
    sample=config.evolution.sample,
  )


def _naswot(samples: int) -> Method:
  """NASWOT that chooses among so many random genotypes."""

  def method(
    config: Any,
    seed: int,
    evaluate: Evaluator,
    space: SearchSpace,
    pool: np.ndarray,
  ) -> Trajectory:
    known, scores = _scored(config, pool)
    return assisted.naswot(
      seed,
      evaluate,
      known,
      scores,
      config.evaluations,
      config.epochs,
      samples=samples,
    )

  return method


def _area(moves: bool) -> Method:
  """AREA; with moves the score chooses among proposed children too."""

  def method(
    config: Any,
    seed: int,
    evaluate: Evaluator,
    space: SearchSpace,
    pool: np.ndarray,
  ) -> Trajectory:
    known, scores = _scored(config, pool)
    return assisted.area(
      seed,
      evaluate,
      space,
      known,
      scores,
      config.evaluations,
      config.epochs,
      samples=config.assisted.samples,
      population=config.evolution.population,
      sample=config.evolution.sample,
      moves=config.assisted.moves if moves else 1,
    )

  return method


def _scored(config: Any, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The genotypes that have the score, and it.

  Raises:
    ValueError: the table has no such score.
  """
  found = _scores(config.table, config.assisted.score)
  known = ~np.isnan(found)
  return pool[known], found[known]


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
