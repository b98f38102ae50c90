"""Candidates evolved per second: the FBNetV3 space, 16 budgets at once.

  python -m tests.benchmarks.evolution [result.json]

A candidate counts if it is a distinct genotype within its budget, with MACs,
parameters and a predicted score, by the paper's single predictor and by an
ensemble of four. The sizes are the paper's: 50 measured and 50 random ones, 24
children each, 40 survivors. 1,000 results of several keys are counted again
exactly. A wrong result fails; a slow one does not. Beside the rate by the clock
stands the rate per second of processor time, which on a shared machine says
more.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, spaces
from fbnax.search import Budget, evolve, predictor
from fbnax.search.pretraining import pretrain
from tests.benchmarks.predictor import accuracy

BUDGETS = 16
RUNS = 7
RECHECKED = 1000


def processor_time() -> float:
  """Seconds of all cores used by this process."""
  used = os.times()
  return used.user + used.system


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  space = spaces.get("fbnetv3")
  pool = space.sobol(20_000)
  pretrained, _ = pretrain(
    jax.random.key(0), space, pool, costs.batch(space, pool), epochs=10
  )
  labels = np.asarray(accuracy(space, pool[:240]))
  best_first = pool[np.argsort(-labels)]
  summary = {"recheck": RECHECKED, "cores": os.cpu_count(), "predictors": {}}
  for members in (1, 4):
    model = predictor.fit(
      jax.random.key(1), space, pretrained, pool[:240], labels, members=members
    )
    found = measure(space, predictor.scorer(model), best_first, members)
    summary["predictors"][members] = found
  if arguments:
    Path(arguments[0]).write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


def measure(space, predict, best_first, members) -> dict:
  """Runs, checks and prints evolution under one predictor."""
  highs = np.linspace(450e6, 1000e6, BUDGETS)
  budgets = Budget(macs=(0.9 * highs, highs))
  rows, results = [], []
  for run in range(RUNS + 1):
    clock, processor = time.perf_counter(), processor_time()
    result = evolve(
      jax.random.key(run), predict, space, budgets, first_best=best_first
    )
    jax.block_until_ready(result)
    seconds = time.perf_counter() - clock
    processor = processor_time() - processor
    candidates = int(result.evaluated.sum())
    rows.append(
      {
        "seconds": seconds,
        "processor_seconds": processor,
        "generations": int(result.generations.max()),
        "candidates": candidates,
        "per_second": candidates / seconds,
        "per_processor_second": candidates / processor,
        "mean_best_score": float(result.scores[:, 0].mean()),
      }
    )
    results.append(result)
  first, later = rows[0], rows[1:]
  check(space, predict, highs, results)
  print(f"predictors in the ensemble: {members}")
  print(
    f"{'run':>6} {'s':>7} {'generations':>11} {'candidates':>10} {'M/s':>6}"
  )
  for i, row in enumerate(rows):
    print(
      f"{i or 'first':>6} {row['seconds']:7.2f} {row['generations']:11} "
      f"{row['candidates']:10,} {row['per_second'] / 1e6:6.2f}"
    )
  medians = {
    name: statistics.median(row[name] for row in later)
    for name in ("per_second", "per_processor_second", "seconds")
  }
  print(
    f"median {medians['per_second'] / 1e6:.2f} M candidates/s by the clock, "
    f"{medians['per_processor_second'] / 1e6:.2f} M per processor second; "
    f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; the first call "
    f"took {first['seconds']:.1f} s"
  )
  return {"medians": medians, "runs": rows, "load": os.getloadavg()[0]}


def check(space, predict, highs, results) -> None:
  """Counts 1,000 survivors exactly, and scores them once more."""
  rng = np.random.default_rng(0)
  for result in results:
    for genotypes in np.asarray(result.genotypes):
      assert len(np.unique(genotypes, axis=0)) == len(genotypes)
  assert all(result.valid.all() for result in results)
  for _ in range(RECHECKED):
    run = rng.integers(len(results))
    i, j = rng.integers(BUDGETS), rng.integers(40)
    result = results[run]
    exact = costs.count(space.architecture(result.genotypes[i, j]))
    assert 0.9 * highs[i] <= exact.macs <= highs[i], (run, i, j, exact)
    np.testing.assert_allclose(result.costs.macs[i, j], exact.macs, rtol=1e-6)
    np.testing.assert_allclose(
      result.costs.params[i, j], exact.params, rtol=1e-6
    )
  flat = jnp.concatenate(
    [r.genotypes.reshape(-1, len(space.decisions)) for r in results]
  )
  scores = jnp.concatenate([r.scores.reshape(-1) for r in results])
  np.testing.assert_allclose(scores, predict(flat), rtol=1e-5)


if __name__ == "__main__":
  main(sys.argv[1:])
