"""Job `benchmark`: searches compared on a table, with many seeds.

NARS, regularized evolution and random search evaluate the same number of
distinct genotypes through the same evaluator, which knows validation
accuracies, with noise where that is asked for. What a search has found after
any number of evaluations is the test accuracy of the genotype that it would
return: the one with the best validation accuracy so far, or that of NARS's
posterior. It is looked up once all searches have ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fbnax.jobs.benchmark.config import BenchmarkConfig
from fbnax.jobs.benchmark.methods import ASSISTED, METHODS, TableTask
from fbnax.jobs.benchmark.result import BenchmarkResult
from fbnax.jobs.runtime import comparing
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.report.schema import Rows
from fbnax.report.searches import MethodSummary, SearchEnd, Spread
from fbnax.search.benchmarks import tables
from fbnax.search.benchmarks.baselines import Trajectory, best_measured
from fbnax.search.evaluators import Candidate, Evaluator
from fbnax.training.progress import Progress


def prepare(config: BenchmarkConfig) -> None:
  """Raises a ValueError where keys do not fit each other."""
  methods = config.methods
  unknown = sorted(set(methods) - set(METHODS))
  if unknown or not methods:
    raise ValueError(
      f"config.methods has {unknown or None}; legal: {', '.join(METHODS)}"
    )
  if len(set(methods)) < len(methods):
    raise ValueError(f"config.methods is {methods!r}; legal: each once")
  search = config.search
  later = config.evaluations - search.first
  if search.first < 2 or later < 0 or later % search.candidates:
    raise ValueError(
      f"config.evaluations is {config.evaluations!r}, search.first "
      f"{search.first!r} and search.candidates "
      f"{search.candidates!r}; legal: a first round of at least 2, and "
      "whole rounds after it"
    )
  evolution = config.evolution
  evolves = {"evolution", "area", "area_moves"} & set(methods)
  if evolves and not (
    1 <= evolution.sample <= evolution.population <= config.evaluations
  ):
    raise ValueError(
      f"config.evolution has sample={evolution.sample!r} and population="
      f"{evolution.population!r}; legal: 1 <= sample <= population <= "
      f"evaluations, which is {config.evaluations!r}"
    )


def run(
  config: BenchmarkConfig, work: WorkDir, progress: Progress
) -> BenchmarkResult:
  """Runs every method with every seed, or what is left of them."""
  space = tables.space_of(config.table)
  pool = tables.genotypes(config.table)
  look_up = tables.by_table(config.table)

  def evaluator(seed: int) -> Evaluator:
    if not config.noise:
      return look_up
    return tables.noisy(look_up, config.noise, seed)

  task = TableTask(config, space, pool, evaluator)
  _check_table(task)
  with work.phase("searches"):
    trajectories = _searches(task, work, progress)
  with work.phase("test accuracies"):
    accuracies = tables.test_accuracy(config.table, pool)
    by_genotype = dict(zip(map(tuple, pool.tolist()), accuracies, strict=True))
    searches = tuple(
      _end(by_genotype, *place, trajectory)
      for place, trajectory in trajectories.items()
    )
  return BenchmarkResult(
    space=Rows(space.name, space.size, len(pool)),
    best_test_accuracy=float(np.nanmax(accuracies)),
    searches=searches,
    summary=comparing.summary(searches),
  )


def lines(result: BenchmarkResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for row in result.summary:
    against = "".join(
      f", p = {p:.2g} against {other}" for other, p in row.p_values.items()
    )
    assert row.first is not None
    yield (
      f"{row.method}: test accuracy {_percent(row)} ({row.seeds} seeds); after "
      f"one evaluation {_percent(row.first)}{against}"
    )
  yield f"best in the table: {100 * (result.best_test_accuracy or 0):.2f}%"


def _percent(row: MethodSummary | Spread) -> str:
  assert row.mean is not None and row.deviation is not None
  return f"{100 * row.mean:.2f} ± {100 * row.deviation:.2f}%"


def _check_table(task: TableTask) -> None:
  """What only the table can tell, before any search and not after some."""
  config, pool = task.config, task.pool
  if any(method in ASSISTED for method in config.methods):
    keys = config.assisted
    most = np.isfinite(tables.scores(config.table, keys.score)).sum()
    least = max(config.evaluations, config.evolution.population)
    if not least <= keys.samples <= most or keys.moves < 1:
      raise ValueError(
        f"config.assisted has samples={keys.samples!r} and moves="
        f"{keys.moves!r}; legal: {least} to {most} samples, the rows with "
        "the score, and at least 1 move"
      )
  if config.evaluations > len(pool):
    raise ValueError(
      f"config.evaluations is {config.evaluations!r}; legal: up to "
      f"{len(pool)}, the rows of {config.table}"
    )
  [[outcome]] = task.evaluate(config.seed)(
    [Candidate(0, tuple(pool[0].tolist()), 0)], config.epochs, lambda _: None
  )
  if len(outcome.curve) < config.epochs:
    raise ValueError(
      f"config.epochs is {config.epochs!r}; legal: up to "
      f"{len(outcome.curve)}, the epochs of {config.table}"
    )


def _searches(
  task: TableTask, work: WorkDir, progress: Progress
) -> dict[tuple[str, int], Trajectory]:
  """All searches by method and seed, each kept as it ends."""
  first = task.config.seed
  places = [
    (method, seed)
    for method in task.config.methods
    for seed in range(first, first + task.config.seeds)
  ]
  trajectories = {}
  with progress.phase("searches", len(places)) as advance:
    for method, seed in places:
      trajectories[method, seed] = _search(task, work, method, seed)
      advance(1, search=f"{method}, seed {seed}")
  return trajectories


def _search(
  task: TableTask, work: WorkDir, method: str, seed: int
) -> Trajectory:
  record = work.kept(
    f"searches/{method}-{seed}.json",
    lambda: METHODS[method](task, seed)._asdict(),
  )
  return Trajectory(
    np.asarray(record["genotypes"], np.int32),
    # A record has null for what failed; here it is NaN.
    np.asarray(record["accuracies"], np.float64),
    None if record.get("chosen") is None else np.asarray(record["chosen"]),
  )


def _end(
  by_genotype: Mapping[tuple[int, ...], float],
  method: str,
  seed: int,
  trajectory: Trajectory,
) -> SearchEnd:
  """A search with what it had found at every evaluation."""
  chosen = trajectory.chosen
  if chosen is None:
    chosen = best_measured(trajectory.accuracies)
  returned = trajectory.genotypes[chosen]
  curve = [by_genotype[tuple(genotype)] for genotype in returned.tolist()]
  return SearchEnd(
    method=method,
    seed=seed,
    evaluations=len(chosen),
    genotype=tuple(returned[-1].tolist()),
    validation_accuracy=float(trajectory.accuracies[chosen[-1]]),
    test_accuracy=float(curve[-1]),
    test_curve=tuple(float(accuracy) for accuracy in curve),
  )
