import dataclasses

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
  """Two cells a stage, of all operations, beside the one cell's network."""
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  network = dataclasses.replace(small(CELL), cells=2)
  space = spaces.get("nasbench201")
  genotype = space.genotype(spaces.CellNetwork.from_arch_str(CELL))
  weights = models.one_hot(space, genotype)
  looped = models.CellSupernet(network, 3, biased=True, one_hot=True)
  alone = models.CellNet(network, 3, biased=True)
  variables = jax.jit(
    lambda k: models.initialize(looped, k, images, weights, train=False)
  )(jax.random.key(0))

  def evaluate(module, variables, *choice):
    def loss(params):
      logits, changed = module.apply(
        {**variables, "params": params},
        images,
        *choice,
        train=True,
        mutable=["batch_stats"],
      )
      return (logits * jnp.arange(3.0)).sum(), changed["batch_stats"]

    gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, stats), found = gradient(variables["params"])
    return value, {"params": found, "batch_stats": stats}

  ours, found = evaluate(looped, variables, weights)
  theirs, wanted = evaluate(alone, models.extract_cell(network, variables))
  np.testing.assert_allclose(ours, theirs, rtol=1e-4)
  chex.assert_trees_all_close(
    models.extract_cell(network, found), wanted, rtol=1e-3, atol=1e-3
  )
  # What was not chosen has no gradient, and keeps its statistics.
  used = {
    f"edge{a}_{b}_{op}"
    for (a, b), op in zip(spaces.cell.EDGES, network.ops, strict=True)
  }
  unused = 0
  for name, cell in found["params"].items():
    if not name.startswith("stage") or "cell" not in name:
      continue
    for edge in set(cell) - used:
      unused += 1
      assert not any(np.any(g) for g in jax.tree.leaves(cell[edge]))
      chex.assert_trees_all_equal(
        found["batch_stats"][name][edge], variables["batch_stats"][name][edge]
      )
  assert unused
