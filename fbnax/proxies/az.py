"""The scores of AZ-NAS: what successive feature maps hold, and let through.

Lee and Ham 2024, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture
Search". The four scores are put together by `votes.log_rank`. Which maps count
is told by `fbnax.proxies.features`. BN has the batch's statistics, and labels
are not used.

Symbols: `F` feature maps, `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.proxies import features
from fbnax.proxies.probe import Probe

_SMALL = 1e-8  # Inside the entropy's logarithm.
_LEAST = 1e-6  # Beside a singular value that is divided by.

# Signs of a feature map: its place, its shape.
Signs = Any


def entropies(probe: Probe) -> jax.Array:
  """The entropy of each feature map's principal components, `f32[F]`.

  With all pixels of all images as samples, p the eigenvalues of the channels'
  covariance over their sum: -sum p log(p + 1e-8); NaN where a map is constant.

  Raises:
    ValueError: the network has no feature map.
  """
  _check(probe, "az_expressivity", 1)
  found: list[jax.Array] = []

  def keep(place: int, count: int, x: jax.Array) -> jax.Array:
    found.append(_entropy(x))
    return x

  features.tapped(probe.forward, keep, probe.variables, probe.images)
  return jnp.stack(found)


def expressivity(measured: np.ndarray) -> float:
  """The sum of the entropies."""
  return float(np.sum(measured, dtype=np.float64))


def progressivity(measured: np.ndarray) -> float:
  """The least gain of entropy from a feature map to the next.

  Raises:
    ValueError: the network has one feature map alone.
  """
  if len(measured) < 2:
    raise ValueError(
      "az_progressivity: the module has 1 feature map; legal: at least 2, as "
      "it compares successive ones"
    )
  return float(np.min(np.diff(np.asarray(measured, np.float64))))


def trainability(probe: Probe) -> jax.Array:
  """The mean over the blocks of 2 - s - 1 / (s + 1e-6), `f32[]`.

  A block lies between two successive feature maps. Random signs at its result
  are pulled back through it; `s` is the largest singular value of the mean
  product of the channels at its input and at its result, over all pixels of
  all images. -inf where a block passes the very signs on.

  Raises:
    ValueError: the network has fewer than two feature maps.
  """
  shapes = _check(probe, "az_trainability", 2)

  def signs(place: int) -> jax.Array:
    key = jax.random.fold_in(probe.key, place)
    return jax.random.rademacher(key, shapes[place], probe.images.dtype)

  return pairs(probe, signs).mean()


def pairs(probe: Probe, signs: Signs) -> jax.Array:
  """The trainability of each block, `f32[F - 1]`.

  Args:
    probe: of the network.
    signs: gives the 1 and -1 at a feature map, of its place.
  """
  shapes = features.shapes(probe.forward, probe.variables, probe.images)

  def pulled(sink: jax.Array) -> jax.Array:
    reached: list[jax.Array] = []

    def tap(place: int, count: int, x: jax.Array) -> jax.Array:
      x = _inject(x, functools.partial(signs, place))
      # Keeps the signs at a map that nothing after it reads.
      reached.append(x.sum())
      if place + 1 == count:
        return x
      return _catch(x, sink, functools.partial(signs, place + 1), place)

    logits = features.tapped(probe.forward, tap, probe.variables, probe.images)
    return logits.sum() + sum(reached)

  start = jnp.zeros((len(shapes) - 1, 2), probe.images.dtype)
  sigma, is_same = jax.grad(pulled)(start).T
  values = 2.0 - sigma - 1.0 / (sigma + _LEAST)
  return jnp.where(is_same > 0, -jnp.inf, values)


def complexity(probe: Probe) -> jax.Array:
  """MACs and biases' additions of convolutions and linear layers, one image."""
  count = sum(
    layer.macs + layer.biased * math.prod(layer.output[1:])
    for layer in probe.layers
  )
  return jnp.asarray(divmod(count, 2**20), jnp.int32)


def millions(parts: Sequence[int]) -> float:
  """The count that was measured in two parts, in millions."""
  high, low = (int(part) for part in parts)
  return (high * 2**20 + low) / 1e6


def _check(probe: Probe, name: str, least: int) -> list[Any]:
  shapes = features.shapes(probe.forward, probe.variables, probe.images)
  if len(shapes) < least:
    raise ValueError(
      f"{name}: the module has {len(shapes)} feature maps "
      "(fbnax.proxies.features says what counts; fbnax.ops.feature_map marks "
      f"one); legal: at least {least}"
    )
  return shapes


def _entropy(x: jax.Array) -> jax.Array:
  rows = x.reshape(-1, x.shape[-1])
  rows = rows - rows.mean(0)
  covariance = jnp.matmul(rows.T, rows, precision=jax.lax.Precision.HIGHEST)
  # Rounding makes zeros negative.
  values = jnp.maximum(jnp.linalg.eigvalsh(covariance / len(rows)), 0.0)
  shares = values / values.sum()
  return -(shares * jnp.log(shares + _SMALL)).sum()


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _inject(x: jax.Array, signs: Any) -> jax.Array:
  """The map; its gradient is the signs, whatever comes from behind it."""
  return x


def _inject_forward(x: jax.Array, signs: Any) -> tuple[jax.Array, None]:
  return x, None


def _inject_backward(signs: Any, _: None, gradient: jax.Array) -> Any:
  return (signs().astype(gradient.dtype),)


_inject.defvjp(_inject_forward, _inject_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _catch(x: jax.Array, sink: jax.Array, signs: Any, place: int) -> jax.Array:
  """The map; what its gradient says of the next block goes to the sink.

  Args:
    x: `f32[B, H, W, C]`.
    sink: `f32[F - 1, 2]`; its "gradient" gets in row `place` the singular value
      and 1 where the gradient is the signs themselves.
    signs: those at the next feature map.
    place: of this one.
  """
  return x


def _catch_forward(
  x: jax.Array, sink: jax.Array, signs: Any, place: int
) -> tuple[jax.Array, jax.Array]:
  return x, sink


def _catch_backward(
  signs: Any, place: int, sink: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  after = signs().astype(gradient.dtype)
  before = _patches(gradient, after.shape)
  rows = after.reshape(-1, after.shape[-1])
  product = jnp.matmul(
    before.reshape(len(rows), -1).T,
    rows,
    precision=jax.lax.Precision.HIGHEST,
  )
  sigma = jnp.linalg.norm(product / len(rows), 2)
  is_same: Any = 0.0
  if gradient.shape == after.shape:
    is_same = jnp.all(gradient == after).astype(gradient.dtype)
  return gradient, sink.at[place].set(jnp.stack([sigma, is_same]))


_catch.defvjp(_catch_forward, _catch_backward)


def _patches(x: jax.Array, after: Sequence[int]) -> jax.Array:
  """Pixels that become one pixel side by side in its channels.

  A side that is no multiple is padded with zeros.
  """
  steps = [-(-x.shape[i] // after[i]) for i in (1, 2)]
  padding = [(0, steps[i - 1] * after[i] - x.shape[i]) for i in (1, 2)]
  x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
  x = x.reshape(x.shape[0], after[1], steps[0], after[2], steps[1], x.shape[-1])
  return x.transpose(0, 1, 3, 2, 4, 5)
