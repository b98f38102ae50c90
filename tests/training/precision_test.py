"""What is computed in 16 bits, what stays in 32, and that it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models import Network, Supernet, initialize, layers
from fbnax.models.network import one_hot
from fbnax.training import gradients, loop, precision, recipes, step
from fbnax.training.step import Member, Model
from tests.search import tiny_search
from tests.training import population_test as small

LOW = dataclasses.replace(small.SETTINGS, precision="bfloat16")
ARCHITECTURE = small.SPACE.architecture(small.GENOTYPES[1])
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), np.uint8)
LABELS = jnp.arange(8) % small.K
MODULES = {
  "network": (Network(ARCHITECTURE, small.K), ()),
  "supernet": (
    Supernet(small.SPACE, small.K),
    (one_hot(small.SPACE, jnp.asarray(small.GENOTYPES[1])),),
  ),
}


def _gradient(name, settings):
  module, choice = MODULES[name]
  images = jnp.zeros((1, 4, 4, 1))
  variables = jax.jit(
    lambda key: initialize(module, key, images, *choice, train=False)
  )(jax.random.key(0))
  member = Member(
    recipes.as_numbers(small.RECIPES[1]),
    choice[0] if choice else None,
    jax.random.key(1),
  )

  def found(variables):
    return gradients.of_batch(
      Model(module),
      settings,
      variables,
      member,
      jnp.asarray(IMAGES),
      LABELS,
      ratio=jnp.ones(()),
      key=jax.random.key(2),
    )

  return found, variables


def _products(jaxpr):
  """Types of the operands of products that are not of vectors alone."""
  found = []
  for equation in jaxpr.eqns:
    if equation.primitive.name in ("dot_general", "conv_general_dilated"):
      operands = [v.aval for v in equation.invars]
      found.append({o.dtype.name for o in operands})
    for value in equation.params.values():
      for inner in jax.tree.leaves(
        value, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
      ):
        if hasattr(inner, "jaxpr"):
          inner = inner.jaxpr
        if hasattr(inner, "eqns"):
          found += _products(inner)
  return found


@pytest.mark.parametrize("name", MODULES)
def test_products_are_of_16_bits_and_what_stays_is_of_32(name):
  found, variables = _gradient(name, LOW)
  # Those of 2 x 2 are `ops.norm.once`, of BN.
  types = _products(jax.make_jaxpr(found)(variables).jaxpr)
  assert sum(t == {"bfloat16"} for t in types) >= 10
  assert not any(t == {"bfloat16", "float32"} for t in types)
  after = jax.jit(found)(variables)
  for tree in (after.params, after.batch_stats, after.loss):
    assert {x.dtype for x in jax.tree.leaves(tree)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", MODULES)
def test_the_gradient_is_that_of_32_bits_but_for_rounding(name):
  low, high = (
    jax.jit(find)(variables)
    for find, variables in (
      _gradient(name, settings) for settings in (LOW, small.SETTINGS)
    )
  )
  assert low.loss == pytest.approx(float(high.loss), rel=0.02)
  a, b = (jax.flatten_util.ravel_pytree(g.params)[0] for g in (low, high))
  cosine = a @ b / jnp.linalg.norm(a) / jnp.linalg.norm(b)
  assert cosine > 0.98
  assert float(jnp.abs(a - b).max()) > 0  # It is another computation.


def test_what_is_dropped_stays_of_16_bits():
  """The rates are traced numbers of 32 bits."""
  x = jnp.ones((2, 4, 4, 3), jnp.bfloat16)
  rate = jnp.float32(0.5)
  uniform = jnp.asarray([0.1, 0.9])
  for found in (
    layers.drop_path(x, rate, uniform),
    layers.dropout(x, rate, jax.random.key(0)),
  ):
    assert found.dtype == jnp.bfloat16
    assert set(np.unique(found.astype(jnp.float32)).tolist()) == {0.0, 2.0}


def test_what_is_of_bn_and_whole_numbers_stay():
  tree = {
    "conv": {"kernel": jnp.ones((1, 1, 2, 2))},
    "norm": {"scale": jnp.ones(2)},
    "count": jnp.ones(2, jnp.int32),
  }
  low = precision.lowered(LOW, tree)
  assert low["conv"]["kernel"].dtype == jnp.bfloat16
  assert low["norm"]["scale"].dtype == jnp.float32
  assert low["count"].dtype == jnp.int32
  assert precision.lowered(small.SETTINGS, tree) is tree


def test_automatic_is_what_the_device_has(monkeypatch):
  class Device:
    def __init__(self, platform, compute_capability=None):
      self.platform = platform
      self.compute_capability = compute_capability

  for device, wanted in (
    (Device("cpu"), "float32"),
    (Device("tpu"), "bfloat16"),
    (Device("gpu", "7.5"), "float32"),
    (Device("gpu", "9.0"), "bfloat16"),
    (Device("gpu", "gfx90a"), "float32"),
  ):
    monkeypatch.setattr(jax, "devices", lambda d=device: [d])
    assert precision.chosen("auto") == wanted
    assert precision.chosen("bfloat16") == "bfloat16"


def test_other_precisions_are_refused():
  with pytest.raises(ValueError, match=r"training.precision is 'half'; legal"):
    dataclasses.replace(LOW, precision="half")


def test_a_search_goes_on_in_16_bits():
  problem = tiny_search.problem()
  settings = dataclasses.replace(problem.settings, precision="bfloat16")
  found = tiny_search.search(dataclasses.replace(problem, settings=settings))
  wanted = tiny_search.search(problem)
  assert found.rows[-1].loss < found.rows[0].loss
  assert found.rows[0].loss == pytest.approx(wanted.rows[0].loss, rel=0.02)


def test_it_learns_in_16_bits_as_in_32():
  split = tiny_search.split(96)

  def losses(settings):
    return loop.fit(
      Model(MODULES["network"][0]),
      dataclasses.replace(settings, batch_size=16, epochs=4),
      step.start(_gradient("network", LOW)[1]),
      Member(recipes.as_numbers(small.RECIPES[1]), None, jax.random.key(1)),
      loop.place(split),
      epochs=4,
      validation=loop.place(tiny_search.split(48, seed=1)),
    )

  low, high = losses(LOW), losses(small.SETTINGS)
  assert low.curves.train_loss[-1] < 0.9 * low.curves.train_loss[0]
  np.testing.assert_allclose(
    low.curves.train_loss, high.curves.train_loss, rtol=0.03
  )
  stays = jax.tree.leaves(low.state.variables)
  assert {x.dtype.name for x in stays} == {"float32"}
