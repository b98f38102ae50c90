"""Batch normalisation in two stages.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.ops.activations import Activation
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


@functools.partial(gradient_by_hand, nondiff_argnums=(5, 6))
def normalized(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  factor: jax.Array,
  chosen: tuple[jax.Array, ...],
  activations: tuple[Activation, ...],
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
    chosen: `bool[]` for each activation but the first, whether it is the one;
      where none is, the first is.
    activations: those it may be; none for no activation.
    epsilon: of the BN.

  Returns:
    `f32[B, H, W, C]`; mean and variance, `f32[C]`.
  """
  return _normalized(x, scale, bias, factor, chosen, activations, epsilon)[0]


def _normalized(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  factor: jax.Array,
  chosen: tuple[jax.Array, ...],
  activations: tuple[Activation, ...],
  epsilon: float,
) -> Any:
  mean, variance = batch_statistics(x)
  z = normalize(x, mean, variance, scale, bias, epsilon)
  y = activate(z, chosen, activations) * factor
  saved = (x, mean, variance, scale, bias, factor, chosen)
  return (y, mean, variance), saved


def _normalized_backward(
  activations: tuple[Activation, ...],
  epsilon: float,
  saved: Any,
  cotangents: Any,
) -> Any:
  x, mean, variance, scale, bias, factor, chosen = saved
  upper = cotangents[0]
  inverse = lax.rsqrt(variance + epsilon)
  white = (x - mean) * inverse
  z = white * scale + bias
  inner = upper * factor * activate(z, chosen, activations, True)
  # Within an image first, as in `batch_statistics`.
  to_bias = inner.sum((1, 2)).sum(0)
  to_scale = (inner * white).sum((1, 2)).sum(0)
  to_factor = (upper * activate(z, chosen, activations)).sum((1, 2))
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
  chosen: tuple[jax.Array, ...],
  activations: tuple[Activation, ...],
  derivative: bool = False,
) -> jax.Array:
  """One of some activations by `chosen`, see `normalized`; or its derivative.

  All of them are computed and one is taken, in the pass over `z` that there is
  anyway: a further one costs its arithmetic and no traffic of memory, which is
  what the pass waits for. On a CPU, forward and backward, ReLU6 beside ReLU and
  hard swish costs nothing; SiLU, with its exponential, a fifth of the pass.
  """
  if not activations:
    return jnp.ones_like(z) if derivative else z
  functions = [a.derivative if derivative else a.apply for a in activations]
  result = functions[0](z)
  for holds, function in zip(chosen, functions[1:], strict=True):
    result = jnp.where(holds, function(z), result)
  return result
