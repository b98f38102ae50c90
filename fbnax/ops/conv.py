"""Convolutions in the form that is fast on the backend at hand.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` kernel side.
Kernels are HWIO; padding is symmetric, in pixels, as in the published networks.

On a CPU XLA's grouped convolution is slow, and slower still under `vmap` over
kernels, which makes every convolution a grouped one. There a pointwise
convolution is a matrix product, a depthwise one a sum of shifted products with
a gradient of its own, and a full one a product of patches; a population of
networks then vmaps into batched products. Elsewhere they are
`lax.conv_general_dilated`, which is also the reference in the tests.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_PACKED = 16  # Channels up to which `_of_pairs` is the faster.
_NARROW = 32  # Channels up to which `_narrow_toward_kernel` is the faster.


def lax_conv(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int = 1
) -> jax.Array:
  """The reference form, `f32[B, H, W, C]` to `f32[B, H', W', O]`."""
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    [(padding, padding)] * 2,
    dimension_numbers=DIMENSIONS,
    feature_group_count=groups,
  )


def conv(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
  """A full convolution.

  Args:
    x: `f32[B, H, W, C]`.
    kernel: `f32[K, K, C, O]`.
    stride: pixels.
    padding: pixels on each side.

  Returns:
    `f32[B, H', W', O]`.
  """
  if jax.default_backend() != "cpu":
    return lax_conv(x, kernel, stride, padding)
  patches = jnp.concatenate(
    list(_shifts(x, kernel.shape[0], stride, padding)), -1
  )
  return pointwise(patches, kernel.reshape(1, 1, -1, kernel.shape[-1]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
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
  taken = (np.asarray(tap)[..., None] == np.arange(3)).astype(np.float32)
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
    return total + flat @ patches.reshape(height * width, -1), None

  start = jnp.zeros((channels, rows * columns * out), x.dtype)
  total, _ = lax.scan(add, start, (x, cotangent))
  turned = total.reshape(channels, rows, columns, out)[:, ::-1, ::-1]
  return turned.transpose(1, 2, 0, 3)


def pointwise(x: jax.Array, kernel: jax.Array, groups: int = 1) -> jax.Array:
  """A 1x1 convolution as one matrix product over all pixels.

  Args:
    x: `f32[B, H, W, C]`.
    kernel: `f32[1, 1, C / groups, O]`.
    groups: groups of channels.

  Returns:
    `f32[B, H, W, O]`.
  """
  channels, out = x.shape[-1], kernel.shape[-1]
  if groups == 1:
    flat = x.reshape(-1, channels) @ kernel.reshape(channels, out)
  else:
    grouped = x.reshape(-1, groups, channels // groups)
    kernels = kernel.reshape(channels // groups, groups, out // groups)
    flat = jnp.einsum("ngc,cgo->ngo", grouped, kernels)
  return flat.reshape(*x.shape[:-1], out)


def depthwise(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
  """A convolution of each channel by itself.

  Args:
    x: `f32[B, H, W, C]`.
    kernel: `f32[K, K, 1, C]`.
    stride: pixels.
    padding: pixels on each side.

  Returns:
    `f32[B, H', W', C]`.
  """
  if jax.default_backend() != "cpu":
    return lax_conv(x, kernel, stride, padding, groups=x.shape[-1])
  return shifted_depthwise(x, kernel, stride, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def shifted_depthwise(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
  """`depthwise` as a sum of shifted products, the form for CPUs."""
  side = kernel.shape[0]
  taps = kernel.reshape(side * side, -1)
  shifts = _shifts(x, side, stride, padding)
  return sum(
    (shift * tap for shift, tap in zip(shifts, taps, strict=True)),
    start=jnp.zeros((), x.dtype),
  )


def _forward(
  x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return shifted_depthwise(x, kernel, stride, padding), (x, kernel)


def _backward(
  stride: int,
  padding: int,
  saved: tuple[jax.Array, jax.Array],
  cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  x, kernel = saved
  side = kernel.shape[0]
  # Toward the input: the same sum with the kernel turned around, over the
  # cotangent with zeros between its pixels.
  low = side - 1 - padding
  spread = [
    (low, size + padding - (1 + (cut - 1) * stride), stride - 1)
    for size, cut in zip(x.shape[1:3], cotangent.shape[1:3], strict=True)
  ]
  zero = jnp.zeros((), cotangent.dtype)
  spaced = lax.pad(cotangent, zero, [(0, 0, 0), *spread, (0, 0, 0)])
  to_x = shifted_depthwise(spaced, kernel[::-1, ::-1], 1, 0)

  # Toward the kernel: one image at a time, because a reduction over images
  # and pixels at once leaves the cache.
  def add(
    total: jax.Array, pair: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, None]:
    image, gradient = pair
    taps = _shifts(image[None], side, stride, padding)
    rows = [(tap[0] * gradient).sum((0, 1)) for tap in taps]
    return total + jnp.stack(rows), None

  start = jnp.zeros((side * side, x.shape[-1]), x.dtype)
  total, _ = lax.scan(add, start, (x, cotangent))
  return to_x, total.reshape(kernel.shape)


shifted_depthwise.defvjp(_forward, _backward)


def dense_kernel(
  kernel: jax.Array, size: tuple[int, int], stride: int, padding: int
) -> jax.Array:
  """A depthwise kernel as a matrix between the pixels of a small map.

  Args:
    kernel: `f32[K, K, 1, C]`.
    size: height and width of the input, pixels.
    stride: pixels.
    padding: pixels on each side.

  Returns:
    `f32[H' W', H W, C]`: what each pixel of the output takes from each of the
    input, for `dense_depthwise`.
  """
  side = kernel.shape[0]
  rows, columns = (_taps(n, side, stride, padding) for n in size)
  pairs = np.einsum("koi,lpj->klopij", rows, columns)
  outputs, inputs = pairs.shape[2] * pairs.shape[3], size[0] * size[1]
  taps = pairs.reshape(side * side, outputs * inputs).T
  dense = jnp.asarray(taps, kernel.dtype) @ kernel.reshape(side * side, -1)
  return dense.reshape(outputs, inputs, -1)


@jax.custom_vjp
def dense_depthwise(x: jax.Array, dense: jax.Array) -> jax.Array:
  """A depthwise convolution of a small map, every pixel with every pixel.

  On maps with no more pixels than a kernel has taps this is less work than
  shifted products, and much less to compile; kernels of several sizes have one
  form.

  Args:
    x: `f32[B, Q, C]`, the pixels in a row.
    dense: `f32[P, Q, C]`, see `dense_kernel`.

  Returns:
    `f32[B, P, C]`.
  """
  return sum(
    (x[:, None, q] * dense[:, q] for q in range(x.shape[1])),
    start=jnp.zeros((), x.dtype),
  )


def _dense_forward(x: jax.Array, dense: jax.Array) -> Any:
  return dense_depthwise(x, dense), (x, dense)


def _dense_backward(saved: Any, cotangent: jax.Array) -> Any:
  x, dense = saved
  to_x = dense_depthwise(cotangent, dense.swapaxes(0, 1))
  # A few images in each pass over the matrix.
  few = next(n for n in range(8, 0, -1) if x.shape[0] % n == 0)

  def add(total: jax.Array, pair: Any) -> tuple[jax.Array, None]:
    images, gradients = pair
    terms = (gradients[i][:, None] * images[i][None] for i in range(few))
    return total + sum(terms, start=jnp.zeros((), x.dtype)), None

  split = [a.reshape(-1, few, *a.shape[1:]) for a in (x, cotangent)]
  if split[0].shape[0] == 1:
    total, _ = add(jnp.zeros((), x.dtype), [a[0] for a in split])
  else:
    total, _ = lax.scan(add, jnp.zeros_like(dense), split)
  return to_x, total


dense_depthwise.defvjp(_dense_forward, _dense_backward)


def _taps(size: int, side: int, stride: int, padding: int) -> np.ndarray:
  """Along one side, which input an output takes by each tap, `[K, O, I]`."""
  outputs = (size + 2 * padding - side) // stride + 1
  taken = np.arange(outputs)[None] * stride + np.arange(side)[:, None] - padding
  return (taken[..., None] == np.arange(size)).astype(np.float32)


def _shifts(
  x: jax.Array, side: int, stride: int, padding: int
) -> list[jax.Array]:
  """The `side * side` shifted views of `x` that a kernel's taps multiply."""
  height, width = (
    (size + 2 * padding - side) // stride + 1 for size in x.shape[1:3]
  )
  edge = (padding, padding)
  padded = jnp.pad(x, ((0, 0), edge, edge, (0, 0)))
  return [
    padded[
      :,
      row : row + (height - 1) * stride + 1 : stride,
      column : column + (width - 1) * stride + 1 : stride,
    ]
    for row in range(side)
    for column in range(side)
  ]
