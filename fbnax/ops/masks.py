"""Masks that cut a shared weight down to what a choice uses.

Symbols: `C` channels, `K` kernel side.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def prefix_mask(channels: int, max_channels: int) -> np.ndarray:
  """1 for the first `channels` of `max_channels`, `f32[C]`."""
  return (np.arange(max_channels) < channels).astype(np.float32)


def kernel_mask(side: int, max_side: int) -> np.ndarray:
  """1 for the central `side` x `side` taps, `f32[K, K, 1, 1]`."""
  distance = np.abs(np.arange(max_side) - max_side // 2)
  inside = (distance <= side // 2).astype(np.float32)
  return (inside[:, None] * inside[None, :])[..., None, None]


def channel_mask(
  weights: jax.Array, channels: Sequence[int], max_channels: int
) -> jax.Array:
  """The weighted sum of prefix masks: one vector whatever the options.

  Equation 3.3 of Wan 2022: the choice weights times a triangular matrix.

  Args:
    weights: `f32[options]`, sums to one.
    channels: the width of each option, ascending.
    max_channels: `C`.

  Returns:
    `f32[C]`.

  Raises:
    ValueError: the widths do not ascend, or exceed `max_channels`.
  """
  widths = list(channels)
  if widths != sorted(set(widths)) or widths[-1] > max_channels:
    raise ValueError(
      f"channels are {widths}; legal: ascending, at most {max_channels}"
    )
  triangle = np.stack([prefix_mask(c, max_channels) for c in widths])
  return jnp.tensordot(weights, jnp.asarray(triangle, weights.dtype), 1)
