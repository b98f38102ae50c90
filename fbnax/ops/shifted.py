"""Depthwise convolutions as sums of shifted products, the form for CPUs.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` kernel side.
Padding is as in `fbnax.ops.conv`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.ops.hand_written import gradient_by_hand

_WIDE = 32  # Channels.
_PART = 2**17  # Numbers of a part of a batch that is taken through a cache.
_READ = 16  # Blocks of a part that are summed up at once, see `_block`.
# Numbers of a batch; up to them the kernel's gradient is a loop over taps. That
# compiles in a fifth of the time and runs 1.3 times as long (5x5, 64 x 8 x 8 x
# 48, 0.4 ms of a training step), or where there are more 2.5 times.
_LOOPED = 2**19

# Pixels of padding: on each side, or a rule; see `edges`.
Padding = int | str
# Before and after an image's rows, and its columns.
Edges = tuple[tuple[int, int], tuple[int, int]]


def edges(
  padding: Padding, size: tuple[int, ...], side: int, stride: int
) -> Edges:
  """Pixels before and after an image of `size`.

  Args:
    padding: pixels on each side; or "symmetric", `side // 2` on each, as
      PyTorch's networks pad; or "same", as TensorFlow's do: as few as give
      `ceil(size / stride)`, the odd one after the image.
    size: height and width, pixels.
    side: of the kernel, pixels.
    stride: pixels.

  Raises:
    ValueError: the padding is none of these.
  """
  if padding == "symmetric":
    padding = side // 2
  if padding == "same":
    rows, columns = (
      max((-(-n // stride) - 1) * stride + side - n, 0) for n in size
    )
    return (
      (rows // 2, rows - rows // 2),
      (columns // 2, columns - columns // 2),
    )
  if isinstance(padding, str):
    raise ValueError(
      f"padding is {padding!r}; legal: symmetric, same, or pixels on each side"
    )
  return (padding, padding), (padding, padding)


def depthwise(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """As `fbnax.ops.conv.depthwise`, which takes this form on a CPU."""
  around = edges(padding, x.shape[1:3], kernel.shape[0], stride)
  return _depthwise(x, kernel, stride, around)


@functools.partial(gradient_by_hand, nondiff_argnums=(2, 3))
def _depthwise(
  x: jax.Array, kernel: jax.Array, stride: int, around: Edges
) -> jax.Array:
  return _sum_of_taps(pad(x, around), kernel, stride)


def _forward(
  x: jax.Array, kernel: jax.Array, stride: int, around: Edges
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  # What is kept is what was made for the sum: to keep `x` as well would have
  # it computed twice.
  padded = pad(x, around)
  return _sum_of_taps(padded, kernel, stride), (padded, kernel)


def _backward(
  stride: int,
  around: Edges,
  saved: tuple[jax.Array, jax.Array],
  cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  padded, kernel = saved
  side = kernel.shape[0]
  # Toward the input: the same sum with the kernel turned around, over the
  # cotangent with zeros between its pixels.
  spread = [
    (side - 1 - low, size - high - (1 + (cut - 1) * stride), stride - 1)
    for (low, high), size, cut in zip(
      around, padded.shape[1:3], cotangent.shape[1:3], strict=True
    )
  ]
  zero = jnp.zeros((), cotangent.dtype)
  spaced = lax.pad(cotangent, zero, [(0, 0, 0), *spread, (0, 0, 0)])
  to_x = _depthwise(spaced, kernel[::-1, ::-1], 1, ((0, 0), (0, 0)))

  to_kernel = _kernel_gradient(padded, cotangent, side, stride)
  return to_x, to_kernel.astype(kernel.dtype).reshape(kernel.shape)


_depthwise.defvjp(_forward, _backward)


def _kernel_gradient(
  padded: jax.Array, cotangent: jax.Array, side: int, stride: int
) -> jax.Array:
  """Of a depthwise convolution, `f32[K K, C]`.

  A few images at a time, because a reduction over all of them at once leaves
  the cache. They are cut out by their place: arrays that are split for a scan
  would be computed, or copied, once more.

  Args:
    padded: its padded input, `f32[B, H, W, C]`.
    cotangent: of its output, `f32[B, H', W', C]`.
    side: `K`.
    stride: pixels.
  """
  images, rows, columns, channels = cotangent.shape
  few = _few(images, padded[0].size)
  # At least float32, whatever the network computes in.
  precise = jnp.promote_types(padded.dtype, jnp.float32)

  def slices(index: Any) -> tuple[jax.Array, jax.Array]:
    own, gradients = (
      lax.dynamic_slice_in_dim(a, index * few, few) for a in (padded, cotangent)
    )
    return own, gradients

  def part(index: Any) -> tuple[list[jax.Array], jax.Array]:
    own, gradients = slices(index)
    return views(own, side, stride), gradients

  if cotangent.size <= _LOOPED:

    def add_taps(index: Any, total: jax.Array) -> jax.Array:
      return total + _looped(*slices(index), side, stride, precise)

    start = jnp.zeros((side * side, channels), precise)
    return lax.fori_loop(0, images // few, add_taps, start)

  if side * side < 4 * stride * stride:
    # Each number is read so seldom that a copy of the part does not pay.
    def add(index: Any, total: jax.Array) -> jax.Array:
      taps, gradients = part(index)
      sums = [_summed((tap * gradients).astype(precise)) for tap in taps]
      return total + jnp.stack(sums)

    start = jnp.zeros((side * side, channels), precise)
    return lax.fori_loop(0, images // few, add, start)

  deep, high = _block(few, rows)
  blocks = [
    (slice(image, image + deep), slice(row, row + high))
    for image in range(0, few, deep)
    for row in range(0, rows, high)
  ]

  def fold(index: Any, totals: list[jax.Array]) -> list[jax.Array]:
    taps, gradients = part(index)
    return [
      sum((tap[b] * gradients[b] for b in blocks), start=total)
      for tap, total in zip(taps, totals, strict=True)
    ]

  start = jnp.zeros((deep, high, columns, channels), precise)
  totals = lax.fori_loop(0, images // few, fold, [start] * side**2)
  return jnp.stack([_summed(total) for total in totals])


def _looped(
  padded: jax.Array, cotangent: jax.Array, side: int, stride: int, precise: Any
) -> jax.Array:
  """As `_kernel_gradient`, tap by tap: one kernel of XLA for all of them."""
  images, rows, columns, channels = cotangent.shape
  size = (images, (rows - 1) * stride + 1, (columns - 1) * stride + 1, channels)

  def tap(index: Any) -> jax.Array:
    zero = jnp.zeros((), index.dtype)
    corner = (zero, index // side, index % side, zero)
    view = lax.dynamic_slice(padded, corner, size)[:, ::stride, ::stride]
    return _summed((view * cotangent).astype(precise))

  return lax.map(tap, jnp.arange(side * side))


def _block(images: int, rows: int) -> tuple[int, int]:
  """How many images and rows a block has, of a part that is cut into blocks.

  XLA moves the cutting of a part out of its array into every sum that reads the
  part, and LLVM does not vectorise a sum over what begins anywhere: four times
  as slow. It copies the part first if a sum reads it at more than 15 places.
  """
  numbers = [
    (a, b)
    for a in range(1, images + 1)
    for b in range(1, rows + 1)
    if images % a == rows % b == 0
  ]

  def badness(number: tuple[int, int]) -> tuple[bool, int]:
    blocks = number[0] * number[1]
    return blocks < _READ, abs(blocks - _READ)

  a, b = min(numbers, key=badness)
  return images // a, rows // b


def _few(images: int, size: int) -> int:
  """How many images of so many numbers are one part, which the cache holds."""
  most = max(_PART // size, 1)
  return next(n for n in range(min(most, images), 0, -1) if images % n == 0)


def _summed(x: jax.Array) -> jax.Array:
  """Over all pixels, `f32[B, H, W, C]` to `f32[C]`.

  As a product with ones, which is twice as fast as a sum, but where there are
  few channels.
  """
  if x.shape[-1] < _WIDE:
    return x.sum((0, 1, 2))
  flat = x.reshape(-1, x.shape[-1])
  return jnp.ones((flat.shape[0],), x.dtype) @ flat


def pad(x: jax.Array, around: Edges) -> jax.Array:
  """Zeros around each image."""
  return jnp.pad(x, ((0, 0), *around, (0, 0)))


def _sum_of_taps(
  padded: jax.Array, kernel: jax.Array, stride: int
) -> jax.Array:
  side = kernel.shape[0]
  taps = kernel.reshape(side * side, -1)
  shifted = views(padded, side, stride)
  return sum(
    (view * tap for view, tap in zip(shifted, taps, strict=True)),
    start=jnp.zeros((), padded.dtype),
  )


def views(padded: jax.Array, side: int, stride: int) -> list[jax.Array]:
  """The `side * side` shifted views of images that a kernel's taps multiply."""
  height, width = ((size - side) // stride + 1 for size in padded.shape[1:3])
  return [
    padded[
      :,
      row : row + (height - 1) * stride + 1 : stride,
      column : column + (width - 1) * stride + 1 : stride,
    ]
    for row in range(side)
    for column in range(side)
  ]
