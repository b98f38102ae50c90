"""One cost for weights, populations and networks; what a space can cost."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.search.budgets import Budget, batched
from fbnax.search.prices import Price, check_budgets, check_target, feasible
from tests.search import tiny_search as tiny

ALL = np.asarray(list(itertools.product(*map(range, tiny.SPACE.choices))))


@pytest.mark.parametrize("kind", ["macs", "params", "memory"])
def test_all_ways_to_ask_agree(kind):
  price = Price(tiny.SPACE, tiny.K, kind)
  many = price.batch(ALL)
  for i in (0, 17, 47):
    network = tiny.SPACE.architecture(ALL[i])
    counted = costs.count(network, tiny.K)._asdict()
    counted["memory"] = costs.peak_memory(network)
    assert price.exact(ALL[i]) == counted[kind] == many[i]
    weights = [
      jax.nn.one_hot(c, k)
      for c, k in zip(ALL[i], tiny.SPACE.choices, strict=True)
    ]
    np.testing.assert_allclose(price.expected(weights), many[i], rtol=1e-6)


def test_examples_are_averaged():
  many = tiny.PRICE.batch(ALL)
  weights = [
    jnp.stack([jax.nn.one_hot(ALL[i][d], k) for i in (3, 40)])
    for d, k in enumerate(tiny.SPACE.choices)
  ]
  found = tiny.PRICE.expected(weights)
  np.testing.assert_allclose(found, many[[3, 40]].mean(), rtol=1e-6)


def test_the_feasible_range_is_that_of_all_networks():
  many = tiny.PRICE.batch(ALL)
  assert feasible(tiny.PRICE) == (many.min(), many.max())


def test_targets_outside_are_refused():
  low, high = feasible(tiny.PRICE)
  check_target(tiny.PRICE, low)
  check_target(tiny.PRICE, high)
  for target in (0.99 * low, 1.01 * high):
    with pytest.raises(ValueError, match=f"{low:,.0f} MACs to {high:,.0f}"):
      check_target(tiny.PRICE, target)


class Table:
  """Milliseconds that are a millionth of the MACs."""

  def check(self, space):
    """Knows every block."""
    if space.name != "tiny":
      raise ValueError(f"missing: all of {space.name}")

  def expected(self, space, weights):
    return costs.expected(space, weights, tiny.K).macs * 1e-6

  def batch(self, space, genotypes):
    return costs.batch(space, genotypes, tiny.K).macs * 1e-6

  def latency(self, architecture):
    return costs.count(architecture, tiny.K).macs * 1e-6


def test_latency_by_a_table():
  price = Price(tiny.SPACE, tiny.K, "latency", Table())
  np.testing.assert_allclose(
    price.batch(ALL), tiny.PRICE.batch(ALL) * 1e-6, rtol=1e-6
  )
  assert price.exact(ALL[5]) == pytest.approx(price.batch(ALL[5:6])[0])
  assert price.show(price.exact(ALL[5])).endswith(" ms")


@pytest.mark.parametrize(
  "kind, table, message",
  [
    (
      "energy",
      None,
      "search.cost is 'energy'; legal: macs, params, latency, mem",
    ),
    ("latency", None, "search.table is not"),
    ("macs", Table(), "search.table is given"),
  ],
)
def test_costs_that_cannot_be_told(kind, table, message):
  with pytest.raises(ValueError, match=message):
    Price(tiny.SPACE, tiny.K, kind, table)


def test_the_peak_has_a_gradient_and_a_range():
  price = Price(tiny.SPACE, tiny.K, "memory")
  many = price.batch(ALL)
  assert feasible(price) == (many.min(), many.max())
  assert price.show(many.max()).endswith(" elements")
  even = [jnp.full(k, 1 / k) for k in tiny.SPACE.choices]
  found, slopes = jax.value_and_grad(price.expected)(even)
  assert many.min() < found < many.max()
  assert any(np.abs(slope).max() > 0 for slope in slopes)


def test_budgets_of_every_cost_are_checked():
  table = LatencyTable(
    {key: Entry(1.0) for key in space_keys(tiny.SPACE)}, const=2.0
  )

  def check(**limits):
    found = batched(Budget(**limits))
    check_budgets(found, tiny.SPACE, tiny.K, table)

  _, most = feasible(Price(tiny.SPACE, tiny.K, "memory"))
  check(latency=(0.0, 50.0), memory=(0.0, most))
  with pytest.raises(ValueError, match="0 has a latency from 0 ms to 1 ms; sp"):
    check(latency=(0.0, 1.0))
  with pytest.raises(ValueError, match=r"a memory from .* to inf elements"):
    check(memory=(most + 1, np.inf))
  with pytest.raises(ValueError, match="there is no latency table"):
    check_budgets(batched(Budget(latency=(0, 9))), tiny.SPACE, tiny.K)


def test_the_peak_of_a_space_with_skips_is_found():
  # A block is skipped by its last choice; one that stays can hide the others.
  space = spaces.get("fbnet_cifar")
  low, high = feasible(Price(space, 10, "memory"))
  sampled = Price(space, 10, "memory").batch(
    space.sample(jax.random.key(0), 4096)
  )
  assert low < sampled.min() and high >= sampled.max()
