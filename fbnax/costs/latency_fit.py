"""A latency table from whole networks that were measured.

Where a device cannot measure single blocks, or their times do not add up, the
table is solved from networks: latencies are regressed on how often each key
stands in a network (least squares). Symbols: `n` networks, `K` keys.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fbnax.costs.latency import CONST_PARTS, LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, joint_keys, slots
from fbnax.spaces.space import SearchSpace


def fit_table(
  space: SearchSpace,
  genotypes: ArrayLike,
  latency: ArrayLike,
  *,
  device: str = "",
  note: str = "",
) -> LatencyTable:
  """The table whose sums are closest to measured latencies.

  Only differences between choices can be told from whole networks, so the
  table is `relative`: skips are 0, what all networks have is in `const`, and
  entries may be negative. Of equally close tables it is the one with the
  smallest entries.

  Args:
    space: the space.
    genotypes: the networks, `i32[n, D]`.
    latency: what they take, ms, `f32[n]`.
    device: where they were measured.
    note: how.

  Raises:
    ValueError: the numbers are not finite, their shapes do not fit, or no
      network has some key of the space; all such keys are named.
  """
  genotypes = np.asarray(genotypes)
  latency = np.asarray(latency, np.float64)
  shape = (latency.size, len(space.decisions))
  if genotypes.shape != shape or latency.ndim != 1 or not latency.size:
    raise ValueError(
      f"genotypes have shape {genotypes.shape}, latency {latency.shape}; "
      f"legal: (n, {len(space.decisions)}) and (n,), n at least 1"
    )
  wrong = np.flatnonzero(~(np.isfinite(latency) & (latency >= 0)))
  if len(wrong):
    raise ValueError(
      f"latency[{wrong[0]}] is {latency[wrong[0]]}; legal: a number of at "
      "least 0"
    )
  for i, decision in enumerate(space.decisions):
    choices = genotypes[:, i]
    outside = np.flatnonzero((choices < 0) | (choices >= len(decision.values)))
    if len(outside):
      raise ValueError(
        f"genotypes[{outside[0]}, {i}] is {choices[outside[0]]}; legal: 0 to "
        f"{len(decision.values) - 1}"
      )
  counts = part_counts(space, genotypes)
  unseen = sorted(key for key, column in counts.items() if not column.any())
  if unseen:
    lines = "\n".join(f"  {key}" for key in unseen)
    raise ValueError(
      f"no measured network has these {len(unseen)} keys of space "
      f"{space.name!r}; measure more, or fix decisions:\n{lines}"
    )
  # What is in every network equally often cannot be told from the constant.
  told = [
    key
    for key, column in counts.items()
    if key.op != "skip" and column.min() != column.max()
  ]
  design = np.stack([np.ones(len(latency)), *(counts[k] for k in told)], axis=1)
  solved = np.linalg.lstsq(design, latency, rcond=None)[0]
  entries = {key: Entry(0.0) for key in counts if key.op not in CONST_PARTS}
  entries |= {k: Entry(float(v)) for k, v in zip(told, solved[1:], strict=True)}
  const_parts = tuple(
    op for op in CONST_PARTS if not any(key.op == op for key in told)
  )
  return LatencyTable(
    entries,
    const=float(solved[0]),
    const_parts=const_parts,
    device=device,
    note=note,
    relative=True,
  )


def part_counts(
  space: SearchSpace, genotypes: np.ndarray
) -> dict[Key, np.ndarray]:
  """How often each key of the space stands in each network, `f64[n]` each.

  Args:
    space: the space.
    genotypes: the networks, `i32[n, D]`.

  Raises:
    ValueError: its networks are not made of blocks.
  """
  position = {d.name: i for i, d in enumerate(space.decisions)}
  counts: dict[Key, np.ndarray] = {}
  for slot in slots(space.table):
    index = np.zeros(len(genotypes), np.int64)
    for name in slot.decisions:
      place = position[name]
      index = index * space.choices[place] + genotypes[:, place]
    places: dict[Key, list[int]] = {}
    for i, (_, key) in enumerate(joint_keys(slot)):
      if key is not None:
        places.setdefault(key, []).append(i)
    for key, joint in places.items():
      column = counts.setdefault(key, np.zeros(len(genotypes)))
      column += np.isin(index, joint)
  return counts
