import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fbnax import ops


def convolve(x, kernel, stride=1, dilation=1):
  pad = (kernel.shape[0] // 2) * dilation
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    [(pad, pad)] * 2,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


@pytest.mark.parametrize("factor", [2, 4])
def test_operating_on_less_is_a_dilated_operation(factor):
  """Figure 3.4 E of Wan 2022: the receptive field keeps its size."""
  x = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 5))
  side = 16 // factor
  found = convolve(ops.subsample(x, side, side), kernel)
  dilated = convolve(x, kernel, dilation=factor)
  np.testing.assert_allclose(
    found, dilated[:, ::factor, ::factor], rtol=1e-4, atol=1e-4
  )


@pytest.mark.parametrize(
  ("size", "smaller"), [(8, 4), (8, 6), (224, 160), (7, 7)]
)
def test_pixels_go_back_to_where_they_came_from(size, smaller):
  x = 1.0 + jnp.arange(size * size, dtype=float).reshape(1, size, size, 1)
  less = ops.subsample(x, smaller, smaller)
  places = np.floor(np.arange(smaller) * size / smaller).astype(int)
  np.testing.assert_array_equal(less[0, :, :, 0], x[0, places][:, places, 0])
  back = np.asarray(ops.intersperse(less, size, size))
  wanted = np.zeros_like(x)
  for i in places:
    wanted[0, i, places] = x[0, i, places]
  np.testing.assert_array_equal(back, wanted)


def test_only_the_corners_are_contaminated():
  """Figure 3.5: a 2 x 2 and a 4 x 4 in an 8 x 8 share four pixels."""
  ones = jnp.ones((1, 8, 8, 1))
  maps = [
    ops.intersperse(ops.subsample(ones, side, side), 8, 8) for side in (2, 4)
  ]
  both = np.argwhere(np.asarray(maps[0] * maps[1])[0, :, :, 0])
  np.testing.assert_array_equal(both, [[0, 0], [0, 4], [4, 0], [4, 4]])


def test_it_is_the_weighted_sum_of_the_resolutions():
  x = jax.random.normal(jax.random.key(2), (2, 8, 8, 3))
  kernel = jax.random.normal(jax.random.key(3), (3, 3, 3, 3))
  weights = jnp.asarray([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
  sides = (4, 6, 8)
  found = ops.resolution_subsampled(
    lambda y: convolve(y, kernel), x, weights, sides
  )
  wanted = np.zeros((2, 8, 8, 3))
  for i, side in enumerate(sides):
    places = np.arange(side) * 8 // side
    part = np.asarray(convolve(x[:, places][:, :, places], kernel))
    for image in range(2):
      grid = np.ix_(places, places)
      wanted[image][grid] += float(weights[image, i]) * part[image]
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
  shared = ops.resolution_subsampled(
    lambda y: convolve(y, kernel), x, weights[0], sides
  )
  np.testing.assert_allclose(shared[0], found[0], rtol=1e-5, atol=1e-5)


def test_a_single_resolution_costs_nothing():
  jaxpr = jax.make_jaxpr(
    lambda x, w: ops.resolution_subsampled(lambda y: y + 1, x, w, [8])
  )(jnp.ones((1, 8, 8, 1)), jnp.ones(1))
  assert [e.primitive.name for e in jaxpr.eqns] == ["add"]


def test_what_it_refuses():
  x = jnp.ones((1, 8, 8, 1))
  with pytest.raises(ValueError, match="8 pixels is subsampled to 9; legal"):
    ops.subsample(x, 9, 8)
  with pytest.raises(ValueError, match="2 weights and 1 operations"):
    ops.resolution_subsampled([lambda y: y], x, jnp.ones(2), (4, 8))
