"""jacob_cov: how differently a network answers to changes of its inputs.

Reference: Mellor et al. 2020, the first version of "Neural Architecture Search
without Training", as zero-cost-nas computes it.

Symbols: `B` images, `N` numbers in an image.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.proxies.probe import Probe

_SMALL = 1e-5


def jacob_cov(probe: Probe) -> jax.Array:
  """Correlations of the images' gradients of the sum of all logits.

  Returns:
    `f32[B, B]`, NaN where an image has no gradient.

  Raises:
    ValueError: the batch has fewer than two images.
  """
  count = probe.images.shape[0]
  if count < 2:
    raise ValueError(
      "jacob_cov: the batch has 1 image; legal: at least 2, as it compares "
      "the gradients of images"
    )
  rows = jax.grad(lambda images: probe.forward(probe.variables, images).sum())(
    probe.images
  ).reshape(count, -1)
  centred = rows - rows.mean(1, keepdims=True)
  # Images by their largest value first: squares of small ones underflow.
  scaled = centred / jnp.abs(centred).max(1, keepdims=True)
  unit = scaled / jnp.sqrt((scaled * scaled).sum(1, keepdims=True))
  return jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)


def spread(correlations: np.ndarray) -> float:
  """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues, k = 1e-5.

  -inf where an image has no gradient.
  """
  matrix = np.asarray(correlations, np.float64)
  if not np.isfinite(matrix).all():
    return -np.inf
  values = np.maximum(np.linalg.eigvalsh(matrix), 0.0) + _SMALL
  return float(-np.sum(np.log(values) + 1.0 / values))
