"""Who survives, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.costs import Costs
from fbnax.search.evolution.survival import Population, repeats, survive
from fbnax.search.evolution.variation import Candidates


def population(genes, scores, violation=None):
  genotypes = jnp.asarray(genes, jnp.int32)[:, None]
  scores = jnp.asarray(scores, jnp.float32)
  zeros = jnp.zeros(len(genes))
  outside = zeros if violation is None else jnp.asarray(violation)
  return Population(Candidates(genotypes, Costs(zeros, zeros), outside), scores)


@pytest.mark.parametrize("apart", [False, True])
def test_the_best_of_all_or_of_each_family(apart):
  rng = np.random.default_rng(0)
  scores = rng.normal(size=5 + 5 * 7)
  genes = rng.permutation(40)
  old = population(genes[:5], scores[:5])
  new = population(genes[5:], scores[5:])
  kept, counted = jax.jit(survive, static_argnums=3)(
    old, new, jnp.asarray(apart), 5
  )
  families = [
    [i, *range(5 + 7 * i, 5 + 7 * (i + 1))] if apart else range(40)
    for i in range(5)
  ]
  if apart:
    best = [max(family, key=lambda i: scores[i]) for family in families]
  else:
    best = np.argsort(-scores)[:5].tolist()
  best.sort(key=lambda i: -scores[i])
  assert kept.candidates.genotypes[:, 0].tolist() == genes[best].tolist()
  np.testing.assert_allclose(kept.scores, scores[best], rtol=1e-6)
  assert counted == 35


def test_invalid_ones_by_distance_and_repeats_never():
  old = population([1, 2], [1.0, -jnp.inf], [0.0, 0.5])
  new = population(
    [1, 3, 4, 3], [1.0, -jnp.inf, 2.0, -jnp.inf], [0.0, 0.1, 0.0, 0.1]
  )
  kept, counted = survive(old, new, jnp.asarray(False), 4)
  assert kept.candidates.genotypes[:, 0].tolist() == [4, 1, 3, 2]
  assert kept.scores.tolist() == [2.0, 1.0, -jnp.inf, -jnp.inf]
  # Of four children one is valid, new and scored.
  assert counted == 1


def test_repeats():
  rows = np.random.default_rng(0).integers(0, 2, (1000, 8))
  found = np.asarray(repeats(jnp.asarray(rows, jnp.int32)))
  seen, wanted = set(), []
  for row in map(tuple, rows.tolist()):
    wanted.append(row in seen)
    seen.add(row)
  assert found.tolist() == wanted
  distinct = jnp.arange(4096, dtype=jnp.int32)[:, None] // jnp.asarray([64, 1])
  lost = int(repeats(distinct % 64).sum())
  assert lost < 41  # A hash in common costs a candidate, seldom.
