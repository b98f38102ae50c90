"""Peak activation memory: the most numbers that a network holds at once.

What limits a microcontroller (Lin et al. 2020, "MCUNet", section 3.1). While a
layer is computed its input and its output are held, and within a block with a
residual the block's input too. BN, activations and squeeze-excite work in
place; weights are not counted. Parts are those of latency tables
(`fbnax.costs.latency_keys`), so the peak is the largest over the parts.

Symbols: `n` genotypes, `D` decisions, `P` places. Numbers are elements: with
int8 they are bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.costs.latency_keys import (
  Key,
  Slot,
  joint_keys,
  made_of_blocks,
  slots,
)
from fbnax.costs.table import Context, Cost
from fbnax.spaces.architecture import Architecture, out_size
from fbnax.spaces.kinds import KINDS
from fbnax.spaces.space import SearchSpace

_MOST_OF = 16  # Order of the norm that stands for a maximum.


def peak_memory(architecture: Architecture) -> int:
  """Most elements of feature maps that are held at once, exact.

  Raises:
    ValueError: the network is not made of blocks.
  """
  return max(
    part_memory(key, **_said(slot))
    for slot in slots(architecture)
    for _, key in joint_keys(slot)
    if key is not None
  )


def _said(slot: Slot) -> dict[str, bool]:
  """What a part says for itself and its key does not say."""
  expand = getattr(slot.item, "expand", None)
  return {
    "may_add": getattr(slot.item, "residual", None) is not False,
    "always_expands": slot.table.expand_at_one if expand is None else expand,
  }


def part_memory(
  key: Key, may_add: bool = True, always_expands: bool = False
) -> int:
  """Most elements that are held while a part is computed.

  Args:
    key: of the part.
    may_add: whether it has a residual where stride and channels let it.
    always_expands: whether there is an expanding convolution also where it
      changes nothing in width.
  """
  after = out_size(key.size, key.kernel, key.stride, None)
  before, result = key.size**2 * key.c_in, after**2 * key.c_out
  if key.op == "stem":
    return before + result
  if key.op == "head":
    return before + key.size**2 * key.c_mid
  # The input is held until the end where it is added there.
  same = key.stride == 1 and key.c_in == key.c_out
  kept = before if same and may_add else 0
  widths = {"in": key.c_in, "mid": key.c_mid, "out": key.c_out}
  side, held, peak, beside = key.size, before, before, 0
  for layer in KINDS[key.op].layers:
    keeps_width = key.c_mid == key.c_in and not always_expands
    absent = (layer.when == "expands" and keeps_width) or (
      layer.when == "reshapes" and key.is_identity
    )
    if absent or layer.op == "squeeze_excite":
      continue
    side = after if layer.stride else side
    made = side**2 * widths[layer.c_out]
    peak = max(peak, held + made + beside)
    # What the first layer reads is the input itself.
    held, beside = made, kept
  return peak


def batch_peak_memory(space: SearchSpace, genotypes: jax.Array) -> jax.Array:
  """The peak of each genotype of a population; can be jitted.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.

  Returns:
    `f32[n]`.

  Raises:
    ValueError: its networks are not made of blocks.
  """
  return place_memory(space, genotypes).max(axis=1)


def place_memory(space: SearchSpace, genotypes: jax.Array) -> jax.Array:
  """Most elements that are held in each place of a network, `f32[n, P]`.

  Their largest is the peak. A place is where parts follow the same decisions.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.

  Raises:
    ValueError: its networks are not made of blocks.
  """
  peaks = []
  for positions, values in _tables(space):
    index = jnp.zeros(len(genotypes), jnp.int32)
    for position, count in zip(positions, values.shape, strict=True):
      index = index * count + genotypes[:, position]
    peaks.append(jnp.asarray(values.reshape(-1), jnp.float32)[index])
  return jnp.stack(peaks, axis=1)


def expected_peak_memory(
  space: SearchSpace, weights: Sequence[jax.Array]
) -> jax.Array:
  """The largest expected memory of a place; differentiable.

  At one-hot weights it is the peak. In between it is at most the expected peak,
  and the gradient is that of the place which holds most.

  Args:
    space: the space.
    weights: one `f32[choices]` per decision, each sums to one.

  Returns:
    `f32[]`.

  Raises:
    ValueError: as `place_memory`.
  """
  held = []
  for positions, values in _tables(space):
    value = jnp.asarray(values, jnp.float32)
    for position in positions:
      value = jnp.tensordot(weights[position], value, 1, precision="highest")
    held.append(value)
  return jnp.stack(held).max()


@functools.lru_cache(maxsize=32)
def _tables(
  space: SearchSpace,
) -> tuple[tuple[tuple[int, ...], np.ndarray], ...]:
  """For each place the decisions it follows and all joint peaks."""
  position = {d.name: i for i, d in enumerate(space.decisions)}
  peaks: dict[tuple[int, ...], np.ndarray] = {}
  for slot in slots(space.table):
    places = tuple(position[name] for name in slot.decisions)
    values = np.asarray(
      [
        0 if key is None else part_memory(key, **_said(slot))
        for _, key in joint_keys(slot)
      ],
      np.float64,
    ).reshape([space.choices[p] for p in places])
    peaks[places] = np.maximum(peaks.get(places, 0.0), values)
  return tuple(peaks.items())


_place_memory = jax.jit(place_memory, static_argnums=0)


def _smooth_peak(
  space: SearchSpace, genotypes: jax.Array, context: Context
) -> np.ndarray:
  """A norm of all places that is close to their largest, `f64[n]`.

  One place alone is the peak: a change elsewhere would never show.
  """
  places = np.asarray(_place_memory(space, genotypes), np.float64)
  return np.asarray(np.linalg.norm(places, _MOST_OF, axis=1))


MEMORY = Cost(
  "memory",
  exact=lambda network, context: peak_memory(network),
  batch=lambda space, genotypes, context: batch_peak_memory(space, genotypes),
  expected=lambda space, weights, context: expected_peak_memory(space, weights),
  check=lambda space, context: made_of_blocks(space.table),
  smooth=_smooth_peak,
)
