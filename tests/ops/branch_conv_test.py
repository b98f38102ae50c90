"""Convolutions for branches and loops against `lax`'s."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.ops import conv
from fbnax.ops.branch_conv import branch_conv


@pytest.mark.parametrize(("width", "channels"), [(5, 4), (6, 4), (6, 40)])
def test_a_convolution_for_branches_has_lax_gradients_of_both_orders(
  width, channels
):
  """Pixels in pairs and alone, narrow kernels and wide ones."""
  shapes = (3, 6, width, channels), (3, 3, channels, 2), (3, 6, width, 2)
  x, kernel, upper = (
    jnp.asarray(np.random.default_rng(i).normal(size=shape), jnp.float32)
    for i, shape in enumerate(shapes)
  )

  def losses(function):
    def loss(x, kernel):
      return (jnp.sin(function(x, kernel)) * upper).sum()

    first = jax.grad(loss, argnums=(0, 1))

    def second(x, kernel):
      return sum((g * g).sum() for g in first(x, kernel))

    return loss, first, jax.grad(second, argnums=(0, 1))

  ours = losses(lambda x, k: branch_conv(x, k, (1, 1)))
  theirs = losses(lambda x, k: conv.lax_conv(x, k, 1, 1))
  for mine, wanted in zip(ours, theirs, strict=True):
    for a, b in zip(
      jax.tree.leaves(jax.jit(mine)(x, kernel)),
      jax.tree.leaves(jax.jit(wanted)(x, kernel)),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)
