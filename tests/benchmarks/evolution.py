"""Candidates evolved per second: the FBNetV3 space, 16 budgets at once.

  python -m tests.benchmarks.evolution [--json=FILE] [--quick]

A candidate counts if it is a distinct genotype within its budget, with MACs,
parameters and a predicted score, by the paper's single predictor and by an
ensemble of four. The sizes are the paper's: 50 measured and 50 random ones, 24
children each, 40 survivors. 1,000 results of several keys are counted again
exactly; a wrong result fails.

The peer is pymoo's NSGA-II for score against MACs over the range of all
budgets, where pymoo is installed (extra `benchmarks`). It starts from the same
measured ones, and each of its generations is costed and scored by our compiled
programs in one call; of its two population sizes the faster is taken. The best
scores that either found within the budgets are beside the rates: of NSGA-II
among all that it has scored, in 200 generations.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, spaces
from fbnax.search import Budget, evolve
from fbnax.search.nars import predictor
from fbnax.search.nars.pretraining import pretrain
from fbnax.spaces import SearchSpace
from tests.benchmarks import measuring
from tests.benchmarks.predictor import accuracy

BUDGETS = 16
RUNS = 7
RECHECKED = 1000
GENERATIONS = 200  # Of the peer.


def run(given: Any) -> Iterator[measuring.Row]:
  """Evolution under both predictors."""
  space = spaces.get("fbnetv3")
  pool = space.sobol(2_000 if given.quick else 20_000)
  pretrained, _ = pretrain(
    jax.random.key(0), space, pool, costs.batch(space, pool), epochs=10
  )
  labels = np.asarray(accuracy(space, pool[:240]))
  best_first = np.asarray(pool[np.argsort(-labels)])
  highs = np.linspace(450e6, 1000e6, 2 if given.quick else BUDGETS)
  for members in (1,) if given.quick else (1, 4):
    model = predictor.fit(
      jax.random.key(1), space, pretrained, pool[:240], labels, members=members
    )
    predict = predictor.scorer(model)
    theirs = peer(space, predict, best_first, highs, given.quick)
    yield measure(
      space, predict, best_first, highs, members, theirs, given.quick
    )


def measure(
  space: SearchSpace,
  predict: Any,
  best_first: np.ndarray,
  highs: np.ndarray,
  members: int,
  theirs: tuple[float, float] | None,
  quick: bool,
) -> measuring.Row:
  """Runs and checks evolution under one predictor.

  Args:
    space: the space.
    predict: scores of genotypes.
    best_first: measured genotypes.
    highs: upper ends of the budgets, MACs.
    members: of the predictor.
    theirs: the peer's rate and mean best score, where it is installed.
    quick: fewer runs.
  """
  budgets = Budget(macs=(0.9 * highs, highs))
  results: list[Any] = []
  timing, _ = measuring.timed(
    lambda i: evolve(
      jax.random.key(i), predict, space, budgets, first_best=best_first
    ),
    2 if quick else RUNS,
    results.append,
  )
  check(space, predict, highs, results, 20 if quick else RECHECKED)
  counts = [int(r.evaluated.sum()) for r in results[1:]]
  rates = [n / s for n, s in zip(counts, timing.wall, strict=True)]
  per_cpu = [n / s for n, s in zip(counts, timing.cpu, strict=True)]
  best = statistics.median(float(r.scores[:, 0].mean()) for r in results)
  notes = f"first call {timing.first:.1f} s, mean best score {best:.2f}"
  rest: dict[str, Any] = {}
  if theirs is None:
    notes += "; pymoo is not installed"
  else:
    notes += f" (NSGA-II {theirs[1]:.2f})"
    rest = {"peer": "pymoo NSGA-II", "peer_value": theirs[0]}
  return measuring.Row(
    f"evolution, `fbnetv3`, {len(highs)} budgets, predictors: {members}",
    statistics.median(rates),
    "candidates/s",
    *np.quantile(rates, (0.25, 0.75)).tolist(),
    notes=notes,
    main=True,
    details=timing.summary()
    | {
      "per_processor_second": statistics.median(per_cpu),
      "generations": [int(r.generations.max()) for r in results],
      "candidates": counts,
      "mean_best_score": best,
    },
    **rest,
  )


def peer(
  space: SearchSpace,
  predict: Any,
  best_first: np.ndarray,
  highs: np.ndarray,
  quick: bool,
) -> tuple[float, float] | None:
  """NSGA-II's candidates per second and mean best score; None without pymoo."""
  try:
    from tests.benchmarks import evolution_pymoo
  except ImportError:
    return None
  found = [
    evolution_pymoo.search(
      space, predict, best_first, highs, size, 5 if quick else GENERATIONS
    )
    for size in ((40,) if quick else (100, 1000))
  ]
  return max(rate for rate, _ in found), max(best for _, best in found)


def check(
  space: SearchSpace, predict: Any, highs: np.ndarray, results: Any, count: int
) -> None:
  """Counts so many survivors exactly, and scores all once more."""
  rng = np.random.default_rng(0)
  for result in results:
    for genotypes in np.asarray(result.genotypes):
      assert len(np.unique(genotypes, axis=0)) == len(genotypes)
  assert all(result.valid.all() for result in results)
  for _ in range(count):
    run = rng.integers(len(results))
    i, j = rng.integers(len(highs)), rng.integers(40)
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
  measuring.main(run, __doc__)
