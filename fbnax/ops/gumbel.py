"""Relaxed choices: from logits to weights that sum to one.

Equation 3.4 of Wan 2022 (the Gumbel softmax of Jang et al. and Maddison et
al., 2017), its noiseless limit, and its hard version with a soft gradient.

Symbols: `K` choices of a decision; `theta`, the logits, are what is learned.
"""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp

MODES = ("gumbel", "softmax", "single_path")


def gumbel_softmax(
  key: jax.Array,
  logits: jax.Array,
  temperature: Any,
  samples: tuple[int, ...] = (),
) -> jax.Array:
  """Samples of weights whose argmax has the probabilities `softmax(logits)`.

  `softmax((logits + noise) / temperature)`, equation 3.4 of Wan 2022. Computed
  in float32 at least.

  Args:
    key: random key.
    logits: `f32[..., K]`; leading axes are drawn for independently.
    temperature: above 0, may be traced. Towards 0 the weights become one-hot.
    samples: leading axes of independent samples, `(B,)` for one per example.

  Returns:
    `f32[*samples, ..., K]` of the logits' type; each row sums to one.

  Raises:
    ValueError: a temperature that is a plain number and not above 0.
  """
  wide = _checked(logits, temperature)
  noise = jax.random.gumbel(key, (*samples, *logits.shape), wide.dtype)
  return jax.nn.softmax((wide + noise) / temperature).astype(logits.dtype)


def straight_through(weights: jax.Array) -> jax.Array:
  """One-hot at the largest weight, with the gradient of the weights.

  Args:
    weights: `f32[..., K]`.

  Returns:
    `f32[..., K]`, exactly 0 and 1.
  """
  hard = jax.nn.one_hot(
    weights.argmax(-1), weights.shape[-1], dtype=weights.dtype
  )
  return hard + (weights - jax.lax.stop_gradient(weights))


def relaxed(
  key: jax.Array,
  logits: jax.Array,
  temperature: Any,
  mode: str = "gumbel",
  samples: tuple[int, ...] = (),
) -> jax.Array:
  """Choice weights of one decision in one of three modes.

  Args:
    key: random key; `softmax` does not use it.
    logits: `f32[..., K]`.
    temperature: above 0, may be traced.
    mode: `gumbel` (FBNet, DMaskingNAS), `softmax` (DARTS: no noise), or
      `single_path` (a Gumbel sample made one-hot, with the sample's gradient).
    samples: as in `gumbel_softmax`.

  Returns:
    `f32[*samples, ..., K]`; each row sums to one.

  Raises:
    ValueError: an unknown mode, or a temperature that is not above 0.
  """
  if mode == "softmax":
    weights = jax.nn.softmax(_checked(logits, temperature) / temperature)
    shape = (*samples, *logits.shape)
    return jnp.broadcast_to(weights.astype(logits.dtype), shape)
  if mode not in MODES:
    raise ValueError(f"mode is {mode!r}; legal: {', '.join(MODES)}")
  weights = gumbel_softmax(key, logits, temperature, samples)
  return straight_through(weights) if mode == "single_path" else weights


def _checked(logits: jax.Array, temperature: Any) -> jax.Array:
  """The logits in float32 at least."""
  if isinstance(temperature, numbers.Real) and not float(temperature) > 0.0:
    raise ValueError(f"temperature is {temperature!r}; legal: above 0")
  return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
