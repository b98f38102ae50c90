"""What a space can meet, against all genotypes of spaces that can be listed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.costs.table import Context
from fbnax.search import Budget, budgets, cost_range

FREE = ("stage2.channels", "stage1.channels", "stem.channels", "resolution")


def listed(space):
  rows = itertools.product(*(range(c) for c in space.choices))
  return jnp.asarray(list(rows), jnp.int32)


def cut(name, free):
  """The space with all decisions but `free` at their middle value."""
  space = spaces.get(name)
  return space.fix(
    **{
      d.name: d.values[len(d.values) // 2]
      for d in space.decisions
      if d.name not in free
    }
  )


@pytest.mark.parametrize("name", ["small", "fbnetv3"])
def test_range_of_a_space_that_can_be_listed(name):
  space = cut(name, FREE)
  found = cost_range(space, 10)
  everything = costs.batch(space, listed(space), 10)
  for limits, all_costs in zip(found[:2], everything, strict=True):
    wanted = float(all_costs.min()), float(all_costs.max())
    np.testing.assert_allclose(limits, wanted, rtol=1e-6)


def test_range_holds_all_samples_and_is_reached():
  space = spaces.get("fbnetv3")
  found = cost_range(space)
  sample = costs.batch(space, space.sobol(4096))
  for name in ("macs", "params"):
    fewest, most = getattr(found, name)
    values = np.asarray(getattr(sample, name))
    assert fewest < values.min()
    assert values.max() < most
  reached = [costs.count(space.architecture(g)) for g in found.genotypes]
  assert found.macs == (reached[0].macs, reached[1].macs)
  assert found.params == (reached[2].params, reached[3].params)


def test_unreachable_budgets_are_named_with_the_range():
  space = spaces.get("fbnetv3")
  limits = budgets.batched(Budget(macs=([400e6, 1e6], [500e6, 2e6])))
  with pytest.raises(ValueError, match=r"budget 1 has macs.*213917200 to"):
    budgets.check_reachable(limits, space)
  with pytest.raises(ValueError, match=r"budget 0 has params from 2\.0"):
    budgets.batched(Budget(params=(2.0, 1.0)))
  with pytest.raises(ValueError, match="budget 0 has macs"):
    budgets.batched(Budget(macs=(0.0, float("nan"))))


def test_violation_leaves_room_for_rounding():
  budget = Budget(macs=(100e6, 200e6), params=(0.0, 1000.0))
  found = costs.Costs(
    jnp.asarray([150e6, 200e6, 100e6, 90e6, 150e6, 400e6]),
    jnp.asarray([1000.0, 10.0, 10.0, 10.0, 1001.0, 10.0]),
  )
  outside = np.asarray(budgets.violation(budget, found))
  # At a limit, large costs might be a rounding beyond it; small are exact.
  assert (outside == 0).tolist() == [True, False, False, False, False, False]
  np.testing.assert_allclose(outside[3:], [0.1, 0.001, 1.0], atol=2e-6)


def test_stacked():
  several = [Budget(macs=(1.0, 2.0)), Budget(params=(3.0, 4.0))]
  found = budgets.batched(budgets.stacked(several))
  assert found.macs[1].tolist() == [2.0, float("inf")]
  assert found.params[0].tolist() == [0.0, 3.0]


def test_latency_and_memory_are_told_where_they_are_asked_for():
  space = spaces.get("fbnet_cifar")
  genotypes = space.sample(jax.random.key(0), 8)
  assert budgets.paid(space, genotypes, Context(10))._fields == (
    "macs",
    "params",
  )
  entries = {key: Entry(0.5) for key in space_keys(space)}
  table = costs.LatencyTable(entries, const=1.0)
  context = Context(10, table)
  found = budgets.paid(space, genotypes, context, ("latency", "memory"))
  for i, genotype in enumerate(genotypes):
    network = space.architecture(genotype)
    assert found.latency[i] == pytest.approx(table.latency(network))
    assert found.memory[i] == costs.peak_memory(network)
  ms = np.asarray(found.latency)
  budget = Budget(latency=(float(ms.min()) * 1.001, float(np.median(ms))))
  outside = np.asarray(budgets.violation(budget, found))
  wanted = (ms > ms.min()) & (ms < np.median(ms))
  assert (outside == 0).tolist() == wanted.tolist()
  assert budget.limits("latency") and not budget.limits("memory")
