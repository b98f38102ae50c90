"""Evolution: exact budgets, the true optimum, honest counts, same bits.

Who survives is told by NumPy.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.costs import Costs, LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.costs.table import Context
from fbnax.search import Budget, cost_range, evolve
from fbnax.search.budgets import batched, paid, violation
from fbnax.search.evolution.budgeted import Population, repeats, survive
from fbnax.search.evolution.variation import Candidates

SMALL = spaces.get("small")
WEIGHTS = jax.random.normal(jax.random.key(3), (len(SMALL.decisions), 16))


def rough(weights, genotypes):
  """A score with many local optima; larger networks score better."""
  scale = 1.0 / jnp.maximum(jnp.asarray(SMALL.choices) - 1.0, 1.0)
  share = genotypes * scale
  return jnp.sin(share @ weights).sum(axis=1) + 4.0 * share[:, :18].sum(axis=1)


SCORE = jax.tree_util.Partial(rough, WEIGHTS)
BUDGETS = Budget(
  macs=([0.45e6, 0.9e6, 0.0, 3.6e6], [0.5e6, 1e6, np.inf, 4e6]),
  params=([0.0, 0.0, 200e3, 0.0], [np.inf, np.inf, 220e3, 250e3]),
)


@pytest.fixture(scope="module")
def found():
  return evolve(jax.random.key(0), SCORE, SMALL, BUDGETS, num_classes=10)


def test_every_survivor_meets_its_budget_exactly(found):
  assert found.valid.all()
  for i in range(4):
    rows = np.asarray(found.genotypes[i])
    assert len(np.unique(rows, axis=0)) == len(rows) == 40
    assert (SMALL.canonical(jnp.asarray(rows)) == rows).all()
    for j, row in enumerate(rows):
      exact = costs.count(SMALL.architecture(row), 10)
      assert BUDGETS.macs[0][i] <= exact.macs <= BUDGETS.macs[1][i]
      assert BUDGETS.params[0][i] <= exact.params <= BUDGETS.params[1][i]
      np.testing.assert_allclose(found.costs.macs[i, j], exact.macs, rtol=1e-6)
      np.testing.assert_allclose(found.costs.params[i, j], exact.params)
    scores = np.asarray(found.scores[i])
    np.testing.assert_allclose(scores, SCORE(jnp.asarray(rows)), rtol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_better_than_as_many_random_samples(found):
  sample = SMALL.sample(jax.random.key(1), int(found.evaluated.max()))
  sampled = costs.batch(SMALL, sample, 10)
  scores = SCORE(sample)
  for i in range(4):
    within = (
      (sampled.macs >= BUDGETS.macs[0][i])
      & (sampled.macs <= BUDGETS.macs[1][i])
      & (sampled.params >= BUDGETS.params[0][i])
      & (sampled.params <= BUDGETS.params[1][i])
    )
    assert found.scores[i, 0] > jnp.where(within, scores, -jnp.inf).max()


def test_same_key_same_bits_another_key_others(found):
  again = evolve(jax.random.key(0), SCORE, SMALL, BUDGETS, num_classes=10)
  other = evolve(jax.random.key(1), SCORE, SMALL, BUDGETS, num_classes=10)
  assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), found, again))
  assert not (found.genotypes == other.genotypes).all()


def test_counts_do_not_exceed_what_was_made(found):
  generations = int(found.generations.max())
  assert (found.generations >= 20).all()
  assert (found.evaluated <= 960 * generations).all()
  assert (found.evaluated > 0.5 * 960 * generations).all()


def test_the_true_optimum_of_a_space_that_can_be_listed():
  free = {"stem.channels", "stage2.channels", "stage3.channels", "stage2.depth"}
  free |= {"stage2.kernel", "stage3.depth", "stage2.expansion_rest"}
  fixed = {d.name: d.values[0] for d in SMALL.decisions if d.name not in free}
  space = SMALL.fix(**fixed)
  rows = itertools.product(*(range(c) for c in space.choices))
  everything = jnp.asarray(list(rows), jnp.int32)
  everything = everything[(space.canonical(everything) == everything).all(1)]
  random = np.random.default_rng(0)
  table = LatencyTable(
    {k: Entry(random.uniform(1, 2)) for k in sorted(space_keys(space))}
  )
  further = ("latency", "memory")
  counted = paid(space, everything, Context(10, table), further)
  scores = SCORE(everything)
  highs = np.quantile(np.asarray(counted.macs), [0.2, 0.5, 0.8]).round() + 0.5
  lows = [*(0.95 * highs), 0.0, 0.0, 0.0]
  free = np.full(3, np.inf)
  ms, peak = (float(np.median(v)) for v in (counted.latency, counted.memory))
  budgets = Budget(
    macs=(lows, [*highs, *free]),
    latency=(np.zeros(6), [*free, ms, np.inf, ms]),
    memory=(np.zeros(6), [*free, np.inf, peak, peak]),
  )
  result = evolve(
    jax.random.key(2), SCORE, space, budgets, num_classes=10, table=table
  )
  every = jax.vmap(lambda limits: violation(limits, counted))(batched(budgets))
  for i, outside in enumerate(every):
    within = outside == 0
    assert within.sum() > 20
    best = jnp.where(within, scores, -jnp.inf).argmax()
    assert result.genotypes[i, 0].tolist() == everything[best].tolist()
    network = space.architecture(everything[best])
    assert table.latency(network) <= budgets.latency[1][i]
    assert costs.peak_memory(network) <= budgets.memory[1][i]
    assert budgets.macs[0][i] <= costs.count(network, 10).macs
    # Not more than there are, and none twice.
    valid = np.asarray(result.genotypes[i])[np.asarray(result.valid[i])]
    assert len(valid) == len(np.unique(valid, axis=0)) <= within.sum()


def test_a_budget_that_one_architecture_meets():
  reachable = cost_range(SMALL, 10)
  least = float(reachable.macs[0])
  result = evolve(
    jax.random.key(0),
    SCORE,
    SMALL,
    Budget(macs=([0.45e6, least, 0, 0], [0.5e6, least, 1e6, 1e6])),
    num_classes=10,
  )
  for genotype in result.genotypes[1][result.valid[1]]:
    assert costs.count(SMALL.architecture(genotype), 10).macs == least


def test_measured_trials_start_the_search():
  # A needle: no child but the trial itself scores, so it must be inherited.
  pool = SMALL.sample(jax.random.key(9), 64)
  macs = costs.batch(SMALL, pool, 10).macs
  needle = pool[((macs > 0.9e6) & (macs < 1e6)).argmax()]
  assert 0.9e6 < costs.count(SMALL.architecture(needle), 10).macs < 1e6
  predict = jax.tree_util.Partial(
    lambda needle, g: (g == needle).all(axis=1).astype(jnp.float32), needle
  )
  budget = Budget(macs=(0.9e6, 1e6))
  result = evolve(
    jax.random.key(0),
    predict,
    SMALL,
    budget,
    first_best=pool,
    max_generations=3,
    num_classes=10,
  )
  assert result.scores.shape == (1, 40)
  assert result.genotypes[0, 0].tolist() == needle.tolist()
  assert result.scores[0, 0] == 1.0


@pytest.mark.parametrize(
  ("keywords", "message"),
  [
    ({"children": 0}, "children is 0"),
    ({"survivors": 1000}, "survivors=1000"),
    ({"num_random": 10}, "num_random is 10"),
    ({"first_best": jnp.zeros((2, 3))}, r"first_best has shape \(2, 3\)"),
    ({"budgets": Budget(macs=(0, 10))}, "budget 0 has macs from 0 to 10"),
  ],
)
def test_wrong_arguments(keywords, message):
  budgets = keywords.pop("budgets", Budget())
  with pytest.raises(ValueError, match=message):
    evolve(jax.random.key(0), SCORE, SMALL, budgets, num_classes=10, **keywords)


def test_an_empty_budget_within_the_range_is_an_error():
  # Between the two cheapest networks there is none.
  least = cost_range(SMALL, 10).macs[0]
  budgets = Budget(macs=([least + 1.0] * 4, [least + 2.0] * 4))
  with pytest.raises(ValueError, match=r"budget 0.*holds no genotype.*reaches"):
    evolve(
      jax.random.key(0),
      SCORE,
      SMALL,
      budgets,
      num_classes=10,
      max_generations=5,
    )


def test_a_latency_without_a_table_is_refused():
  with pytest.raises(ValueError, match="there is no latency table"):
    evolve(jax.random.key(0), SCORE, SMALL, Budget(latency=(0.0, 5.0)))


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
