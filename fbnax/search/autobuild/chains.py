"""Networks as chains of their layers, for graph predictors.

AutoBuild (Mills et al. 2024), sections 3.1 and 7.6: a node is a layer that the
space decides about, its features are where it stands (stage and layer) and what
it is (block type, expansion, kernel; channels where they are searched), and
the image resolution as (r - 192) / 32.

Symbols: `n` genotypes, `D` decisions, `N` blocks, `F` categorical features, `K`
columns.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.spaces import Architecture, SearchSpace
from fbnax.spaces.architecture import Block
from fbnax.spaces.follow import Follow, decisions_of, joint_values
from fbnax.spaces.tables import open_fields

CENTRE, SPREAD = 192.0, 32.0  # Of resolutions, pixels.


class Feature(NamedTuple):
  """A categorical feature of a layer: its name and its values in order."""

  name: str
  values: tuple[Any, ...]


class Chains(NamedTuple):
  """Layers of networks, those of a network first and zeros behind them.

  Attributes:
    features: one-hot columns of the categorical features in order, then the
      resolution where it is searched, `f32[n, K, N]`.
    lengths: layers of each network, `i32[n]`.
  """

  features: jax.Array
  lengths: jax.Array


class Lookup(NamedTuple):
  """A value that follows decisions: their positions, and all joint values."""

  positions: tuple[int, ...]
  values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Encoding:
  """How the networks of a space become chains.

  Attributes:
    features: categorical features.
    resolutions: pixels by choice, where the resolution is searched.
    blocks: places in the space's table of the blocks that are nodes, `[N]`.
    stages: stage of each, `[N]`.
  """

  features: tuple[Feature, ...]
  resolutions: tuple[int, ...]
  blocks: tuple[int, ...]
  stages: tuple[int, ...]
  _codes: tuple[tuple[Lookup, ...], ...] = dataclasses.field(compare=False)
  _present: tuple[Lookup, ...] = dataclasses.field(compare=False)
  _resolution: Lookup | None = dataclasses.field(compare=False)

  @property
  def categories(self) -> tuple[int, ...]:
    """How many values each categorical feature has."""
    return tuple(len(f.values) for f in self.features)

  @property
  def numbers(self) -> int:
    """How many features are numbers."""
    return int(self._resolution is not None)

  @staticmethod
  def scaled(resolution: Any) -> Any:
    """A resolution as the number that nodes have."""
    return (resolution - CENTRE) / SPREAD

  def present(self, genotypes: jax.Array) -> jax.Array:
    """Which of the blocks a network has, `i32[n, D]` to `bool[n, N]`."""
    return jnp.stack([_look_up(p, genotypes) for p in self._present], axis=1)

  def encode(
    self, genotypes: jax.Array, only: tuple[int, ...] | None = None
  ) -> Chains:
    """The chains of genotypes; can be jitted.

    Args:
      genotypes: `i32[n, D]`.
      only: blocks to look at, of 0 to N - 1; None for all.
    """
    genotypes = jnp.asarray(genotypes, jnp.int32)
    present = self.present(genotypes)
    if only is not None:
      is_kept = np.isin(np.arange(len(self.blocks)), only)
      present = present & is_kept
      # No wider than it need be: modules are much shorter than networks.
      kept = list(only)
    else:
      kept = list(range(len(self.blocks)))
    present = present[:, np.asarray(kept)]
    columns = []
    for i, count in enumerate(self.categories):
      codes = [_look_up(self._codes[b][i], genotypes) for b in kept]
      columns.append(jax.nn.one_hot(jnp.stack(codes, 1), count))
    if self._resolution is not None:
      scaled = self.scaled(_look_up(self._resolution, genotypes))
      columns.append(
        jnp.broadcast_to(scaled[:, None, None], (*present.shape, 1))
      )
    features = jnp.concatenate(columns, axis=2) * present[..., None]
    # A stable sort: the layers that are there, in their order.
    order = jnp.argsort(~present, axis=1, stable=True)
    features = jnp.take_along_axis(features, order[..., None], axis=1)
    return Chains(features.transpose(0, 2, 1), present.sum(axis=1))


@functools.lru_cache(maxsize=32)
def encoding(space: SearchSpace) -> Encoding:
  """How the networks of a space become chains.

  Raises:
    ValueError: the space decides about no block.
  """
  table = space.table
  if not isinstance(table, Architecture):
    raise ValueError(
      f"space {space.name!r} is of {type(table).__name__}; legal: spaces of "
      "networks that are made of blocks"
    )
  blocks = [i for i, b in enumerate(table.blocks) if open_fields(b)]
  if not blocks:
    raise ValueError(f"space {space.name!r} has no block with open fields")
  layers: dict[int, int] = {}
  place: dict[int, int] = {}
  for i in blocks:
    stage = table.blocks[i].stage
    place[i] = layers.get(stage, 0)
    layers[stage] = place[i] + 1
  chosen = [table.blocks[i] for i in blocks]

  def is_open(name: str) -> bool:
    return any(isinstance(getattr(b, name), Follow) for b in chosen)

  # What no decision changes says nothing that the stage does not say.
  kind = ["op", *(n for n in ("groups", "squeeze_excite") if is_open(n))]
  fields: dict[str, tuple[str, ...]] = {
    "type": tuple(kind),
    "expansion": ("expansion",),
    "kernel": ("kernel",),
  }
  if is_open("channels"):
    fields["channels"] = ("channels",)
  joint = {
    name: [joint_values(_together, _fields(b, names)) for b in chosen]
    for name, names in fields.items()
  }
  features = [
    Feature("stage", tuple(sorted(layers))),
    Feature("layer", tuple(range(max(layers.values())))),
  ]
  for name, of_blocks in joint.items():
    values = sorted({value for block in of_blocks for _, value in block})
    features.append(Feature(name, tuple(values)))
  positions = {d.name: i for i, d in enumerate(space.decisions)}
  codes = []
  for n, i in enumerate(blocks):
    row = [
      Lookup((), np.asarray(features[0].values.index(table.blocks[i].stage))),
      Lookup((), np.asarray(place[i])),
    ]
    for feature in features[2:]:
      names = fields[feature.name]
      row.append(
        lookup(
          feature.values.index,
          joint[feature.name][n],
          _fields(chosen[n], names),
          positions,
        )
      )
    codes.append(tuple(row))
  resolution = None
  resolutions: tuple[int, ...] = ()
  if isinstance(table.resolution, Follow):
    resolutions = tuple(table.resolution.values)
    resolution = _one(float, table.resolution, positions)
  return Encoding(
    tuple(features),
    resolutions,
    tuple(blocks),
    tuple(table.blocks[i].stage for i in blocks),
    tuple(codes),
    tuple(_one(bool, b.present, positions) for b in chosen),
    resolution,
  )


def _together(*values: Any) -> Any:
  return values if len(values) > 1 else values[0]


def _fields(block: Block, names: tuple[str, ...]) -> tuple[Any, ...]:
  return tuple(getattr(block, name) for name in names)


def _one(
  kind: Callable[[Any], Any], field: Any, positions: dict[str, int]
) -> Lookup:
  return lookup(kind, joint_values(_together, (field,)), (field,), positions)


def lookup(
  code: Callable[[Any], Any],
  joint: list[tuple[dict[str, int], Any]],
  fields: tuple[Any, ...],
  positions: dict[str, int],
) -> Lookup:
  """A function of fields for every joint choice of what they follow.

  Args:
    code: of the values in `joint`; numbers.
    joint: as `joint_values` gives them.
    fields: that the values are of.
    positions: of the space's decisions, by name.
  """
  names = decisions_of(*fields)
  counts = {f.decision: len(f.values) for f in fields if isinstance(f, Follow)}
  values = np.asarray([code(value) for _, value in joint])
  return Lookup(
    tuple(positions[name] for name in names),
    values.reshape([counts[name] for name in names]),
  )


def _look_up(lookup: Lookup, genotypes: jax.Array) -> jax.Array:
  """The value of each genotype, `[n]`."""
  index = jnp.zeros(len(genotypes), jnp.int32)
  for position, count in zip(
    lookup.positions, lookup.values.shape, strict=True
  ):
    index = index * count + genotypes[:, position]
  return jnp.asarray(lookup.values.reshape(-1))[index]
