"""Latency tables: the time of a network as the sum of the times of its parts.

The lookup table of FBNet (Wan 2022, section 3.1): what a block takes on a
device does not depend on its neighbours, so blocks are measured once and added
up. Under choice weights the expected latency is linear in the weights of each
decision: the sum over all joint choices of what a block depends on (input and
output channels, expansion, type, resolution), weighted by their product, of the
block's time. Nothing is taken at effective widths, so no time is needed for
widths that no network has, and at one-hot weights it is the network's latency.

Symbols: `n` genotypes, `D` decisions. Latencies are milliseconds for a batch of
the table's `batch_size`. What keys mean: `fbnax.costs.latency_keys`; the file
format: `fbnax.costs.latency_json`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base import text
from fbnax.base.files import write_atomically
from fbnax.costs import latency_json
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, joint_keys, keys, slots, space_keys
from fbnax.costs.latency_widths import between
from fbnax.costs.table import Context, Cost
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.space import SearchSpace

CONST_PARTS = ("stem", "head")


@dataclasses.dataclass(frozen=True, eq=False)
class LatencyTable:
  """Measured times of the parts of networks on one device.

  Attributes:
    entries: time by key.
    const: ms that every network takes besides its entries; the fixed parts of
      published tables, or the overhead of a call.
    const_parts: "stem" and "head", where `const` holds their time or the table
      leaves them out; then they need no entry.
    device: where it was measured.
    note: how, and from where the numbers are.
    batch_size: images of a call.
    relative: entries are differences to other choices in the same place, as a
      fit to whole networks gives them, so they may be negative; sums are times.
    interpolate: widths between the measured ones are answered too, by
      `fbnax.costs.latency_widths`.
  """

  entries: Mapping[Key, Entry]
  const: float = 0.0
  const_parts: tuple[str, ...] = ()
  device: str = ""
  note: str = ""
  batch_size: int = 1
  relative: bool = False
  interpolate: bool = False

  def __post_init__(self) -> None:
    """Refuses what no table of times can hold."""
    if self.batch_size < 1:
      raise ValueError(f"batch_size is {self.batch_size!r}; legal: at least 1")
    if self.relative and self.interpolate:
      raise ValueError(
        "interpolate is True and relative is True; legal: one of them, since "
        "differences do not grow with widths as times do"
      )
    unknown = sorted(set(self.const_parts) - set(CONST_PARTS))
    if unknown:
      raise ValueError(f"const.parts has {unknown}; legal: {CONST_PARTS}")
    legal = "a number" if self.relative else "a number of at least 0"
    if not self._is_time(self.const):
      raise ValueError(f"const.ms is {self.const!r}; legal: {legal}")
    for key, (ms, spread, _) in self.entries.items():
      if not self._is_time(ms):
        hint = "" if self.relative else " (below 0 with relative: true alone)"
        raise ValueError(f"ms of {key} is {ms!r}; legal: {legal}{hint}")
      if spread is not None and not (math.isfinite(spread) and spread >= 0):
        raise ValueError(
          f"spread of {key} is {spread!r}; legal: a number of at least 0"
        )

  @classmethod
  def load(cls, path: str | os.PathLike[str]) -> LatencyTable:
    """Reads a table.

    Raises:
      ValueError: the file holds none; file, key, value and what is legal are
        named.
      OSError: it cannot be read.
    """
    document = text.read(path, f"{path}: latency table")
    try:
      return cls.from_json(document)
    except ValueError as error:
      raise ValueError(f"{path}: {error}") from error

  @classmethod
  def from_json(cls, document: str) -> LatencyTable:
    """The table of what `to_json` gave.

    Raises:
      ValueError: it is none; key, value and what is legal are named.
    """
    return cls(**latency_json.from_json(document))

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes the table: the file is replaced as a whole or not at all.

    Raises:
      OSError: it cannot be written.
    """
    write_atomically(path, self.to_json())

  def to_json(self) -> str:
    """The table as JSON; the same table gives the same text."""
    values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    return latency_json.to_json(**values)

  def time(self, key: Key) -> float | None:
    """Milliseconds of a part; None where the table has none.

    An identity takes no time unless there is an entry that says so.
    """
    entry = self.entries.get(key)
    if entry is not None:
      return entry.ms
    if key.op in self.const_parts or key.is_identity:
      return 0.0
    return self._between(key) if self.interpolate else None

  def check(self, space: SearchSpace) -> None:
    """Raises a ValueError that names every key of the space without a time."""
    self._require(space_keys(space), f"space {space.name!r}")

  def latency(self, architecture: Architecture) -> float:
    """Milliseconds of a network.

    Raises:
      ValueError: a part has no entry; all such keys are named.
    """
    parts = keys(architecture)
    self._require(parts, "the network")
    return self.const + math.fsum(self.time(key) or 0.0 for key in parts)

  def batch(self, space: SearchSpace, genotypes: jax.Array) -> jax.Array:
    """Milliseconds of each genotype of a population; can be jitted.

    Args:
      space: the space.
      genotypes: `i32[n, D]`.

    Returns:
      `f32[n]`, or `f64[n]` where JAX has it on.

    Raises:
      ValueError: as `check`.
    """
    return _batch(self, space, genotypes)

  def expected(
    self, space: SearchSpace, weights: Sequence[jax.Array]
  ) -> jax.Array:
    """Expected milliseconds under choice weights; differentiable.

    Args:
      space: the space.
      weights: one `f32[choices]` per decision, each sums to one.

    Returns:
      `f32[]`.

    Raises:
      ValueError: the number of vectors or a length does not fit the space, or
        as `check`.
    """
    shapes = tuple(w.shape for w in weights)
    legal = tuple((c,) for c in space.choices)
    if shapes != legal:
      raise ValueError(
        f"weights of space {space.name!r} have shapes {shapes}; wanted {legal}"
      )
    fixed, tensors = _tensors(self, space)
    dtype = jnp.result_type(*weights) if weights else jnp.result_type(float)
    terms = [jnp.asarray(fixed, dtype)]
    for tensor in tensors:
      value = jnp.asarray(tensor.values, dtype)
      for position in tensor.positions:
        # At one-hot weights the sum must be the entry to the last bit.
        value = jnp.tensordot(weights[position], value, 1, precision="highest")
      terms.append(value)
    return jnp.stack(terms).sum()

  def _is_time(self, ms: float) -> bool:
    return math.isfinite(ms) and (self.relative or ms >= 0)

  @functools.cached_property
  def _between(self) -> Callable[[Key], float | None]:
    return between(self.entries)

  def _require(self, parts: Iterable[Key], whose: str) -> None:
    missing = sorted(k for k in set(parts) if self.time(k) is None)
    if missing:
      about = f" of {self.device}" if self.device else ""
      lines = "\n".join(f"  {key}" for key in missing)
      raise ValueError(
        f"the latency table{about} has no entry for {len(missing)} parts of "
        f"{whose}:\n{lines}"
      )


