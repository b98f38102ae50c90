"""Scores from what a batch makes of a network's activations.

References: naswot: Mellor et al. 2021, "Neural Architecture Search without
Training", section 3; SWAP: Peng et al. 2024, "SWAP-NAS: Sample-Wise Activation
Patterns for Ultra-fast NAS"; MeCo: Jiang et al. 2023, "MeCo: Zero-Shot NAS with
One Data and Single Forward Pass via Minimum Eigenvalue of Correlation".

Symbols: `B` images, `C` channels, `K` the kernel matrix.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.proxies import capture
from fbnax.proxies.probe import Probe

_BITS = 32  # Images in a word.


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
  return _summed(probe, capture.LAYER, _least_correlation)


def meco_modules(probe: Probe) -> jax.Array:
  """MeCo's sum over all modules that are called, `f32[]`, as in its program.

  A map counts once for each module that gives it: as a layer's result, as that
  of the BN that follows (which changes no correlation's size), and as that of
  each module around them. The sum therefore depends on how a network is cut
  into modules; that of `meco` does not.
  """
  return _summed(probe, capture.MODULE, _least_correlation)


def swap(probe: Probe) -> jax.Array:
  """The patterns of all ReLU units of maps, `u32[units, words]`.

  A unit's pattern says of which images it is active, 32 in a word; in front of
  the words stands 1 for a unit that was computed.

  Raises:
    ValueError: the network has no ReLU of a feature map, or one in a loop.
  """
  sizes: dict[int, int] = {}

  def size(x: jax.Array, place: int, places: int) -> jax.Array:
    is_map = x.ndim == 4
    sizes[place] = x.size // x.shape[0] if is_map else 0
    return jnp.zeros(())

  def watch(statistic: capture.Statistic) -> Any:
    return capture.watch(
      probe.forward,
      {capture.RELU: statistic},
      probe.variables,
      probe.images,
    )

  loops = capture.looped(probe.forward, probe.variables, probe.images)
  jax.eval_shape(lambda: watch(size).result)
  count = sum(sizes.values())
  if not count or loops:
    what = "a ReLU in a loop" if loops else "no ReLU of a feature map"
    raise ValueError(f"swap: the module computes {what}; legal: some, unrolled")
  words = -(-probe.images.shape[0] // _BITS)

  def codes(x: jax.Array, place: int, places: int) -> jax.Array:
    rows = jnp.zeros((count, 1 + words), jnp.uint32)
    if not sizes[place]:
      return rows
    start = sum(sizes[i] for i in range(place))
    return rows.at[start : start + sizes[place]].set(_patterns(x, words))

  return watch(codes).sums[capture.RELU]


def distinct(measured: np.ndarray) -> float:
  """How many patterns there are, of the units that were computed."""
  rows = np.ascontiguousarray(measured[measured[:, 0] > 0])
  whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))
  return float(len(np.unique(whole)))


def regularised(
  swap_score: Any, params: Any, centre: float, width: float
) -> np.ndarray:
  """SWAP times exp(-(P - centre)^2 / width), `f64[n]`.

  Args:
    swap_score: of networks, `[n]`.
    params: their trainable parameters, `[n]`; P is their number in thousands.
    centre: thousands of parameters that are wanted, `mu` in the paper.
    width: `sigma` in the paper, thousands squared.

  Raises:
    ValueError: a width that is not positive.
  """
  if not width > 0:
    raise ValueError(f"width is {width!r}; legal: above 0")
  distance = np.asarray(params, np.float64) / 1e3 - centre
  return np.asarray(swap_score, np.float64) * np.exp(-(distance**2) / width)


def _summed(probe: Probe, kind: str, statistic: capture.Statistic) -> Any:
  """A statistic's sum over the values of a kind."""
  seen = capture.watch(
    probe.forward, {kind: statistic}, probe.variables, probe.images
  )
  return seen.sums[kind]


def _patterns(x: jax.Array, words: int) -> jax.Array:
  """The rows of a map's units, `u32[units, 1 + words]`."""
  images = x.shape[0]
  active = (x > 0).reshape(images, -1)
  active = jnp.pad(active, [(0, words * _BITS - images), (0, 0)])
  bits = active.reshape(words, _BITS, -1).astype(jnp.uint32)
  weights = jnp.uint32(1) << jnp.arange(_BITS, dtype=jnp.uint32)
  packed = (bits * weights[:, None]).sum(1, dtype=jnp.uint32)
  return jnp.concatenate([jnp.ones_like(packed[:1]), packed]).T


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
