"""Job `benchmark`: searches compared on a table, with many seeds.

NARS, regularized evolution and random search evaluate the same number of
distinct genotypes through the same evaluator, which knows validation
accuracies. What a search has found after any number of evaluations is the test
accuracy of the genotype with the best validation accuracy so far; it is looked
up once all searches have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fbnax import __version__, report
from fbnax.base import records
from fbnax.jobs.benchmark.methods import ASSISTED, METHODS
from fbnax.jobs.runtime.workdir import open_workdir
from fbnax.search.benchmarks import tables
from fbnax.search.benchmarks.baselines import Trajectory
from fbnax.search.evaluators import Candidate, Evaluator
from fbnax.training.progress import open_progress

SCHEMA_VERSION = 1


def run(config: Any, workdir: str) -> None:
  """Runs every method with every seed, or what is left of them."""
  _check(config)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    space = tables.space_of(config.table)
    pool = tables.genotypes(config.table)
    evaluate = tables.by_table(config.table)
    _check_table(config, evaluate, pool)
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
      tested = tables.test_accuracy(config.table, pool)
      by_genotype = dict(zip(map(tuple, pool.tolist()), tested, strict=True))
      entries = [
        _entry(by_genotype, method, config.seed + i, trajectory)
        for method, trajectories in found.items()
        for i, trajectory in enumerate(trajectories)
      ]
      best = float(np.nanmax(tested))
    compared = summary(entries)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "benchmark",
        "config": config.to_dict(),
        "space": {"name": space.name, "size": space.size, "rows": len(pool)},
        "best_test_accuracy": best,
        "searches": entries,
        "summary": compared,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for row in compared:
    against = "".join(
      f", p = {p:.2g} against {other}" for other, p in row["p_values"].items()
    )
    print(
      f"{row['method']}: test accuracy {100 * row['mean']:.2f} "
      f"± {100 * row['deviation']:.2f}% ({row['seeds']} seeds); after one "
      f"evaluation {100 * row['first']['mean']:.2f} "
      f"± {100 * row['first']['deviation']:.2f}%{against}"
    )
  print(f"best in the table: {100 * best:.2f}%; report: {page}")


def summary(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Mean and deviation of each method's end, and how the methods compare.

  Args:
    entries: `searches` of `result.json`.

  Returns:
    For each method its mean, sample deviation, smallest and largest final test
    accuracy, mean and deviation after the `first` evaluation, and the two-sided
    p-values of Mann and Whitney's test against each other method, which does
    not assume a distribution.
  """
  from scipy import stats  # Slow to import.

  ends: dict[str, list[float]] = {}
  firsts: dict[str, list[float]] = {}
  for entry in entries:
    ends.setdefault(entry["method"], []).append(entry["test_accuracy"])
    if curve := entry.get("test_curve"):
      firsts.setdefault(entry["method"], []).append(curve[0])
  rows = []
  for method, values in ends.items():
    rows.append(
      {
        "method": method,
        "seeds": len(values),
        **_spread(values),
        "smallest": min(values),
        "largest": max(values),
        "first": _spread(firsts[method]) if method in firsts else None,
        "p_values": {
          other: float(stats.mannwhitneyu(values, theirs).pvalue)
          for other, theirs in ends.items()
          if other != method
        },
      }
    )
  return rows


def _spread(values: list[float]) -> dict[str, float]:
  deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
  return {"mean": float(np.mean(values)), "deviation": deviation}


def _check(config: Any) -> None:
  unknown = sorted(set(config.methods) - set(METHODS))
  if unknown or not config.methods:
    raise ValueError(
      f"config.methods has {unknown or None}; legal: {', '.join(METHODS)}"
    )
  if len(set(config.methods)) < len(config.methods):
    raise ValueError(
      f"config.methods is {tuple(config.methods)!r}; legal: each once"
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
  given = config.evolution
  evolves = {"evolution", "area", "area_moves"} & set(config.methods)
  if evolves and not (
    1 <= given.sample <= given.population <= config.evaluations
  ):
    raise ValueError(
      f"config.evolution has sample={given.sample!r} and population="
      f"{given.population!r}; legal: 1 <= sample <= population <= evaluations, "
      f"which is {config.evaluations!r}"
    )


def _check_table(config: Any, evaluate: Evaluator, pool: np.ndarray) -> None:
  """What only the table can tell, before any search and not after some."""
  assisted = [m for m in config.methods if m in ASSISTED]
  if assisted:
    given = config.assisted
    known = np.isfinite(tables.scores(config.table, given.score)).sum()
    least = max(config.evaluations, config.evolution.population)
    if not least <= given.samples <= known or given.moves < 1:
      raise ValueError(
        f"config.assisted has samples={given.samples!r} and moves="
        f"{given.moves!r}; legal: {least} to {known} samples, the rows with "
        "the score, and at least 1 move"
      )
  if config.evaluations > len(pool):
    raise ValueError(
      f"config.evaluations is {config.evaluations!r}; legal: up to "
      f"{len(pool)}, the rows of {config.table}"
    )
  [[outcome]] = evaluate(
    [Candidate(0, tuple(pool[0].tolist()), 0)], config.epochs, lambda _: None
  )
  if len(outcome.curve) < config.epochs:
    raise ValueError(
      f"config.epochs is {config.epochs!r}; legal: up to "
      f"{len(outcome.curve)}, the epochs of {config.table}"
    )


def _entry(
  by_genotype: Mapping[tuple[int, ...], float],
  method: str,
  seed: int,
  trajectory: Trajectory,
) -> dict[str, Any]:
  """A search in `result.json`; with what it had found at every evaluation."""
  accuracies = np.where(
    np.isnan(trajectory.accuracies), -np.inf, trajectory.accuracies
  )
  leads = np.maximum.accumulate(accuracies)
  best = np.asarray([int(np.flatnonzero(accuracies == b)[0]) for b in leads])
  curve = [by_genotype[tuple(trajectory.genotypes[i].tolist())] for i in best]
  return {
    "method": method,
    "seed": seed,
    "evaluations": len(accuracies),
    "genotype": trajectory.genotypes[best[-1]].tolist(),
    "validation_accuracy": float(leads[-1]),
    "test_accuracy": float(curve[-1]),
    "test_curve": [float(accuracy) for accuracy in curve],
  }


def _write(file: Path, trajectory: Trajectory) -> None:
  records.write(file, trajectory._asdict())


def _read(file: Path) -> Trajectory | None:
  content = records.read(file)
  if content is None:
    return None
  accuracies = [np.nan if a is None else a for a in content["accuracies"]]
  return Trajectory(
    np.asarray(content["genotypes"], np.int32),
    np.asarray(accuracies, np.float64),
  )
