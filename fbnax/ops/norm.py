"""Batch normalisation in two stages.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.ops.hand_written import gradient_by_hand


def batch_statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Mean and variance of each channel, `f32[B, H, W, C]` to two `f32[C]`.

  Summed within an image first and over the batch then: twice as fast on a CPU
  as one reduction over three axes, and more exact.
  """
  # At least float32, whatever the network computes in.
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  mean = x.mean((1, 2)).mean(0)
  square = (x * x).mean((1, 2)).mean(0)
  mean, variance = once(mean, jnp.maximum(square - mean * mean, 0.0))
  return mean, variance


def once(*vectors: jax.Array) -> tuple[jax.Array, ...]:
  """The same vectors, computed once, and so their gradients.

  XLA for CPUs moves what is computed of a few channels into the loops over all
  pixels that use it, square roots and divisions too, which can take as long as
  the rest. It does not move products of matrices: with the identity here.

  Args:
    *vectors: `f32[C]` each.
  """
  if jax.default_backend() != "cpu":
    return vectors
  same = jnp.eye(len(vectors), dtype=vectors[0].dtype)
  return tuple(same @ jnp.stack(vectors))


def normalize(
  x: jax.Array,
  mean: jax.Array,
  variance: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
) -> jax.Array:
  """`(x - mean) / sqrt(variance + epsilon) * scale + bias`."""
  factor = scale * lax.rsqrt(variance + epsilon)
  factor, offset = once(factor, bias - mean * factor)
  return (x * factor + offset).astype(x.dtype)


def relu(x: jax.Array, derivative: bool = False) -> jax.Array:
  """`max(x, 0)`, or its derivative."""
  return (x > 0).astype(x.dtype) if derivative else jax.nn.relu(x)


def hswish(x: jax.Array, derivative: bool = False) -> jax.Array:
  """`x relu6(x + 3) / 6`, or its derivative."""
  gated = jnp.clip(x + 3.0, 0.0, 6.0)
  if derivative:
    return gated / 6.0 + jnp.where(jnp.abs(x) < 3.0, x / 6.0, 0.0)
  return x * gated / 6.0


@functools.partial(gradient_by_hand, nondiff_argnums=(5, 6))
def normalized(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  factor: jax.Array,
  hard: jax.Array,
  activation: str | None,
  epsilon: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """BN by the batch's statistics, activation and a factor in one.

  What the parts compute in turn, with a gradient that keeps `x` alone and takes
  half of the passes, and half of the time to compile. The statistics that are
  returned are for running averages: no gradient flows through them.

  Args:
    x: `f32[B, H, W, C]`.
    scale: `f32[C]`.
    bias: `f32[C]`.
    factor: of the result, a mask or a weight; `f32[C]` or `f32[B, 1, 1, C]`,
      or `f32[1, 1, 1, C]`.
    hard: `bool[]`, which of the two activations it is if that is "either".
    activation: "relu", "hswish", "either" or None.
    epsilon: of the BN.

  Returns:
    `f32[B, H, W, C]`; mean and variance, `f32[C]`.
  """
  return _normalized(x, scale, bias, factor, hard, activation, epsilon)[0]


def _normalized(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  factor: jax.Array,
  hard: jax.Array,
  activation: str | None,
  epsilon: float,
) -> Any:
  mean, variance = batch_statistics(x)
  z = normalize(x, mean, variance, scale, bias, epsilon)
  y = activate(z, hard, activation) * factor
  saved = (x, mean, variance, scale, bias, factor, hard)
  return (y, mean, variance), saved


def _normalized_backward(
  activation: str | None, epsilon: float, saved: Any, cotangents: Any
) -> Any:
  x, mean, variance, scale, bias, factor, hard = saved
  upper = cotangents[0]
  inverse = lax.rsqrt(variance + epsilon)
  white = (x - mean) * inverse
  z = white * scale + bias
  inner = upper * factor * activate(z, hard, activation, True)
  # Within an image first, as in `batch_statistics`.
  to_bias = inner.sum((1, 2)).sum(0)
  to_scale = (inner * white).sum((1, 2)).sum(0)
  to_factor = (upper * activate(z, hard, activation)).sum((1, 2))
  if factor.ndim == 1:
    to_factor = to_factor.sum(0)
  else:
    to_factor = to_factor[:, None, None, :]
    if factor.shape[0] == 1:  # One for all examples.
      to_factor = to_factor.sum(0, keepdims=True)
  count = x.size // x.shape[-1]
  to_x = inner - (to_bias + white * to_scale) / count
  to_x = to_x * (scale * inverse)
  found = (to_x, to_scale, to_bias, to_factor)
  like = (x, scale, bias, factor)
  # In the precision of each, whatever the network computes in.
  cast = (f.astype(v.dtype) for f, v in zip(found, like, strict=True))
  return (*cast, None)


normalized.defvjp(_normalized, _normalized_backward)


def activate(
  z: jax.Array,
  hard: jax.Array,
  activation: str | None,
  derivative: bool = False,
) -> jax.Array:
  """ReLU, hard swish, either by `hard`, or none; or its derivative."""
  if activation is None:
    return jnp.ones_like(z) if derivative else z
  if activation == "either":
    return jnp.where(hard, hswish(z, derivative), relu(z, derivative))
  return (relu if activation == "relu" else hswish)(z, derivative)