class _Tensor(NamedTuple):
  """The times of what stands in places that follow the same decisions.

  Attributes:
    positions: of these decisions in the space.
    values: ms for all their joint choices, `f64[choices, …]`.
  """

  positions: tuple[int, ...]
  values: np.ndarray


@functools.lru_cache(maxsize=32)
def _tensors(
  table: LatencyTable, space: SearchSpace
) -> tuple[float, tuple[_Tensor, ...]]:
  """What all networks of the space take, and what depends on decisions."""
  table.check(space)
  position = {d.name: i for i, d in enumerate(space.decisions)}
  times: dict[Key | None, float] = {None: 0.0}
  summed: dict[tuple[int, ...], np.ndarray] = {}
  for slot in slots(space.table):
    places = tuple(position[name] for name in slot.decisions)
    joint = [key for _, key in joint_keys(slot)]
    for key in set(joint) - set(times):
      assert key is not None  # None is there from the beginning.
      times[key] = table.time(key) or 0.0
    values = np.asarray([times[key] for key in joint])
    shaped = values.reshape([space.choices[p] for p in places])
    summed[places] = summed.get(places, np.zeros(shaped.shape)) + shaped
  fixed = table.const + float(summed.pop((), np.zeros(())))
  return fixed, tuple(_Tensor(p, v) for p, v in summed.items())


@functools.partial(jax.jit, static_argnums=(0, 1))
def _batch(
  table: LatencyTable, space: SearchSpace, genotypes: jax.Array
) -> jax.Array:
  fixed, tensors = _tensors(table, space)
  dtype = jnp.result_type(float)
  total = jnp.full(genotypes.shape[:1], fixed, dtype)
  for tensor in tensors:
    index = jnp.zeros(genotypes.shape[:1], jnp.int32)
    for position in tensor.positions:
      index = index * space.choices[position] + genotypes[:, position]
    total = total + jnp.asarray(tensor.values.reshape(-1), dtype)[index]
  return total


def _table_of(context: Context) -> LatencyTable:
  if context.table is None:
    raise ValueError("the latency is asked for without a latency table")
  return context.table


LATENCY = Cost(
  "latency",
  exact=lambda network, context: _table_of(context).latency(network),
  batch=lambda space, genotypes, context: _table_of(context).batch(
    space, genotypes
  ),
  expected=lambda space, weights, context: _table_of(context).expected(
    space, weights
  ),
  check=lambda space, context: _table_of(context).check(space),
  needs_table=True,
  rounding=1e-5,  # Sums of parts, which may be negative.
  log_factor=1e3,  # FBNet's logarithm is of microseconds.
)
