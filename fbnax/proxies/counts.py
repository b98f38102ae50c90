"""Counts as scores: the parameters and the MACs of a module as it is."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from fbnax.proxies.probe import Probe


def params(probe: Probe) -> jax.Array:
  """Numbers in `variables["params"]`, trainable all of them."""
  leaves = jax.tree.leaves(probe.variables["params"])
  return _whole(sum(math.prod(leaf.shape) for leaf in leaves))


def macs(probe: Probe) -> jax.Array:
  """Multiply-accumulates of all convolutions and linear layers, one image."""
  return _whole(sum(layer.macs for layer in probe.layers))


def _whole(count: int) -> jax.Array:
  # In two parts, each exact in 32 bits.
  return jnp.asarray(divmod(count, 2**20), jnp.int32)


def whole(parts: object) -> float:
  """The count that was measured in two parts."""
  high, low = (int(part) for part in parts)  # type: ignore[attr-defined]
  return float(high * 2**20 + low)
