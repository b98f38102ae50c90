"""What is known of a device's latency before much of it is measured.

Latency goes with what can be counted (MACs, parameters, activations that are
moved, blocks that are called), and with the latency of other devices. What is
measured of a new device is regressed on these. Their weights are not negative,
so that a few measurements suffice where a table for the device needs hundreds.

Symbols: `n` networks, `D` decisions, `K` keys, `c` things that are known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.costs.latency_fit import part_counts
from fbnax.costs.latency_keys import made_of_blocks, space_keys
from fbnax.costs.memory import part_memory
from fbnax.spaces import SearchSpace

# Latencies of genotypes, `i32[n, D]` to `f64[n]`.
Predict = Callable[[np.ndarray], np.ndarray]
COUNTED = ("MACs", "parameters", "activations", "blocks")
# Spaces with more parts are told by their decisions: a network holds so few of
# them that most would never be measured.
MOST_PARTS = 4000


def has_parts(space: SearchSpace) -> bool:
  """Networks of the space are sums over a moderate number of parts."""
  return _number_of_parts(space) is not None


def parts(space: SearchSpace, genotypes: np.ndarray) -> np.ndarray:
  """How often each part stands in each network, `f64[n, K]`; not to be changed.

  The last ones are kept, as models of many devices ask for the same networks.
  """
  genotypes = np.asarray(genotypes, np.int32)
  return _parts(space, genotypes.shape, genotypes.tobytes())


def counted(space: SearchSpace, genotypes: np.ndarray) -> np.ndarray:
  """`COUNTED` of each network, `f64[n, c]`; two where there are no parts."""
  genotypes = np.asarray(genotypes, np.int32)
  count = len(genotypes)
  # Padded to a power of two, so that few programs serve all numbers.
  padded = np.zeros(
    (max(16, 1 << (count - 1).bit_length()), *genotypes.shape[1:])
  )
  padded[:count] = genotypes
  counts = costs.batch(space, jnp.asarray(padded, jnp.int32))
  columns = [np.asarray(cost, np.float64)[:count] for cost in counts]
  if has_parts(space):
    often = part_counts(space, genotypes)
    built = {key: n for key, n in often.items() if not key.is_identity}
    stacked = np.stack(list(built.values()), axis=1)
    columns.append(stacked @ [float(part_memory(key)) for key in built])
    columns.append(stacked.sum(axis=1))
  return np.stack(columns, axis=1)


def start(
  space: SearchSpace,
  genotypes: np.ndarray,
  latency: np.ndarray,
  others: Mapping[str, Predict],
) -> tuple[Predict, dict[str, float]]:
  """What counts and other devices say of a device.

  Args:
    space: the space.
    genotypes: measured networks, `i32[n, D]`.
    latency: of each, above 0, `f64[n]`.
    others: what is known of other devices, by name.

  Returns:
    The prediction, and the share of it that each of `COUNTED` and of `others`
    has in the measured networks on average, where it has one. What is left of
    1 is a constant: what a call takes whatever the network.
  """
  from scipy.optimize import nnls  # Slow to import, and only needed here.

  def explained(unseen: np.ndarray) -> np.ndarray:
    of_others = [
      np.asarray(other(unseen))[:, None] for other in others.values()
    ]
    return np.concatenate([counted(space, unseen), *of_others], axis=1)

  columns = explained(genotypes)
  scale = np.maximum(np.abs(columns).mean(axis=0), 1e-300)
  design = np.concatenate([columns / scale, np.ones((len(latency), 1))], axis=1)
  # Relative errors, since small networks count as much as large ones.
  weights = nnls(design / latency[:, None], np.ones(len(latency)))[0]

  def predict(unseen: np.ndarray) -> np.ndarray:
    latencies: np.ndarray = (
      explained(unseen) / scale @ weights[:-1] + weights[-1]
    )
    return latencies

  total = max(float(weights @ design.mean(axis=0)), 1e-300)
  names = [*COUNTED[: columns.shape[1] - len(others)], *others]
  means = weights[:-1] * design.mean(axis=0)[:-1]
  return predict, {
    name: float(mean) / total
    for name, mean in zip(names, means, strict=True)
    if mean > 0
  }


@functools.lru_cache(maxsize=2)
def _parts(
  space: SearchSpace, shape: tuple[int, ...], genotypes: bytes
) -> np.ndarray:
  rows = np.frombuffer(genotypes, np.int32).reshape(shape)
  counts = np.stack(list(part_counts(space, rows).values()), axis=1)
  counts.flags.writeable = False
  return counts


@functools.lru_cache(maxsize=32)
def _number_of_parts(space: SearchSpace) -> int | None:
  try:
    made_of_blocks(space.table)
  except ValueError:
    return None
  count = len(space_keys(space))
  return count if count <= MOST_PARTS else None
