"""Zen-score: how far the last feature map moves when the input does.

Lin et al. 2021, "Zen-NAS: A Zero-Shot NAS for High-Performance Image
Recognition", algorithm 1: the logarithm of the mean change of the map in front
of the global pool under a change of the input by 0.01 of Gaussian noise, plus
the logarithm of each BN's deviation, which BN would otherwise divide out. The
weights and the images are the given ones; BN has scale 1 and offset 0.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from fbnax.ops import norm
from fbnax.proxies import capture
from fbnax.proxies.probe import Probe

STRENGTH = 0.01
_MOMENTUM = 0.9


def zen(probe: Probe) -> jax.Array:
  """Log of the change plus logs of the deviations, `f32[]`.

  Raises:
    ValueError: the network has no feature map.
  """
  noise = jax.random.normal(probe.key, probe.images.shape)
  return sum(parts(probe, noise), start=jnp.zeros(()))


def parts(probe: Probe, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The two summands of the score for given noise `f32[B, H, W, C]`.

  A BN's deviation is, as in the original program, that of its running variance
  after both passes, which starts at 1 and is the mean over the channels; BN
  without a scale does not count.

  Raises:
    ValueError: the network has no feature map.
  """
  variables = {
    **probe.variables,
    "params": _plain_norms(probe.variables["params"]),
  }

  def watch(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    seen = capture.watch(
      probe.forward, {capture.NORM: _variance}, variables, images
    )
    if seen.last_map is None:
      raise ValueError(
        "zen: the module computes no feature map f32[B, H, W, C] of more than "
        "one pixel; legal: a convolutional network"
      )
    return seen.last_map, seen.sums.get(capture.NORM, jnp.zeros((0, 2)))

  before, first = watch(probe.images)
  after, second = watch(probe.images + STRENGTH * noise)
  change = jnp.abs(before - after).sum((1, 2, 3)).mean()
  count = first[:, 0]
  calls = jnp.maximum(count, 1.0)
  running: Any = 1.0
  for variance in (first[:, 1] / calls, second[:, 1] / calls):
    running = _MOMENTUM * running + (1 - _MOMENTUM) * variance
  return jnp.log(change), (count * 0.5 * jnp.log(running)).sum()


def _variance(x: jax.Array, place: int, places: int) -> jax.Array:
  """In the BN's row that it was called, and its variance, `f32[places, 2]`."""
  _, variance = norm.batch_statistics(x.reshape(x.shape[0], 1, -1, x.shape[-1]))
  count = x.size // x.shape[-1]
  mean = variance.mean() * (count / max(count - 1, 1))  # Without bias.
  return jnp.zeros((places, 2)).at[place].set(jnp.stack([1.0, mean]))


def _plain_norms(tree: Any) -> Any:
  """Scale 1 and offset 0 wherever there is a scale."""
  if not isinstance(tree, dict):
    return tree
  norms = {name: _plain_norms(inner) for name, inner in tree.items()}
  if "scale" in norms:
    norms["scale"] = jnp.ones_like(norms["scale"])
    if "bias" in norms:
      norms["bias"] = jnp.zeros_like(norms["bias"])
  return norms
