"""Full convolutions inside branches and loops, where XLA's own are slow.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` kernel side.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fbnax.ops.conv import DIMENSIONS
from fbnax.ops.hand_written import gradient_by_hand

_PACKED = 16  # Channels up to which `_of_pairs` is the faster.
_NARROW = 32  # Channels up to which `_narrow_toward_kernel` is the faster.


@functools.partial(gradient_by_hand, nondiff_argnums=(2,))
def branch_conv(
  x: jax.Array, kernel: jax.Array, padding: tuple[int, int]
) -> jax.Array:
  """A full convolution of stride 1 for use in branches and loops.

  Inside `lax.cond` and `lax.scan` XLA brings the axes of a convolution's
  gradients into no order that its fast kernels take: on a CPU they are 20 times
  slower there (440 ms in place of 21 toward a 3x3 kernel of 16 channels at 32 x
  32, batch 64). Here both gradients are forward convolutions again.

  Args:
    x: `f32[B, H, W, C]`.
    kernel: `f32[K, K', C, O]`.
    padding: pixels above and below, and to the left and right.

  Returns:
    `f32[B, H', W', O]`.
  """
  packed = (
    jax.default_backend() == "cpu"
    and kernel.shape[1] == 3
    and padding[1] == 1
    and max(kernel.shape[2:]) <= _PACKED
    and x.shape[2] % 2 == 0
  )
  wide = _of_pairs(kernel) if packed else kernel
  pixels = x.reshape(*x.shape[:2], -1, wide.shape[2])
  y = lax.conv_general_dilated(
    pixels,
    wide,
    (1, 1),
    [(side, side) for side in padding],
    dimension_numbers=DIMENSIONS,
  )
  return y.reshape(*y.shape[:2], -1, kernel.shape[3])


def _of_pairs(kernel: jax.Array) -> jax.Array:
  """The kernel for pairs of neighbours that are taken as one pixel.

  Half of it is zeros, and with few channels it is still twice as fast (5 ms in
  place of 10 for 16 channels at 32 x 32, batch 64).

  Args:
    kernel: `f32[K, 3, C, O]`.

  Returns:
    `f32[K, 3, 2 C, 2 O]`.
  """
  # Which tap leads from pixel q of the pair at distance d to pixel p.
  tap = [
    [[2 * d + q - p + 1 for p in range(2)] for q in range(2)]
    for d in (-1, 0, 1)
  ]
  taken = jnp.asarray(np.asarray(tap)[..., None] == np.arange(3), kernel.dtype)
  wide = jnp.einsum("dqpt,ktco->kdqcpo", taken, kernel)
  rows, _, channels, out = kernel.shape
  return wide.reshape(rows, 3, 2 * channels, 2 * out)


def _branch_forward(
  x: jax.Array, kernel: jax.Array, padding: tuple[int, int]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return branch_conv(x, kernel, padding), (x, kernel)


def _branch_backward(
  padding: tuple[int, int],
  saved: tuple[jax.Array, jax.Array],
  cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  x, kernel = saved
  turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
  low, left = padding
  around = (kernel.shape[0] - 1 - low, kernel.shape[1] - 1 - left)
  to_x = branch_conv(cotangent, turned, around)
  if jax.default_backend() == "cpu" and kernel.shape[2] <= _NARROW:
    return to_x, _narrow_toward_kernel(x, kernel, cotangent, around)
  # Images take the place of channels, and the cotangent that of the kernel.
  to_kernel = branch_conv(
    x.transpose(3, 1, 2, 0), cotangent.transpose(1, 2, 0, 3), padding
  )
  return to_x, to_kernel.transpose(1, 2, 0, 3)


branch_conv.defvjp(_branch_forward, _branch_backward)


def _narrow_toward_kernel(
  x: jax.Array, kernel: jax.Array, cotangent: jax.Array, around: tuple[int, int]
) -> jax.Array:
  """The gradient toward the kernel as a product for each image, in the cache.

  With few channels that takes 7 ms in place of 12 (3x3, 16 channels at 32 x 32,
  batch 64), with 64 it is the slower.
  """
  rows, columns, channels, out = kernel.shape
  padding = [(0, 0), *((side, side) for side in around), (0, 0)]

  def add(
    total: jax.Array, pair: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, None]:
    image, gradient = pair
    padded = jnp.pad(gradient[None], padding)[0]
    height, width = image.shape[:2]
    patches = jnp.concatenate(
      [
        padded[row : row + height, column : column + width]
        for row in range(rows)
        for column in range(columns)
      ],
      -1,
    )
    flat = image.reshape(-1, channels).T
    product = jnp.dot(
      flat,
      patches.reshape(height * width, -1),
      preferred_element_type=total.dtype,
    )
    return total + product, None

  # A sum over many images in 16 bits would lose most of the later ones.
  wide = jnp.promote_types(x.dtype, jnp.float32)
  start = jnp.zeros((channels, rows * columns * out), wide)
  total, _ = lax.scan(add, start, (x, cotangent))
  turned = total.reshape(channels, rows, columns, out)[:, ::-1, ::-1]
  return turned.transpose(1, 2, 0, 3).astype(x.dtype)
