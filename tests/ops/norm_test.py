"""Batch normalisation against Flax's."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from fbnax.models.layers import BatchNorm
from fbnax.ops import norm
from fbnax.ops.activations import ACTIVATIONS


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


@pytest.mark.parametrize("shape", [(4,), (3, 1, 1, 4), (1, 1, 1, 4)])
@pytest.mark.parametrize(
  ("names", "chosen", "function"),
  (
    ((), (), lambda x: x),
    (("relu",), (), nn.relu),
    (("hswish",), (), nn.hard_swish),
    (("relu", "hswish"), (True,), nn.hard_swish),
    (("relu", "hswish"), (False,), nn.relu),
    (("relu", "silu", "relu6"), (True, False), nn.silu),
    (("relu", "silu", "relu6"), (False, True), nn.relu6),
    (("relu", "silu", "relu6"), (False, False), nn.relu),
  ),
)
def test_one_pass_equals_its_parts_in_flax(names, chosen, function, shape):
  keys = jax.random.split(jax.random.key(0), 5)
  x = 2.0 * jax.random.normal(keys[0], (3, 5, 4, 4)) + 0.3
  scale = jax.random.uniform(keys[1], (4,)) + 0.5
  bias = jax.random.normal(keys[2], (4,))
  factor = jax.random.normal(keys[3], shape)
  upper = jax.random.normal(keys[4], x.shape)
  chosen = tuple(map(jnp.asarray, chosen))
  activations = tuple(ACTIVATIONS[name] for name in names)

  def ours(x, scale, bias, factor):
    return norm.normalized(x, scale, bias, factor, chosen, activations, 1e-3)[0]

  def parts(x, scale, bias, factor):
    variables = {
      "params": {"scale": scale, "bias": bias},
      "batch_stats": {"mean": jnp.zeros(4), "var": jnp.ones(4)},
    }
    y, _ = nn.BatchNorm(epsilon=1e-3).apply(
      variables, x, use_running_average=False, mutable=["batch_stats"]
    )
    return function(y) * factor

  got, back = jax.vjp(ours, x, scale, bias, factor)
  want, wanted = jax.vjp(parts, x, scale, bias, factor)
  chex.assert_trees_all_close(got, want, atol=1e-5)
  chex.assert_trees_all_close(back(upper), wanted(upper), atol=2e-5)


def test_one_pass_gives_the_batchs_statistics():
  x = 3.0 + 2.0 * jax.random.normal(jax.random.key(1), (6, 3, 4, 2))
  ones = jnp.ones(2)
  _, mean, variance = norm.normalized(x, ones, ones, ones, (), (), 1e-5)
  chex.assert_trees_all_close(mean, x.mean((0, 1, 2)), atol=1e-5)
  chex.assert_trees_all_close(variance, x.var((0, 1, 2)), atol=1e-4)
