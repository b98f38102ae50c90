"""Random search and regularized evolution on a made-up table."""

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.benchmarks import baselines
from fbnax.search.evaluators import Outcome
from fbnax.search.nars import planning

SPACE = spaces.get("nasbench201")
GRID = np.indices(SPACE.choices).reshape(6, -1).T.astype(np.int32)


def _evaluate(asked):
  """Counts the third operation; remembers what it was asked for."""

  def evaluate(candidates, epochs, progress, ended=()):
    for candidate in candidates:
      asked.append(candidate.genotype)
      share = sum(choice == 2 for choice in candidate.genotype) / 6
      yield [Outcome(candidate.id, (share,) * epochs, 0.0, 0.0, None)]

  return evaluate


def _searches(seed, asked):
  yield baselines.random_search(seed, _evaluate(asked), GRID, 60)
  yield baselines.regularized_evolution(
    seed, _evaluate(asked), SPACE, GRID, 60, population=10, sample=4
  )


def test_evaluate_each_genotype_once_and_nothing_else():
  asked = []
  for found in _searches(0, asked):
    assert found.genotypes.shape == (60, 6)
    assert len({tuple(g) for g in found.genotypes.tolist()}) == 60
    wanted = (found.genotypes == 2).mean(axis=1)
    np.testing.assert_allclose(found.accuracies, wanted)
    assert asked == [tuple(g) for g in found.genotypes.tolist()]
    asked.clear()


def test_seeds_decide():
  for left, right, other in zip(
    _searches(0, []), _searches(0, []), _searches(1, []), strict=True
  ):
    np.testing.assert_array_equal(left.genotypes, right.genotypes)
    assert (left.genotypes != other.genotypes).any()


def test_evolution_climbs_and_children_are_one_mutation_away():
  random, evolved = _searches(3, [])
  assert evolved.accuracies[-20:].mean() > random.accuracies.mean() + 0.15
  # The oldest die: a child's parent is among the ten before it.
  for i in range(10, 60):
    before = evolved.genotypes[:i]
    distance = (before != evolved.genotypes[i]).sum(axis=1)
    assert distance.min() <= 2


def test_stays_inside_a_part_of_the_space():
  part = GRID[(GRID != 4).all(axis=1)]
  found = baselines.regularized_evolution(
    0, _evaluate([]), SPACE, part, 60, population=10, sample=4
  )
  assert (found.genotypes != 4).all()


def test_a_sparse_part_of_the_space():
  """Hardly any child has a row: the nearest ones stand in, and it climbs."""
  random = np.random.default_rng(0)
  part = GRID[random.choice(len(GRID), 600, replace=False)]
  found = baselines.regularized_evolution(
    0, _evaluate([]), SPACE, part, 100, population=10, sample=5
  )
  rows = {tuple(g) for g in part.tolist()}
  assert {tuple(g) for g in found.genotypes.tolist()} <= rows
  shares = (part == 2).mean(axis=1)
  assert found.accuracies[-40:].mean() > shares.mean() + 0.1
  # Of a part that is evaluated to the end.
  everything = baselines.regularized_evolution(
    0, _evaluate([]), SPACE, part[:30], 30, population=10, sample=5
  )
  assert len({tuple(g) for g in everything.genotypes.tolist()}) == 30


def test_sizes_that_do_not_fit():
  with pytest.raises(ValueError, match="count is 7; legal: 1 to 5"):
    baselines.random_search(0, _evaluate([]), GRID[:5], 7)
  with pytest.raises(ValueError, match="sample=5, population=4"):
    baselines.regularized_evolution(
      0, _evaluate([]), SPACE, GRID, 60, population=4, sample=5
    )


def test_failed_candidates_are_no_parents():
  def evaluate(candidates, epochs, progress, ended=()):
    for candidate in candidates:
      bad = candidate.genotype[0] == 0
      yield [Outcome(candidate.id, (0.5,), 0.0, 0.0, "no" if bad else None)]

  found = baselines.regularized_evolution(
    0, evaluate, SPACE, GRID, 100, population=20, sample=20
  )
  failed = found.genotypes[:, 0] == 0
  np.testing.assert_array_equal(np.isnan(found.accuracies), failed)
  # All parents are good, so a child fails by a mutation of that one edge only.
  assert failed[20:].mean() < 0.15


def test_a_small_space_is_its_own_pool():
  options = planning.NarsSizes(
    pool=20_000,
    rounds=1,
    candidates=1,
    epochs=1,
    correlation=1.0,
    macs=(0.0, 1.0),
    predictors=1,
    seed=0,
  )
  pool = planning.candidate_pool(SPACE, options)
  np.testing.assert_array_equal(np.unique(pool, axis=0), GRID)
  assert jnp.asarray(pool).dtype == jnp.int32
