"""Each form of a convolution against `lax.conv_general_dilated`."""

import chex
import jax
import jax.numpy as jnp
import pytest

from fbnax.ops import conv, shifted


def _normal(seed, shape):
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [(7, 7), (8, 6)])
def test_depthwise_and_its_gradients(side, stride, padding, size):
  x, kernel = _normal(0, (3, *size, 4)), _normal(1, (side, side, 1, 4))
  want = conv.lax_conv(x, kernel, stride, padding, groups=4)
  weight = _normal(2, want.shape)

  def gradients(form):
    return jax.jit(
      jax.grad(lambda x, k: (form(x, k) * weight).sum(), argnums=(0, 1))
    )(x, kernel)

  def ours(x, k):
    return shifted.depthwise(x, k, stride, padding)

  def reference(x, k):
    return conv.lax_conv(x, k, stride, padding, groups=4)

  chex.assert_trees_all_close(ours(x, kernel), want, atol=1e-5)
  chex.assert_trees_all_close(
    gradients(ours), gradients(reference), rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  "size, side, stride, padding",
  [
    ((2, 2), 5, 1, "symmetric"),
    ((4, 4), 5, 2, "same"),
    ((3, 2), 3, 2, "symmetric"),
    ((4, 4), 4, 1, 0),
  ],
)
def test_depthwise_on_small_maps(size, side, stride, padding):
  x, kernel = _normal(0, (3, *size, 4)), _normal(1, (side, side, 1, 4))
  weight = _normal(2, conv.lax_conv(x, kernel, stride, padding, 4).shape)

  def gradients(form):
    return jax.jit(
      jax.value_and_grad(
        lambda x, k: (form(x, k) * weight).sum(), argnums=(0, 1)
      )
    )(x, kernel)

  chex.assert_trees_all_close(
    gradients(lambda x, k: conv.depthwise(x, k, stride, padding)),
    gradients(lambda x, k: conv.lax_conv(x, k, stride, padding, 4)),
    rtol=1e-5,
    atol=1e-5,
  )


@pytest.mark.parametrize("side, stride", [(3, 1), (3, 2), (5, 2)])
@pytest.mark.parametrize(
  "images, rows, numbers, looped",
  [(6, 16, 2, 0), (4, 14, 4, 0), (6, 7, 2, 1e6)],
)
def test_depthwise_gradient_in_parts_and_blocks(
  side, stride, images, rows, numbers, looped, monkeypatch
):
  """Parts of a batch, blocks of a part, taps in a loop; many kernels."""
  shape = (2, images, rows, 6, 4)
  padded = (rows + side - 1) * (6 + side - 1) * 4
  monkeypatch.setattr(shifted, "_PART", numbers * padded)
  monkeypatch.setattr(shifted, "_LOOPED", looped)
  x, kernels = _normal(0, shape), _normal(1, (2, side, side, 1, 4))

  def loss(form, x, k):
    y = form(x, k)
    return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum()

  def gradients(form):
    one = jax.grad(lambda x, k: loss(form, x, k), argnums=(0, 1))
    return jax.jit(jax.vmap(one))(x, kernels)

  chex.assert_trees_all_close(
    gradients(lambda x, k: shifted.depthwise(x, k, stride, side // 2)),
    gradients(lambda x, k: conv.lax_conv(x, k, stride, side // 2, 4)),
    rtol=1e-5,
    atol=1e-4,
  )


@pytest.mark.parametrize("stride", [1, 2])
def test_full_convolution(stride):
  x, kernel = _normal(0, (2, 7, 8, 3)), _normal(1, (3, 3, 3, 5))
  chex.assert_trees_all_close(
    conv.conv(x, kernel, stride, 1),
    conv.lax_conv(x, kernel, stride, 1),
    atol=1e-5,
  )


@pytest.mark.parametrize("groups", [1, 2])
def test_pointwise(groups):
  x, kernel = _normal(0, (2, 5, 4, 6)), _normal(1, (1, 1, 6 // groups, 8))
  chex.assert_trees_all_close(
    conv.pointwise(x, kernel, groups),
    conv.lax_conv(x, kernel, 1, 0, groups),
    atol=1e-5,
  )


def test_depthwise_over_a_population_of_kernels():
  x, kernels = _normal(0, (3, 2, 6, 6, 4)), _normal(1, (3, 5, 5, 1, 4))
  together = jax.vmap(lambda x, k: conv.depthwise(x, k, 2, 2))(x, kernels)
  alone = [conv.lax_conv(x[i], kernels[i], 2, 2, 4) for i in range(3)]
  chex.assert_trees_all_close(together, jnp.stack(alone), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("images", [1, 7, 16])
def test_small_maps_pixel_by_pixel_and_gradients(images, side, stride):
  """Depthwise as a matrix between pixels, against `lax`."""
  keys = jax.random.split(jax.random.key(side), 3)
  x = jax.random.normal(keys[0], (images, 4, 3, 2))
  kernel = jax.random.normal(keys[1], (side, side, 1, 2))
  pad = side // 2

  def ours(x, kernel):
    dense = conv.dense_kernel(kernel, (4, 3), stride, pad)
    flat = conv.dense_depthwise(x.reshape(images, 12, 2), dense)
    return flat.reshape(images, -(-4 // stride), -(-3 // stride), 2)

  def theirs(x, kernel):
    return conv.lax_conv(x, kernel, stride, pad, groups=2)

  got, back = jax.vjp(ours, x, kernel)
  want, wanted = jax.vjp(theirs, x, kernel)
  chex.assert_trees_all_close(got, want, atol=1e-5)
  upper = jax.random.normal(keys[2], want.shape)
  chex.assert_trees_all_close(back(upper), wanted(upper), atol=2e-5)


@pytest.mark.parametrize("side, stride", [(3, 1), (3, 2), (5, 2), (1, 2)])
@pytest.mark.parametrize("size", [(7, 6), (8, 8), (2, 3)])
def test_same_is_that_of_lax(side, stride, size):
  """Depthwise, full and dense forms, and their gradients."""
  x, kernel = _normal(0, (2, *size, 3)), _normal(1, (side, side, 1, 3))
  full = _normal(2, (side, side, 3, 4))

  def lax_same(x, k, groups=1):
    return jax.lax.conv_general_dilated(
      x,
      k,
      (stride, stride),
      "SAME",
      dimension_numbers=conv.DIMENSIONS,
      feature_group_count=groups,
    )

  def dense(x, k):
    matrix = conv.dense_kernel(k, size, stride, "same")
    flat = conv.dense_depthwise(x.reshape(2, -1, 3), matrix)
    return flat.reshape(lax_same(x, k, 3).shape)

  def both(form, kernel):
    y = form(x, kernel)
    weight = jnp.cos(jnp.arange(y.size).reshape(y.shape))
    slopes = jax.grad(lambda x, k: (form(x, k) * weight).sum(), (0, 1))
    return y, slopes(x, kernel)

  want = both(lambda x, k: lax_same(x, k, 3), kernel)
  for form in (
    lambda x, k: shifted.depthwise(x, k, stride, "same"),
    lambda x, k: conv.lax_conv(x, k, stride, "same", 3),
    dense,
  ):
    chex.assert_trees_all_close(both(form, kernel), want, atol=2e-5)
  chex.assert_trees_all_close(
    both(lambda x, k: conv.conv(x, k, stride, "same"), full),
    both(lax_same, full),
    atol=5e-5,
  )


def test_an_unknown_padding_is_refused():
  with pytest.raises(ValueError, match="'SAME'; legal: symmetric, same"):
    shifted.edges("SAME", (4, 4), 3, 1)
