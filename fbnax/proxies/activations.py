"""Scores from what a batch makes of a network's activations: naswot, MeCo.

References: naswot: Mellor et al. 2021, "Neural Architecture Search without
Training", section 3; MeCo: Jiang et al. 2023, "MeCo: Zero-Shot NAS with One
Data and Single Forward Pass via Minimum Eigenvalue of Correlation".

Symbols: `B` images, `C` channels, `K` the kernel matrix.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.proxies import capture
from fbnax.proxies.probe import Probe


def naswot(probe: Probe) -> jax.Array:
  """In how many ReLU units two images are on the same side, `f32[B, B]`.

  Exact up to 2^24 units, and rounded to 24 bits above.

  Raises:
    ValueError: the network has no ReLU.
  """
  sums = capture.watch(
    probe.forward,
    {capture.RELU: _agreement},
    probe.variables,
    probe.images,
  ).sums
  if capture.RELU not in sums:
    raise ValueError(
      "naswot: the module computes no ReLU, max(x, 0) or ReLU6; legal: at "
      "least one"
    )
  return sums[capture.RELU]


def log_determinant(matrix: np.ndarray) -> float:
  """Logarithm of |det K| in float64; -inf where two images are coded alike."""
  sign, value = np.linalg.slogdet(np.asarray(matrix, np.float64))
  # K is of whole numbers; with an eigenvalue that rounds to 0 it is singular.
  smallest = np.linalg.eigvalsh(np.asarray(matrix, np.float64))[0]
  bound = 1e-12 * float(np.trace(matrix))
  return float(value) if sign > 0 and smallest > bound else -np.inf


def meco(probe: Probe) -> jax.Array:
  """The sum over the layers of the channels' least correlation, `f32[]`.

  Of the result of each convolution before BN, for the first image alone, the
  smallest eigenvalue of the matrix of Pearson correlations between channels;
  a channel that is constant has correlation 0 with all, with itself too.
  BN has the statistics of the whole batch.

  Raises:
    ValueError: the network has no convolution.
  """
  if not any(layer.convolves for layer in probe.layers):
    raise ValueError(
      "meco: the module calls no convolution (a module with a parameter "
      "`kernel` of more than two axes); legal: at least one"
    )
  return capture.watch(
    probe.forward,
    {capture.LAYER: _least_correlation},
    probe.variables,
    probe.images,
  ).sums[capture.LAYER]


def _agreement(x: jax.Array, *_: int) -> jax.Array:
  signs = jnp.where(x > 0, 1.0, -1.0).reshape(x.shape[0], -1)
  # Both active or both inactive: (units + s s^T) / 2, sums of ones.
  return (signs.shape[1] + signs @ signs.T) / 2


def _least_correlation(x: jax.Array, *_: int) -> jax.Array:
  if x.ndim < 4:
    return jnp.zeros(())
  channels = x[0].reshape(-1, x.shape[-1]).T
  centred = channels - channels.mean(1, keepdims=True)
  norms = jnp.sqrt((centred * centred).sum(1, keepdims=True))
  directions = centred / jnp.where(norms > 0, norms, 1.0)
  return jnp.linalg.eigvalsh(directions @ directions.T)[0]
