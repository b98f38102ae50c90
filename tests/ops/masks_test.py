"""Channel and kernel masks."""

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import ops
from fbnax.ops import masks


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
