"""Resolution subsampling: many resolutions in one feature map.

Figures 3.2 to 3.5 of Wan 2022. A map of a lower resolution lives in some
pixels of the largest one; an operation takes these pixels out, runs on the
small map, so that its receptive field is right, and puts the results back
between zeros into the pixels that they came from. All indices are static.

Symbols: `B` images, `H`, `W` height and width, `h`, `w` the smaller ones, `C`
channels, `R` resolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Operation = Callable[[jax.Array], jax.Array]


def nearest(size: int, smaller: int) -> np.ndarray:
  """The pixels of a side that a smaller one is taken from, `i32[smaller]`.

  Pixel `i` comes from `floor(i * size / smaller)`.

  Raises:
    ValueError: `smaller` is larger than `size`, or not positive.
  """
  if not 1 <= smaller <= size:
    raise ValueError(
      f"a side of {size} pixels is subsampled to {smaller}; legal: 1 to {size}"
    )
  return np.arange(smaller) * size // smaller


def subsample(x: jax.Array, height: int, width: int) -> jax.Array:
  """The nearest pixels: `f32[B, H, W, C]` to `f32[B, h, w, C]`.

  Raises:
    ValueError: a side would grow.
  """
  for axis, smaller in ((1, height), (2, width)):
    size = x.shape[axis]
    pixels = nearest(size, smaller)
    if smaller == size:
      continue
    if size % smaller == 0:
      # A strided slice and its gradient are faster than a gather and its.
      x = jax.lax.slice_in_dim(x, 0, size, size // smaller, axis)
    else:
      x = _take(x, pixels, axis, unique=True)
  return x


def intersperse(x: jax.Array, height: int, width: int) -> jax.Array:
  """Puts pixels back between zeros: `f32[B, h, w, C]` to `f32[B, H, W, C]`.

  `subsample` takes the same pixels out again.

  Raises:
    ValueError: a side would shrink.
  """
  for axis, size in ((1, height), (2, width)):
    smaller = x.shape[axis]
    pixels = nearest(size, smaller)
    if smaller == size:
      continue
    edges = [(0, 0, 0)] * 4
    zero = jnp.zeros((), x.dtype)
    if size % smaller == 0:
      factor = size // smaller
      edges[axis] = (0, factor - 1, factor - 1)
      x = jax.lax.pad(x, zero, edges)
    else:
      edges[axis] = (0, 1, 0)  # Where no pixel goes, this zero is taken.
      source = np.full(size, smaller)
      source[pixels] = np.arange(smaller)
      x = _take(jax.lax.pad(x, zero, edges), source, axis, unique=False)
  return x


def resolution_subsampled(
  operation: Operation | Sequence[Operation],
  x: jax.Array,
  weights: jax.Array,
  resolutions: Sequence[tuple[int, int] | int],
) -> jax.Array:
  """An operation at several resolutions, summed in the map of the largest.

  For each option: subsample, operate, put the results back between zeros, and
  weigh (Figure 3.2 of Wan 2022). At one-hot weights this is the operation on
  the subsampled map, put back. A single option costs nothing.

  Args:
    operation: `f32[B, h, w, C]` to `f32[B, h', w', C']` for any `h` and `w`,
      or one such function for each option.
    x: `f32[B, H, W, C]`.
    weights: `f32[R]`, or `f32[B, R]` for each example's own; they sum to one.
    resolutions: for each option height and width in `x`, or one side in pixels.

  Returns:
    `f32[B, H', W', C']`, as large as the largest option's result.

  Raises:
    ValueError: there are not as many weights or operations as resolutions, or
      one of them is larger than `x`.
  """
  sizes = [(r, r) if isinstance(r, int) else tuple(r) for r in resolutions]
  operations = (
    [operation] * len(sizes) if callable(operation) else list(operation)
  )
  if not len(sizes) == len(operations) == weights.shape[-1]:
    raise ValueError(
      f"{weights.shape[-1]} weights and {len(operations)} operations for "
      f"{len(sizes)} resolutions {sizes}; legal: as many of each"
    )
  results = [
    function(subsample(x, *size))
    for function, size in zip(operations, sizes, strict=True)
  ]
  if len(results) == 1:
    return results[0]
  height, width = (max(y.shape[axis] for y in results) for axis in (1, 2))
  total: Any = 0.0
  for i, result in enumerate(results):
    weight = weights[..., i, None, None, None].astype(result.dtype)
    total = total + weight * intersperse(result, height, width)
  return total


def _take(
  x: jax.Array, pixels: np.ndarray, axis: int, unique: bool
) -> jax.Array:
  return jnp.take(
    x,
    pixels,
    axis,
    mode="clip",
    unique_indices=unique,
    indices_are_sorted=unique,
  )
