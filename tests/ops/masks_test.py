"""Channel and kernel masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import ops
from fbnax.ops import conv, masks


def test_channel_mask_is_the_weighted_sum_of_prefixes():
  got = ops.channel_mask(jnp.asarray([0.2, 0.3, 0.5]), (2, 3, 5), 6)
  np.testing.assert_allclose(got, [1, 1, 0.8, 0.5, 0.5, 0], atol=1e-7)


@pytest.mark.parametrize("channels", [(3, 2), (2, 2), (2, 9)])
def test_channel_mask_refuses(channels):
  with pytest.raises(ValueError, match="ascending"):
    ops.channel_mask(jnp.ones(2) / 2, channels, 8)


def test_kernel_mask_is_the_middle():
  want = np.zeros((5, 5))
  want[1:4, 1:4] = 1
  np.testing.assert_array_equal(masks.kernel_mask(3, 5)[..., 0, 0], want)
  assert masks.kernel_mask(5, 5).all()


def test_a_mask_is_the_sum_of_padded_convolutions():
  """Equations 3.2 and 3.3 of Wan 2022, with shared weights, and gradients."""
  keys = jax.random.split(jax.random.key(0), 4)
  x = jax.random.normal(keys[0], (2, 5, 5, 3))
  kernel = jax.random.normal(keys[1], (3, 3, 3, 8))
  weights = jax.nn.softmax(jax.random.normal(keys[2], (3,)))
  cotangent = jax.random.normal(keys[3], (2, 5, 5, 8))
  channels = (2, 5, 8)

  def convolve(x, kernel):
    return conv.lax_conv(x, kernel, 1, 1)

  def masked(x, kernel, weights):
    return convolve(x, kernel) * ops.channel_mask(weights, channels, 8)

  def padded(x, kernel, weights):
    parts = [
      jnp.pad(convolve(x, kernel[..., :c]), [(0, 0)] * 3 + [(0, 8 - c)])
      for c in channels
    ]
    return sum(w * part for w, part in zip(weights, parts, strict=True))

  given = (x, kernel, weights)
  found, back = jax.vjp(masked, *given)
  wanted, wanted_back = jax.vjp(padded, *given)
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
  for a, b in zip(back(cotangent), wanted_back(cotangent), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
