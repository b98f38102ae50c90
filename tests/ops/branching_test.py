"""The switch whose gradient is a switch, against `lax.switch`."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fbnax.ops.branching import recomputed_switch

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(4,)).astype(np.float32)


def kept_switch(index, branches, *operands, fixed=()):
  """`lax.switch`, called in the same way."""
  return lax.switch(index, branches, fixed, *operands)


def losses(switch, index):
  """The loss, its gradients, and those of the gradients' squares."""

  def loss(x, w, scale):
    def scaled(_, x, w):  # Closes over a traced value.
      return jnp.sin(x * w["w"]) * scale, jnp.tanh(x).sum()

    branches = [
      lambda _, x, w: (x, jnp.zeros(())),
      scaled,
      lambda power, x, w: (x**power, w["w"].sum()),
    ]
    y, z = switch(index, branches, x, {"w": w}, fixed=jnp.int32(2))
    return (y**3).sum() + z

  first = jax.grad(loss, argnums=(0, 1, 2))

  def second(*arguments):
    return sum((g * g).sum() for g in first(*arguments))

  return loss, first, jax.grad(second, argnums=(0, 1, 2))


@pytest.mark.parametrize("index", range(3))
def test_values_and_gradients_are_those_of_a_switch(index):
  ours = losses(recomputed_switch, jnp.int32(index))
  theirs = losses(kept_switch, jnp.int32(index))
  for mine, wanted in zip(ours, theirs, strict=True):
    arguments = X, W, jnp.float32(0.7)
    chex.assert_trees_all_close(
      jax.jit(mine)(*arguments), jax.jit(wanted)(*arguments), rtol=1e-5
    )


def test_nothing_but_the_operands_is_kept():
  def kept(switch):
    def loss(x):
      branches = [
        lambda _, x: jnp.sin(x),
        lambda _, x: jnp.exp(jnp.tanh(jnp.cos(x))),
      ]
      return switch(jnp.int32(1), branches, x).sum()

    _, back = jax.vjp(loss, jnp.asarray(X))
    leaves = [leaf for leaf in jax.tree.leaves(back) if leaf.shape == X.shape]
    return len(leaves)

  assert kept(recomputed_switch) == 1
  assert kept(kept_switch) > 1


def test_inside_a_loop_over_different_choices():
  def run(switch):
    def loss(x):
      def step(x, index):
        branches = [
          lambda _, x: jnp.sin(x),
          lambda _, x: jnp.exp(x),
          lambda _, x: x,
        ]
        return switch(index, branches, x), None

      return lax.scan(step, x, jnp.asarray([2, 0, 1, 0]))[0].sum()

    return jax.jit(jax.value_and_grad(loss))(X)

  chex.assert_trees_all_close(run(recomputed_switch), run(kept_switch))
