"""Numbers of 16 bits for what a network computes, of 32 for all that stays.

Kernels, images and choice weights are rounded to bfloat16 as they enter a
network, so that its convolutions and what lies between them are computed in it;
parameters, their gradients and averages, BN's statistics and scales, and losses
stay in float32. bfloat16 has the range of float32, so losses are not scaled.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from fbnax.training.recipes import Settings

AUTO = "auto"
_BN = "norm"  # What BN has is computed with in float32.
_AMPERE = 8.0  # Compute capability of the first GPUs that multiply bfloat16.


def chosen(name: str) -> str:
  """The precision that "auto" stands for on this device, or the one named."""
  if name != AUTO:
    return name
  device = jax.devices()[0]
  if device.platform == "tpu":
    return "bfloat16"
  try:
    capability = float(getattr(device, "compute_capability", None) or 0)
  except ValueError:  # Of AMD's, a name.
    capability = 0.0
  has = device.platform == "gpu" and capability >= _AMPERE
  return "bfloat16" if has else "float32"


def lowered(settings: Settings, tree: Any) -> Any:
  """The arrays in the precision that a network computes in.

  Args:
    settings: which.
    tree: parameters, images or choice weights; what is BN's stays, and so do
      whole numbers.
  """
  if settings.precision == "float32":
    return tree

  def cast(path: Any, leaf: Any) -> Any:
    if _BN in jax.tree_util.keystr(path).lower():
      return leaf
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      return leaf
    return leaf.astype(settings.precision)

  return jax.tree_util.tree_map_with_path(cast, tree)
