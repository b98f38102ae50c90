import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, models, spaces

CELL = (
  "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|"
  "+|skip_connect~0|none~1|nor_conv_3x3~2|"
)


def small(text):
  network = spaces.CellNetwork.from_arch_str(text)
  return dataclasses.replace(network, channels=4, cells=1, resolution=8)


def test_it_has_the_parameters_that_are_counted():
  network = small(CELL)
  images = jnp.zeros((1, 8, 8, 3))
  shapes = jax.eval_shape(
    lambda k: models.CellNet(network, 10).init(k, images, train=False),
    jax.random.key(0),
  )
  found = sum(x.size for x in jax.tree.leaves(shapes["params"]))
  assert found == costs.count(network, 10).params


@pytest.mark.parametrize("one_hot", [False, True])
def test_one_hot_weights_make_a_cell_of_the_supernet(one_hot):
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  module = models.CellSupernet(small(CELL), 3, one_hot=one_hot)
  space = spaces.get("nasbench201")
  weights = models.one_hot(space, space.sobol(1)[0])
  variables = jax.jit(lambda k: module.init(k, images, weights, train=False))(
    jax.random.key(0)
  )
  apply = jax.jit(
    lambda v, w: module.apply(v, images, w, train=True, mutable=["batch_stats"])
  )
  for text in (CELL, CELL.replace("nor_conv_3x3~0", "avg_pool_3x3~0")):
    genotype = space.genotype(spaces.CellNetwork.from_arch_str(text))
    found, _ = apply(variables, models.one_hot(space, genotype))
    network = small(text)
    wanted, _ = models.CellNet(network, 3).apply(
      models.extract_cell(network, variables),
      images,
      train=True,
      mutable=["batch_stats"],
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert float(jnp.abs(wanted).max()) > 1e-4


def test_the_loop_has_the_gradients_and_statistics_of_the_cells():
  """Two cells a stage, BN with and without scale, all operations."""
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  network = dataclasses.replace(small(CELL), cells=2)
  space = spaces.get("nasbench201")
  genotype = space.genotype(spaces.CellNetwork.from_arch_str(CELL))
  weights = models.one_hot(space, genotype)
  make = functools.partial(models.CellSupernet, network, 3, biased=True)
  looped, mixed = make(one_hot=True), make(one_hot=False)
  variables = jax.jit(
    lambda k: models.initialize(looped, k, images, weights, train=False)
  )(jax.random.key(0))

  def loss(module):
    def value(params):
      logits, changed = module.apply(
        {**variables, "params": params},
        images,
        weights,
        train=True,
        mutable=["batch_stats"],
      )
      return (logits * jnp.arange(3.0)).sum(), changed["batch_stats"]

    return jax.jit(jax.value_and_grad(value, has_aux=True))

  (ours, stats), gradients = loss(looped)(variables["params"])
  (theirs, wanted), expected = loss(mixed)(variables["params"])
  np.testing.assert_allclose(ours, theirs, rtol=1e-4)
  chex.assert_trees_all_close(gradients, expected, rtol=1e-3, atol=1e-3)
  # Of what was not chosen the statistics stay as they were.
  used = {
    f"edge{a}_{b}_{op}"
    for (a, b), op in zip(spaces.cell.EDGES, network.ops, strict=True)
  }
  for name, cell in stats.items():
    if not name.startswith("stage") or "cell" not in name:
      continue
    for edge, found in cell.items():
      before = variables["batch_stats"][name][edge]
      chex.assert_trees_all_close(
        found,
        wanted[name][edge] if edge in used else before,
        rtol=1e-3,
        atol=1e-5,
      )
