"""Job `benchmark`: searches compared on a table, with many seeds.

NARS, regularized evolution and random search evaluate the same number of
distinct genotypes through the same evaluator, which knows validation
accuracies. What a search has found after any number of evaluations is the test
accuracy of the genotype with the best validation accuracy so far; it is looked
up once all searches have ended.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fbnax import __version__, report
from fbnax.jobs.workdir import open_workdir
from fbnax.search import baselines, nars, tables
from fbnax.search.baselines import Trajectory
from fbnax.search.evaluators import Evaluator
from fbnax.search.planning import Options
from fbnax.search.trials import open_store
from fbnax.spaces import SearchSpace
from fbnax.training.files import to_json, write_atomically
from fbnax.training.progress import open_progress

SCHEMA_VERSION = 1

Method = Callable[[Any, int, Evaluator, SearchSpace, np.ndarray], Trajectory]


def run(config: Any, workdir: str) -> None:
  """Runs every method with every seed, or what is left of them."""
  _check(config)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    space = tables.space_of(config.table)
    pool = tables.genotypes(config.table)
    evaluate = tables.by_table(config.table)
    found: dict[str, list[Trajectory]] = {m: [] for m in config.methods}
    total = len(config.methods) * config.seeds
    folder = work.path / "searches"
    folder.mkdir(exist_ok=True)
    with (
      open_progress() as progress,
      work.phase("searches"),
      progress.phase("searches", total) as advance,
    ):
      for method in config.methods:
        for seed in range(config.seed, config.seed + config.seeds):
          file = folder / f"{method}-{seed}.json"
          trajectory = _read(file)
          if trajectory is None:
            trajectory = METHODS[method](config, seed, evaluate, space, pool)
            _write(file, trajectory)
          found[method].append(trajectory)
          advance(1, search=f"{method}, seed {seed}")
    with work.phase("test accuracies"):
      entries = [
        _entry(config, method, config.seed + i, trajectory)
        for method, trajectories in found.items()
        for i, trajectory in enumerate(trajectories)
      ]
      best = float(np.nanmax(tables.test_accuracy(config.table, pool)))
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "benchmark",
        "config": config.to_dict(),
        "space": {"name": space.name, "size": space.size, "rows": len(pool)},
        "best_test_accuracy": best,
        "searches": entries,
        "summary": summary(entries),
        "times": {"phases": work.times(), "total": sum(work.times().values())},
      }
    )
    page = report.write(work.path)
  for row in summary(entries):
    against = "".join(
      f", p = {p:.2g} against {other}" for other, p in row["p_values"].items()
    )
    print(
      f"{row['method']}: test accuracy {100 * row['mean']:.2f} "
      f"± {100 * row['deviation']:.2f}% ({row['seeds']} seeds){against}"
    )
  print(f"best in the table: {100 * best:.2f}%; report: {page}")


def summary(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Mean and deviation of each method's end, and how the methods compare.

  Args:
    entries: `searches` of `result.json`.

  Returns:
    For each method its mean, sample deviation, smallest and largest final test
    accuracy, and the two-sided p-values of Mann and Whitney's test against each
    other method, which does not assume a distribution.
  """
  from scipy import stats  # Slow to import.

  ends: dict[str, list[float]] = {}
  for entry in entries:
    ends.setdefault(entry["method"], []).append(entry["test_accuracy"])
  rows = []
  for method, values in ends.items():
    rows.append(
      {
        "method": method,
        "seeds": len(values),
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        "smallest": min(values),
        "largest": max(values),
        "p_values": {
          other: float(stats.mannwhitneyu(values, theirs).pvalue)
          for other, theirs in ends.items()
          if other != method
        },
      }
    )
  return rows


def _nars(
  config: Any,
  seed: int,
  evaluate: Evaluator,
  space: SearchSpace,
  pool: np.ndarray,
) -> Trajectory:
  """Rounds of the search of `fbnax.search.nars`, on all rows of the table."""
  given = config.search
  options = Options(
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


METHODS: dict[str, Method] = {
  "nars": _nars,
  "evolution": _evolution,
  "random": _random,
}


@contextlib.contextmanager
def _untimed(name: str) -> Iterator[None]:
  yield


def _check(config: Any) -> None:
  unknown = sorted(set(config.methods) - set(METHODS))
  if unknown or not config.methods:
    raise ValueError(
      f"config.methods has {unknown or None}; legal: {', '.join(METHODS)}"
    )
  for key in ("seeds", "evaluations", "epochs"):
    if config[key] < 1:
      raise ValueError(f"config.{key} is {config[key]!r}; legal: at least 1")
  later = config.evaluations - config.search.first
  if config.search.first < 2 or later < 0 or later % config.search.candidates:
    raise ValueError(
      f"config.evaluations is {config.evaluations!r}, search.first "
      f"{config.search.first!r} and search.candidates "
      f"{config.search.candidates!r}; legal: a first round of at least 2, and "
      "whole rounds after it"
    )


def _entry(
  config: Any, method: str, seed: int, trajectory: Trajectory
) -> dict[str, Any]:
  """A search in `result.json`; with what it had found at every evaluation."""
  accuracies = np.where(
    np.isnan(trajectory.accuracies), -np.inf, trajectory.accuracies
  )
  leads = np.maximum.accumulate(accuracies)
  best = np.asarray([int(np.flatnonzero(accuracies == b)[0]) for b in leads])
  wanted, inverse = np.unique(best, return_inverse=True)
  tested = tables.test_accuracy(config.table, trajectory.genotypes[wanted])
  return {
    "method": method,
    "seed": seed,
    "evaluations": len(accuracies),
    "genotype": trajectory.genotypes[best[-1]].tolist(),
    "validation_accuracy": float(leads[-1]),
    "test_accuracy": float(tested[inverse[-1]]),
    "test_curve": tested[inverse].tolist(),
  }


def _write(file: Path, trajectory: Trajectory) -> None:
  write_atomically(
    file,
    to_json(
      {
        "genotypes": trajectory.genotypes.tolist(),
        "accuracies": trajectory.accuracies.tolist(),
      }
    ),
  )


def _read(file: Path) -> Trajectory | None:
  try:
    content = json.loads(file.read_text("utf-8"))
  except FileNotFoundError:
    return None
  accuracies = [np.nan if a is None else a for a in content["accuracies"]]
  return Trajectory(
    np.asarray(content["genotypes"], np.int32),
    np.asarray(accuracies, np.float64),
  )
