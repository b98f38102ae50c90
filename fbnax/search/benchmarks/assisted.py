"""Searches that a zero-cost score assists: NASWOT and AREA.

Both know a score of every genotype before anything is trained, and spend
evaluations as `baselines` does.

Reference: Mellor et al. 2021, "Neural Architecture Search without Training",
algorithms 1 and 2.

Symbols: `p` genotypes of the pool, `n` evaluations, `D` decisions.
"""

from __future__ import annotations

import numpy as np

from fbnax.search.benchmarks.baselines import (
  Trajectory,
  evaluated,
  regularized_evolution,
)
from fbnax.search.evaluators import Evaluator
from fbnax.spaces import SearchSpace


def naswot(
  seed: int,
  evaluate: Evaluator,
  pool: np.ndarray,
  scores: np.ndarray,
  count: int,
  epochs: int = 1,
  *,
  samples: int,
) -> Trajectory:
  """Evaluates the best-scored of random genotypes, again and again.

  The first evaluation is algorithm 1, which trains one network; those after it
  are of the best of as many others, so that it can be compared with searches
  that train more.

  Args:
    seed: of everything random.
    evaluate: the evaluator.
    pool: genotypes to choose from, `i32[p, D]`.
    scores: of each, larger is better, `f64[p]`.
    count: evaluations.
    epochs: of each.
    samples: random genotypes of which one is evaluated.

  Raises:
    ValueError: scores do not fit, or the pool is smaller than that.
  """
  _check(pool, scores)
  if not 1 <= count <= len(pool) or samples < 1:
    raise ValueError(
      f"count={count}, samples={samples}; legal: 1 to {len(pool)} "
      "evaluations, the pool, of at least 1 sample"
    )
  random = np.random.default_rng(seed)
  left = np.arange(len(pool))
  chosen = []
  for _ in range(count):
    drawn = random.choice(left, min(samples, len(left)), replace=False)
    best = drawn[np.argmax(scores[drawn])]
    chosen.append(best)
    left = left[left != best]
  return evaluated(evaluate, pool[chosen], epochs)


def area(
  seed: int,
  evaluate: Evaluator,
  space: SearchSpace,
  pool: np.ndarray,
  scores: np.ndarray,
  count: int,
  epochs: int = 1,
  *,
  samples: int,
  population: int = 20,
  sample: int = 5,
  moves: int = 1,
) -> Trajectory:
  """Regularized evolution whose first population scores assist.

  Args:
    seed: of everything random.
    evaluate: the evaluator.
    space: the space.
    pool: genotypes that the evaluator knows, `i32[p, D]`.
    scores: of each, larger is better, `f64[p]`.
    count: evaluations.
    epochs: of each.
    samples: random genotypes, of which the best-scored begin.
    population: how many of them.
    sample: of the population, in which parents compete.
    moves: children proposed for each parent, of which the best-scored is
      evaluated; 1 is algorithm 2.

  Raises:
    ValueError: scores do not fit, or sizes do not.
  """
  _check(pool, scores)
  if not population <= samples <= len(pool):
    raise ValueError(
      f"samples is {samples}; legal: {population} to {len(pool)}, from the "
      "population to the pool"
    )
  drawn = np.random.default_rng((seed, 1)).choice(
    len(pool), samples, replace=False
  )
  order = drawn[np.argsort(-scores[drawn], kind="stable")]
  score_of = dict(zip(map(tuple, pool.tolist()), scores.tolist(), strict=True))
  return regularized_evolution(
    seed,
    evaluate,
    space,
    pool,
    count,
    epochs,
    population=population,
    sample=sample,
    first=pool[order[:population]],
    moves=moves,
    score=score_of.__getitem__,
  )


def _check(pool: np.ndarray, scores: np.ndarray) -> None:
  if scores.shape != (len(pool),) or np.isnan(scores).any():
    raise ValueError(
      f"scores has shape {scores.shape} and {np.isnan(scores).sum()} NaNs; "
      f"legal: a number, or -inf, for each of {len(pool)} genotypes"
    )
