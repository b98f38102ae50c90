"""NSGA-II of pymoo on a space under a predictor: the peer of `evolution`.

Needs the extra `benchmarks`.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize

from fbnax import costs
from fbnax.spaces import SearchSpace


class ScoreAndMacs(Problem):
  """Minus the score, and the MACs, of which a range is legal."""

  def __init__(
    self, space: SearchSpace, predict: Any, low: float, high: float, size: int
  ) -> None:
    """Of a space and a range of MACs.

    Args:
      space: the space.
      predict: scores of genotypes.
      low: least MACs.
      high: most MACs.
      size: genotypes that are scored at once; fewer are padded, so that one
        program scores all.
    """
    super().__init__(
      n_var=len(space.decisions),
      n_obj=2,
      n_ieq_constr=2,
      xl=np.zeros(len(space.choices), int),
      xu=np.asarray(space.choices) - 1,
      vtype=int,
    )
    self.score = jax.jit(lambda g: (predict(g), costs.batch(space, g).macs))
    self.low, self.high, self.size = low, high, size
    self.seen: list[tuple[np.ndarray, np.ndarray]] = []

  def _evaluate(self, x: np.ndarray, out: dict[str, Any], *_: Any, **__: Any):
    padded = np.zeros((self.size, x.shape[1]), np.int32)
    padded[: len(x)] = x
    score, macs = (
      np.asarray(v)[: len(x)] for v in self.score(jnp.asarray(padded))
    )
    self.seen.append((score, macs))
    out["F"] = np.stack([-score, macs / self.high], axis=1)
    out["G"] = np.stack([self.low - macs, macs - self.high], axis=1) / self.high


def search(
  space: SearchSpace,
  predict: Any,
  best_first: np.ndarray,
  highs: np.ndarray,
  size: int,
  generations: int,
) -> tuple[float, float]:
  """Candidates per second, and the mean of the best scores in the budgets.

  Args:
    space: the space.
    predict: scores of genotypes.
    best_first: measured genotypes; half of the first generation at most.
    highs: budgets reach from 0.9 of each to it, MACs.
    size: of the population and of its offspring.
    generations: how many.
  """
  problem = ScoreAndMacs(space, predict, 0.9 * highs[0], highs[-1], size)
  first = best_first[: size // 2]
  others = space.sample(jax.random.key(2), size - len(first))
  sampling = np.concatenate([first, np.asarray(others)])
  problem.score(jnp.asarray(sampling, jnp.int32))  # Compiles it.
  algorithm = NSGA2(
    pop_size=size,
    sampling=sampling,
    crossover=UniformCrossover(),
    mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    eliminate_duplicates=True,
  )
  start = time.perf_counter()
  minimize(problem, algorithm, ("n_gen", generations), seed=1, verbose=False)
  seconds = time.perf_counter() - start
  scores, macs = (
    np.concatenate(part) for part in zip(*problem.seen, strict=True)
  )
  best = [
    scores[(0.9 * high <= macs) & (macs <= high)].max(initial=-np.inf)
    for high in highs
  ]
  legal = (problem.low <= macs) & (macs <= problem.high)
  return float(legal.sum()) / seconds, float(np.mean(best))
