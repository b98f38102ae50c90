"""Convolutions for branches and loops against `lax`'s."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.ops import conv
from fbnax.ops.branch_conv import branch_conv


@pytest.mark.parametrize("width", [7, 8])
def test_in_16_bits_images_are_summed_in_32(width):
  """A sum of 256 images in bfloat16 was off by a tenth; `lax`'s is not."""
  shapes = (256, 8, width, 8), (3, 3, 8, 8), (256, 8, width, 8)
  x, kernel, cotangent = (
    jnp.asarray(np.random.default_rng(i).normal(size=shape), jnp.bfloat16)
    for i, shape in enumerate(shapes)
  )

  def gradients(function, dtype):
    given = (a.astype(dtype) for a in (x, kernel))
    y, back = jax.vjp(function, *given)
    assert y.dtype == dtype
    return back(cotangent.astype(dtype))

  ours = gradients(lambda x, k: branch_conv(x, k, (1, 1)), jnp.bfloat16)
  exact = gradients(lambda x, k: conv.lax_conv(x, k, 1, 1), jnp.float32)
  for found, wanted in zip(ours, exact, strict=True):
    assert found.dtype == jnp.bfloat16
    largest = float(jnp.abs(wanted).max())
    np.testing.assert_allclose(
      found.astype(jnp.float32), wanted, atol=0.015 * largest
    )


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
