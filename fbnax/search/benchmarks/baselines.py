"""Searches to compare with: random search and regularized evolution.

Both spend a number of evaluations of distinct genotypes on the same evaluator
that NARS uses, and know nothing but what it yields.

References: random search: Li and Talwalkar, 2019. Regularized (aging)
evolution: Real et al., "Regularized Evolution for Image Classifier Architecture
Search", 2019.

Symbols: `n` evaluations, `D` decisions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.search.evaluators import Candidate, Evaluator
from fbnax.spaces import SearchSpace


class Trajectory(NamedTuple):
  """What a search evaluated, in order.

  Attributes:
    genotypes: all distinct, `i32[n, D]`.
    accuracies: validation accuracy at the last epoch, NaN where it failed,
      `f64[n]`.
    chosen: which the search would return after each evaluation, `i64[n]`; None
      for the best that it measured.
  """

  genotypes: np.ndarray
  accuracies: np.ndarray
  chosen: np.ndarray | None = None


def best_measured(accuracies: np.ndarray) -> np.ndarray:
  """The place of the best of the first 1, 2, … accuracies, `i64[n]`.

  Args:
    accuracies: `f64[n]`, NaN where one failed, which is below all.
  """
  known = np.where(np.isnan(accuracies), -np.inf, accuracies)
  leads = np.maximum.accumulate(known)
  return np.asarray([int(np.flatnonzero(known == lead)[0]) for lead in leads])


def random_search(
  seed: int,
  evaluate: Evaluator,
  pool: np.ndarray,
  count: int,
  epochs: int = 1,
) -> Trajectory:
  """Evaluates `count` genotypes of a pool `i32[p, D]`, drawn without return.

  Raises:
    ValueError: the pool is smaller than that.
  """
  if not 1 <= count <= len(pool):
    raise ValueError(f"count is {count}; legal: 1 to {len(pool)}, the pool")
  rows = np.random.default_rng(seed).choice(len(pool), count, replace=False)
  return evaluated(evaluate, pool[rows], epochs)


def evaluated(
  evaluate: Evaluator, genotypes: np.ndarray, epochs: int = 1
) -> Trajectory:
  """Evaluates given genotypes `i32[n, D]` in order."""
  return Trajectory(
    genotypes, np.asarray([_accuracy(evaluate, g, epochs) for g in genotypes])
  )


def regularized_evolution(
  seed: int,
  evaluate: Evaluator,
  space: SearchSpace,
  pool: np.ndarray,
  count: int,
  epochs: int = 1,
  *,
  population: int = 20,
  sample: int = 5,
  first: np.ndarray | None = None,
  moves: int = 1,
  score: Callable[[tuple[int, ...]], float] | None = None,
) -> Trajectory:
  """The best of a random sample gets a mutated child, the oldest dies.

  A child differs from its parent in one decision. One that was evaluated
  before is mutated on, so that every evaluation is of a new genotype; for one
  that is not in the pool the nearest one left there stands in.

  Args:
    seed: of everything random.
    evaluate: the evaluator.
    space: the space.
    pool: genotypes that the evaluator knows, `i32[p, D]`; all of the space,
      or part of it.
    count: evaluations.
    epochs: of each.
    population: the first ones are random.
    sample: of the population, in which parents compete.
    first: the first population instead, `i32[population, D]`.
    moves: children that are proposed.
    score: of a genotype of the pool, before it is evaluated; of the proposed
      children the one of the largest score is evaluated.

  Raises:
    ValueError: sizes that do not fit.
  """
  if not 1 <= sample <= population <= count <= len(pool):
    raise ValueError(
      f"sample={sample}, population={population}, count={count}, "
      f"pool={len(pool)}; legal: 1 <= sample <= population <= count <= pool"
    )
  random = np.random.default_rng(seed)
  in_pool = {tuple(g) for g in pool.tolist()}
  if moves < 1 or (moves > 1 and score is None):
    raise ValueError(f"moves={moves}; legal: 1, or with a score at least 1")
  if first is None:
    first = pool[random.choice(len(pool), population, replace=False)]
  elif len(first) != population:
    raise ValueError(
      f"first has {len(first)} genotypes; legal: {population}, the population"
    )
  history = [(tuple(g), _accuracy(evaluate, g, epochs)) for g in first.tolist()]
  alive = deque(history)
  seen = {genotype for genotype, _ in history}
  free = [i for i, choices in enumerate(space.choices) if choices > 1]
  while len(history) < count:
    chosen = random.choice(len(alive), sample, replace=False)
    parent = max((alive[i] for i in chosen), key=lambda m: _rank(m[1]))[0]
    proposed = [
      _child(random, space, parent, free, in_pool, pool, seen)
      for _ in range(moves)
    ]
    child = proposed[0] if score is None else max(proposed, key=score)
    seen.add(child)
    history.append((child, _accuracy(evaluate, child, epochs)))
    alive.append(history[-1])
    alive.popleft()
  return Trajectory(
    np.asarray([g for g, _ in history], np.int32),
    np.asarray([a for _, a in history]),
  )


def _child(
  random: np.random.Generator,
  space: SearchSpace,
  parent: tuple[int, ...],
  free: list[int],
  in_pool: set[tuple[int, ...]],
  pool: np.ndarray,
  seen: set[tuple[int, ...]],
) -> tuple[int, ...]:
  """A genotype of the pool, not seen, some mutations from its parent."""
  child = parent
  while child in seen:
    child = _mutated(random, space, child, free)
    if child not in in_pool:
      child = _nearest(random, child, pool, seen)
  return child


def _mutated(
  random: np.random.Generator,
  space: SearchSpace,
  genotype: tuple[int, ...],
  free: list[int],
) -> tuple[int, ...]:
  """Another choice for one decision, canonical again."""
  position = random.choice(free)
  others = np.delete(np.arange(space.choices[position]), genotype[position])
  child = np.asarray(genotype, np.int32)
  child[position] = random.choice(others)
  return tuple(
    np.asarray(space.canonical(jnp.asarray(child)[None]))[0].tolist()
  )


def _nearest(
  random: np.random.Generator,
  genotype: tuple[int, ...],
  pool: np.ndarray,
  seen: set[tuple[int, ...]],
) -> tuple[int, ...]:
  """A genotype of the pool, not seen, that differs in fewest decisions."""
  distances = (pool != np.asarray(genotype)).sum(axis=1)
  # Few are seen, so as many and one more of the nearest hold one that is not.
  order = np.lexsort((random.random(len(pool)), distances))[: len(seen) + 1]
  candidates = (tuple(g) for g in pool[order].tolist())
  return next(g for g in candidates if g not in seen)


def _accuracy(evaluate: Evaluator, genotype: object, epochs: int) -> float:
  candidate = Candidate(0, tuple(np.asarray(genotype).tolist()), 0)
  [[outcome]] = list(evaluate([candidate], epochs, lambda _: None))
  return float("nan") if outcome.error else outcome.curve[-1]


def _rank(accuracy: float) -> float:
  return -1.0 if np.isnan(accuracy) else accuracy
