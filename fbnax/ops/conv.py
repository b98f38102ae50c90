"""Convolutions in the form that is fast on the backend at hand.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` kernel side.
Kernels are HWIO; padding is pixels on each side, or a rule: "symmetric", as in
the published networks, or "same" (see `fbnax.ops.shifted.edges`). All is
computed in the precision of the kernel.

On a CPU XLA's grouped convolution is slow, and slower still under `vmap` over
kernels, which makes every convolution a grouped one. There a pointwise
convolution is a matrix product, a depthwise one a sum of shifted products with
a gradient of its own (`fbnax.ops.shifted`), or of pixels where the map is
small, and a full one a product of patches; a population of networks then vmaps
into batched products. Elsewhere all but the pointwise one are
`lax.conv_general_dilated`, which is also the reference in the tests.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fbnax.ops import shifted
from fbnax.ops.hand_written import gradient_by_hand
from fbnax.ops.shifted import Padding, edges

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def lax_conv(
  x: jax.Array,
  kernel: jax.Array,
  stride: int,
  padding: Padding,
  groups: int = 1,
) -> jax.Array:
  """The reference form, `f32[B, H, W, C]` to `f32[B, H', W', O]`."""
  return lax.conv_general_dilated(
    x.astype(kernel.dtype),
    kernel,
    (stride, stride),
    edges(padding, x.shape[1:3], kernel.shape[0], stride),
    dimension_numbers=DIMENSIONS,
    feature_group_count=groups,
  )


def conv(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """A full convolution.

  Args:
    x: `f32[B, H, W, C]`.
    kernel: `f32[K, K, C, O]`.
    stride: pixels.
    padding: pixels on each side, or a rule.

  Returns:
    `f32[B, H', W', O]`.
  """
  if jax.default_backend() != "cpu":
    return lax_conv(x, kernel, stride, padding)
  x = x.astype(kernel.dtype)
  around = edges(padding, x.shape[1:3], kernel.shape[0], stride)
  padded = shifted.pad(x, around)
  patches = jnp.concatenate(shifted.views(padded, kernel.shape[0], stride), -1)
  return pointwise(patches, kernel.reshape(1, 1, -1, kernel.shape[-1]))


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
  x = x.astype(kernel.dtype)
  if groups == 1:
    flat = x.reshape(-1, channels) @ kernel.reshape(channels, out)
  else:
    grouped = x.reshape(-1, groups, channels // groups)
    kernels = kernel.reshape(channels // groups, groups, out // groups)
    flat = jnp.einsum("ngc,cgo->ngo", grouped, kernels)
  return flat.reshape(*x.shape[:-1], out)


def depthwise(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """A convolution of each channel by itself.

  Args:
    x: `f32[B, H, W, C]`.
    kernel: `f32[K, K, 1, C]`.
    stride: pixels.
    padding: pixels on each side, or a rule.

  Returns:
    `f32[B, H', W', C]`.
  """
  if jax.default_backend() != "cpu":
    return lax_conv(x, kernel, stride, padding, groups=x.shape[-1])
  x, size = x.astype(kernel.dtype), (x.shape[1], x.shape[2])
  if is_small(size, kernel.shape[0]):
    dense = dense_kernel(kernel, size, stride, padding)
    flat = dense_depthwise(x.reshape(x.shape[0], -1, x.shape[-1]), dense)
    around = shifted.edges(padding, size, kernel.shape[0], stride)
    after = (
      (n + sum(pads) - kernel.shape[0]) // stride + 1
      for n, pads in zip(size, around, strict=True)
    )
    return flat.reshape(x.shape[0], *after, x.shape[-1])
  return shifted.depthwise(x, kernel, stride, padding)


def is_small(size: tuple[int, int], side: int) -> bool:
  """Whether a map has no more pixels than a kernel has taps."""
  return size[0] * size[1] <= side * side


def dense_kernel(
  kernel: jax.Array, size: tuple[int, int], stride: int, padding: Padding
) -> jax.Array:
  """A depthwise kernel as a matrix between the pixels of a small map.

  Args:
    kernel: `f32[K, K, 1, C]`.
    size: height and width of the input, pixels.
    stride: pixels.
    padding: pixels on each side, or a rule.

  Returns:
    `f32[H' W', H W, C]`: what each pixel of the output takes from each of the
    input, for `dense_depthwise`.
  """
  side = kernel.shape[0]
  around = edges(padding, size, side, stride)
  rows, columns = (
    _taps(n, side, stride, pads) for n, pads in zip(size, around, strict=True)
  )
  pairs = np.einsum("koi,lpj->klopij", rows, columns)
  outputs, inputs = pairs.shape[2] * pairs.shape[3], size[0] * size[1]
  taps = pairs.reshape(side * side, outputs * inputs).T
  dense = jnp.asarray(taps, kernel.dtype) @ kernel.reshape(side * side, -1)
  return dense.reshape(outputs, inputs, -1)


@gradient_by_hand
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
  # Sums over images are of 32 bits at least.
  wide = jnp.promote_types(x.dtype, jnp.float32)

  def add(total: jax.Array, pair: Any) -> tuple[jax.Array, None]:
    images, gradients = pair
    gradients = gradients.astype(wide)
    terms = (gradients[i][:, None] * images[i][None] for i in range(few))
    return total + sum(terms, start=jnp.zeros((), wide)), None

  split = [a.reshape(-1, few, *a.shape[1:]) for a in (x, cotangent)]
  if split[0].shape[0] == 1:
    total, _ = add(jnp.zeros((), wide), [a[0] for a in split])
  else:
    total, _ = lax.scan(add, jnp.zeros(dense.shape, wide), split)
  return to_x, total.astype(dense.dtype)


dense_depthwise.defvjp(_dense_forward, _dense_backward)


def _taps(
  size: int, side: int, stride: int, pads: tuple[int, int]
) -> np.ndarray:
  """Along one side, which input an output takes by each tap, `[K, O, I]`."""
  outputs = (size + sum(pads) - side) // stride + 1
  taken = np.arange(outputs)[None] * stride + np.arange(side)[:, None] - pads[0]
  return (taken[..., None] == np.arange(size)).astype(np.float32)
