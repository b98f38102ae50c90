"""Batch normalisation against Flax's."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models.layers import BatchNorm


def test_equals_flax_in_training_and_evaluation():
  x = 3.0 + 2.0 * jax.random.normal(jax.random.key(0), (8, 5, 4, 6))
  ours = BatchNorm(epsilon=1e-3)
  theirs = nn.BatchNorm(epsilon=1e-3, momentum=0.9)
  variables = ours.init(jax.random.key(1), x, train=False)
  variables["params"]["scale"] = jnp.linspace(0.5, 2.0, 6)
  variables["params"]["bias"] = jnp.linspace(-1.0, 1.0, 6)

  got, updated = ours.apply(variables, x, train=True, mutable=["batch_stats"])
  want, wanted = theirs.apply(
    variables, x, use_running_average=False, mutable=["batch_stats"]
  )
  chex.assert_trees_all_close(got, want, atol=1e-5)
  chex.assert_trees_all_close(updated, wanted, atol=1e-5)

  variables = {**variables, **updated}
  chex.assert_trees_all_close(
    ours.apply(variables, x, train=False),
    theirs.apply(variables, x, use_running_average=True),
    atol=1e-5,
  )


def test_gradient_equals_flax():
  x = jax.random.normal(jax.random.key(0), (4, 3, 3, 2))
  weight = jax.random.normal(jax.random.key(1), x.shape)
  ours, theirs = BatchNorm(), nn.BatchNorm()
  variables = ours.init(jax.random.key(2), x, train=False)

  def gradient(module, **mode):
    def loss(x):
      y, _ = module.apply(variables, x, mutable=["batch_stats"], **mode)
      return (y * weight).sum()

    return jax.grad(loss)(x)

  chex.assert_trees_all_close(
    gradient(ours, train=True),
    gradient(theirs, use_running_average=False),
    atol=1e-5,
  )
