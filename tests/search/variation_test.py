"""Children: adaptive probabilities, steps, budgets."""

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, spaces
from fbnax.costs.table import Context
from fbnax.search import Budget, Rates, budgets
from fbnax.search.evolution.variation import Candidates, breed, disruption

SPACE = spaces.get("small")


def parents(budget, count=40):
  pool = SPACE.sample(jax.random.key(5), 4000)
  found = costs.batch(SPACE, pool, 10)
  outside = budgets.violation(budget, found)
  return Candidates(pool, found, outside).take(
    jnp.argsort(outside, stable=True)[:count]
  )


def bred(budget, rates, fitness=None, count=40):
  old = jax.tree.map(lambda leaf: leaf[None], parents(budget, count))
  fitness = jnp.zeros((1, count)) if fitness is None else fitness[None]
  batch = jax.tree.map(lambda v: jnp.asarray(v)[None], budget)
  make = jax.jit(
    lambda key, batch, old, fitness: breed(
      key,
      SPACE,
      batch,
      old,
      fitness,
      children=24,
      context=Context(10),
      rates=rates,
    )
  )
  children = make(jax.random.key(0), batch, old, fitness)
  return old, jax.tree.map(lambda leaf: leaf[0], children)


def test_disruption_is_that_of_srinivas_and_patnaik():
  fitness = jnp.asarray([5.0, 4.0, 3.0, 1.0, 100.0])
  valid = jnp.asarray([True, True, True, True, False])
  # The best is 5 and the average 3.25: 0, 1 / 1.75, then 1 under the average.
  wanted = [0.0, 1 / 1.75, 1.0, 1.0, 1.0]
  np.testing.assert_allclose(disruption(fitness, valid), wanted, rtol=1e-6)
  assert disruption(jnp.full(4, 0.1), valid[:4]).tolist() == [1.0] * 4
  assert disruption(jnp.full(2, -jnp.inf), valid[3:] < 0).tolist() == [1.0] * 2


def test_children_meet_the_budget_and_say_what_they_cost():
  budget = Budget(macs=(1.0e6, 1.05e6), params=(0.0, 300e3))
  old, children = bred(budget, Rates())
  assert (old.violation == 0).all()
  assert (children.violation == 0).all()
  exact = [
    costs.count(SPACE.architecture(g), 10) for g in children.genotypes[::40]
  ]
  assert all(1.0e6 <= c.macs <= 1.05e6 and c.params <= 300e3 for c in exact)
  assert [c.macs for c in exact] == children.costs.macs[::40].tolist()
  assert [c.params for c in exact] == children.costs.params[::40].tolist()
  same = SPACE.canonical(children.genotypes) == children.genotypes
  assert same.all()
  # Most differ from their parent and from each other.
  assert len(np.unique(children.genotypes, axis=0)) > 0.8 * 960


def test_one_gene_at_least_and_all_genes_by_chance_alone():
  # Only the gene that always mutates, and no crossover.
  old, children = bred(Budget(), Rates(0.0, 0.0, 0.0))
  origin = np.repeat(np.asarray(old.genotypes[0]), 24, axis=0)
  changed = np.asarray(children.genotypes) != origin
  # One each; a mutated depth may set genes of absent blocks to 0, and a gene
  # of an absent block does not count.
  assert np.median(changed.sum(axis=1)) == 1
  assert changed.any(axis=0).all()


def test_the_expected_number_of_mutations():
  fitness = jnp.arange(40.0)
  old, children = bred(Budget(), Rates(0.0, 2.0, 8.0), fitness)
  origin = np.repeat(np.asarray(old.genotypes[0]), 24, axis=0)
  changed = (np.asarray(children.genotypes) != origin).sum(axis=1)
  changed = changed.reshape(40, 24).mean(axis=1)
  # 1 + 8 x 24 / 25 for the lower half, 1 + 2 x 24 / 25 for the best; genes of
  # absent blocks and those with one value take a little off.
  np.testing.assert_allclose(changed[:20].mean(), 8.68, atol=0.6)
  assert changed[-1] < 4.5
  assert changed[30] < changed[:20].mean() - 1


def test_genes_stay_in_range_and_reach_all_values():
  _, children = bred(Budget(), Rates(1.0, 20.0, 20.0))
  found = np.asarray(children.genotypes)
  assert (found >= 0).all()
  assert (found < np.asarray(SPACE.choices)).all()
  for column, choices in enumerate(SPACE.choices):
    reached = len(np.unique(found[:, column]))
    assert reached == choices or reached > 0.95 * choices


def test_crossover_mixes_two_parents():
  old, children = bred(Budget(), Rates(1.0, 0.0, 0.0))
  genes = np.asarray(old.genotypes[0])
  origin = np.repeat(genes, 24, axis=0)
  differing = (np.asarray(children.genotypes) != origin).sum(axis=1)
  # Half of the genes come from the mate.
  assert differing.mean() > 5
  values = [set(genes[:, i]) for i in range(genes.shape[1])]
  foreign = [
    sum(v not in values[i] for i, v in enumerate(child))
    for child in np.asarray(children.genotypes)
  ]
  assert max(foreign) <= 2


def test_invalid_parents_move_towards_the_budget():
  budget = Budget(macs=(0.30e6, 0.31e6))
  pool = SPACE.sample(jax.random.key(6), 40)
  found = costs.batch(SPACE, pool, 10)
  outside = budgets.violation(budget, found)
  far = Candidates(pool, found, outside)
  old = jax.tree.map(lambda leaf: leaf[None], far)
  batch = jax.tree.map(lambda v: jnp.asarray(v)[None], budget)
  children = breed(
    jax.random.key(1),
    SPACE,
    batch,
    old,
    jnp.full((1, 40), -jnp.inf),
    children=24,
    context=Context(10),
    rates=Rates(),
  )
  assert children.violation.min() < outside.min()
  # The last try keeps the architecture, so none is worse than its parent.
  assert (children.violation[0] <= jnp.repeat(outside, 24)).all()
