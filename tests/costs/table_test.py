"""One contract for all entries of the table of costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.base.cost_kinds import ALWAYS, COST_KINDS, FURTHER
from fbnax.costs import Costs, LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.costs.table import Context, cost

SPACE = spaces.get("small")
TABLE = LatencyTable(
  {key: Entry(0.1 + key.c_out / 7) for key in space_keys(SPACE)}, const=1.0
)
GENOTYPES = SPACE.sample(jax.random.key(0), 8)


@pytest.mark.parametrize("name", COST_KINDS)
def test_a_network_a_population_and_one_hot_weights_cost_the_same(name):
  context = Context(10, TABLE)
  entry = cost(name)
  entry.check(SPACE, context)
  batch = jax.jit(entry.batch, static_argnums=(0, 2))
  many = np.asarray(batch(SPACE, GENOTYPES, context))
  assert many.shape == (8,) and (many > 0).all()
  exact = [entry.exact(SPACE.architecture(g), context) for g in GENOTYPES]
  assert all(isinstance(v, int) for v in exact) == COST_KINDS[name].is_count
  np.testing.assert_allclose(many, exact, rtol=1e-6)
  for genotype, value in zip(GENOTYPES, many, strict=True):
    weights = [
      jax.nn.one_hot(i, k) for i, k in zip(genotype, SPACE.choices, strict=True)
    ]
    found = entry.expected(SPACE, weights, context)
    np.testing.assert_allclose(found, value, rtol=1e-6)


@pytest.mark.parametrize("name", COST_KINDS)
def test_expected_costs_have_a_gradient(name):
  even = tuple(jnp.full(k, 1 / k) for k in SPACE.choices)
  slopes = jax.grad(
    lambda weights: cost(name).expected(SPACE, weights, Context(10, TABLE))
  )(even)
  assert all(np.isfinite(slope).all() for slope in slopes)
  assert any(np.abs(slope).max() > 0 for slope in slopes)


@pytest.mark.parametrize("name", COST_KINDS)
def test_a_table_is_asked_for_where_it_is_needed(name):
  entry, network = cost(name), SPACE.architecture(GENOTYPES[0])
  if entry.needs_table:
    with pytest.raises(ValueError, match="without a latency table"):
      entry.exact(network, Context(10))
  else:
    same = entry.exact(network, Context(10, TABLE))
    assert entry.exact(network, Context(10)) == same


def test_names():
  assert Costs._fields == ALWAYS
  assert (*ALWAYS, *FURTHER) == tuple(COST_KINDS)
  assert [cost(name).name for name in COST_KINDS] == list(COST_KINDS)
  assert cost("latency").show(1.23456) == "1.235 ms"
  assert cost("memory").show(20480) == "20,480 elements"
  with pytest.raises(ValueError, match="cost is 'joules'; legal: macs, params"):
    cost("joules")
