"""Memory of a search over channels, by XLA's analysis (Figure 3.7)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models import Supernet, memory


def test_masks_hardly_grow_and_blocks_grow_with_the_options():
  masks = [memory.step_bytes(memory.MASKS, k) for k in (1, 32)]
  assert masks[1].total < 1.001 * masks[0].total
  assert masks[1].params == masks[0].params
  blocks = [memory.step_bytes(memory.SEPARATE, k) for k in (1, 2, 4)]
  assert blocks[0].params == masks[0].params
  first, second, third = (found.total for found in blocks)
  # A straight line: the first step is one option, the second two.
  slope = second - first
  assert slope > 0.5 * first
  assert 0.6 * 2 * slope < third - second < 1.6 * 2 * slope


def test_resolutions_one_by_one_do_not_grow():
  """Section 3.3: by less than 2%, where what is kept for each grows by all.

  `tests/benchmarks/supernet_memory.py` has the same up to 8.
  """
  one = memory.step_bytes(memory.KEPT, 1).total
  assert memory.step_bytes(memory.RECOMPUTED, 3).total < 1.02 * one
  assert memory.step_bytes(memory.KEPT, 2).total > 1.5 * one


def test_resolutions_one_by_one_are_all_at_once():
  """Logits, running statistics and all gradients, to rounding."""
  space = memory.resolution_space(2)
  images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
  weights = tuple(jnp.full(n, 1 / n) for n in space.choices)
  init = Supernet(space, 10).init
  variables = jax.jit(lambda key: init(key, images, weights, train=False))(
    jax.random.key(0)
  )

  @functools.partial(jax.jit, static_argnums=0)
  def run(recompute, variables, weights):
    module = Supernet(space, 10, subsample=True, recompute=recompute)

    def loss(params, weights):
      logits, state = module.apply(
        {**variables, "params": params},
        images,
        weights,
        train=True,
        mutable=["batch_stats"],
      )
      return (logits**2).sum(), (logits, state)

    slopes, found = jax.grad(loss, (0, 1), has_aux=True)(
      variables["params"], weights
    )
    return found, slopes

  kept, again = (run(form, variables, weights) for form in (False, True))
  assert jax.tree.structure(kept) == jax.tree.structure(again)
  for one, other in zip(
    jax.tree.leaves(kept), jax.tree.leaves(again), strict=True
  ):
    scale = max(float(jnp.abs(one).max()), 1.0)
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * scale)


def test_options_are_even_parts_of_the_channels():
  space = memory.channel_space(4)
  assert space.decisions[0].values == (8, 16, 24, 32)
  assert space.decisions[1].values == (16, 32, 48, 64)
  with pytest.raises(ValueError, match="options is 3; legal: a divisor of 32"):
    memory.channel_space(3)


def test_a_single_option_is_the_same_network_in_both_forms():
  """Block by block the same variables, so the same logits."""
  space = memory.channel_space(1)
  images = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, 32, 32, 3)), jnp.float32
  )
  ones = (jnp.ones(1), jnp.ones(1))
  masked, separate = Supernet(space, 10), memory.SeparateSupernet(space, 10)
  variables = jax.jit(lambda key: masked.init(key, images, ones, train=False))(
    jax.random.key(0)
  )
  renamed = {
    kind: {
      {
        "stage1_block0": "stage1_block0_32",
        "stage2_block0": "stage2_block0_64",
      }.get(name, name): leaf
      for name, leaf in tree.items()
    }
    for kind, tree in variables.items()
  }
  np.testing.assert_allclose(
    separate.apply(renamed, images, ones, train=False),
    masked.apply(variables, images, ones, train=False),
    atol=1e-5,
  )
