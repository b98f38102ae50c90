"""U-Nets as chains of their blocks, and the modules of their stages.

AutoBuild (Mills et al. 2024, section 7.9): a node is a block, its features are
its operation, its channels, its section (input, middle, output) and its stage.
A module is what one stage of one section can be.

Symbols: `n` genotypes, `D` decisions, `N` blocks, `M` modules of a part.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.search.autobuild.chains import (
  Chains,
  Encoding,
  Feature,
  Lookup,
  lookup,
)
from fbnax.spaces import SearchSpace
from fbnax.spaces.follow import joint_values
from fbnax.spaces.tables import open_fields
from fbnax.spaces.unet import (
  OPERATIONS,
  SECTIONS,
  STAGES,
  Node,
  UNet,
  last_of,
  parts,
)


class UNetStage(NamedTuple):
  """A stage of the input or the output, and all of its modules.

  Attributes:
    name: `input3`.
    decisions: positions of those decisions that are its own, not shared with
      other stages as channels and multipliers are.
    modules: blocks of each module, in order, `M`.
    genotypes: for each one that has it, `i32[M, D]`.
    channels: of each module, `i64[M]`.
    lengths: number of blocks of each module, `i64[M]`.
  """

  name: str
  decisions: tuple[int, ...]
  modules: tuple[tuple[Node, ...], ...]
  genotypes: np.ndarray
  channels: np.ndarray
  lengths: np.ndarray


@functools.lru_cache(maxsize=8)
def encoding(space: SearchSpace) -> Encoding:
  """How the U-Nets of a space become chains.

  Raises:
    ValueError: the space is not of U-Nets.
  """
  table = _table(space)
  positions = {d.name: i for i, d in enumerate(space.decisions)}
  sizes = sorted(
    {
      value
      for multiplier in table.multipliers
      for _, value in joint_values(_product, (table.channels, multiplier))
    }
  )
  features = (
    Feature("operation", OPERATIONS),
    Feature("channels", tuple(sizes)),
    Feature("section", SECTIONS),
    Feature("stage", STAGES),
  )
  codes, present, owners = [], [], []
  for owner, (section, stage) in enumerate(parts()):
    fields = (table.channels, table.multipliers[stage - 1])
    channels = lookup(
      sizes.index, joint_values(_product, fields), fields, positions
    )
    for operation, threshold, gates in _places(table, section, stage):
      joint = joint_values(functools.partial(_is_there, threshold), gates)
      if not any(there for _, there in joint):
        continue
      codes.append(
        (
          _constant(OPERATIONS.index(operation)),
          channels,
          _constant(SECTIONS.index(section)),
          _constant(STAGES.index(stage)),
        )
      )
      present.append(lookup(bool, joint, gates, positions))
      owners.append(owner)
  return Encoding(
    features,
    (),
    tuple(range(len(owners))),
    tuple(owners),
    tuple(codes),
    tuple(present),
    None,
  )


@functools.partial(jax.jit, static_argnames="space")
def encoded(space: SearchSpace, genotypes: jax.Array) -> Chains:
  """The chains of genotypes, `i32[n, D]`."""
  return encoding(space).encode(genotypes)


def of_nodes(space: SearchSpace, networks: Sequence[Sequence[Node]]) -> Chains:
  """The chains of networks, or of modules alone, that are given as blocks.

  Args:
    space: of U-Nets; it has their channels.
    networks: blocks of each, in order.
  """
  values = [feature.values for feature in encoding(space).features]
  starts = np.cumsum([0, *map(len, values)])
  lengths = [len(nodes) for nodes in networks]
  features = np.zeros((len(networks), starts[-1], max(lengths)), np.float32)
  for row, nodes in enumerate(networks):
    for place, node in enumerate(nodes):
      for start, legal, value in zip(starts[:-1], values, node, strict=True):
        features[row, start + legal.index(value), place] = 1
  return Chains(jnp.asarray(features), jnp.asarray(lengths, jnp.int32))


@functools.lru_cache(maxsize=8)
def stages(space: SearchSpace) -> tuple[UNetStage, ...]:
  """The stages of input and output with their modules; the middle has none.

  Raises:
    ValueError: the space is not of U-Nets.
  """
  table = _table(space)
  position = {d.name: i for i, d in enumerate(space.decisions)}
  listed = []
  for section, stage in parts():
    if section == "middle":
      continue
    unshared = open_fields(
      getattr(table, f"{section}_residuals")[stage - 1],
      getattr(table, f"{section}_attention")[stage - 1],
    )
    shared = open_fields(table.channels, table.multipliers[stage - 1])
    own_places, places = (
      sorted({position[f.decision] for f in fields})
      for fields in (unshared, shared + unshared)
    )
    counts = [space.choices[i] for i in places]
    grid = np.indices(counts).reshape(len(counts), -1).T
    genotypes = np.zeros((len(grid), len(space.decisions)), np.int32)
    genotypes[:, places] = grid
    # The same channels may come of other global ones, times another multiplier.
    modules: dict[tuple[Node, ...], np.ndarray] = {}
    for genotype in genotypes:
      network: Any = space.architecture(genotype)
      modules.setdefault(network.stage(section, stage), genotype)
    listed.append(
      UNetStage(
        f"{section}{stage}",
        tuple(own_places),
        tuple(modules),
        np.stack(list(modules.values())),
        np.asarray([nodes[0].channels for nodes in modules]),
        np.asarray([len(nodes) for nodes in modules]),
      )
    )
  return tuple(listed)


def _table(space: SearchSpace) -> UNet:
  table: Any = space.table
  if not isinstance(table, UNet):
    raise ValueError(
      f"space {space.name!r} is of {type(table).__name__}; legal: a space of "
      "U-Nets"
    )
  return table


def _places(
  table: UNet, section: str, stage: int
) -> list[tuple[str, int, tuple[Any, ...]]]:
  """All blocks that a stage might have, in order.

  Returns:
    Of each its operation, the number of residual blocks above which it is
    there, and the fields that tell: that number, and whether it has attention.
  """
  if section == "middle":
    return [(o, 0, (1,)) for o in ("residual", "attention", "residual")]
  count = getattr(table, f"{section}_residuals")[stage - 1]
  attention = getattr(table, f"{section}_attention")[stage - 1]
  most = max(value for _, value in joint_values(int, (count,)))
  blocks: list[tuple[str, int, tuple[Any, ...]]] = []
  for i in range(most):
    blocks.append(("residual", i, (count,)))
    blocks.append(("attention", i, (count, attention)))
  return blocks + [(o, 0, (1,)) for o in last_of(section, stage)]


def _is_there(threshold: int, count: int, allowed: bool = True) -> bool:
  return bool(count > threshold and allowed)


def _product(channels: int, multiplier: int) -> int:
  return channels * multiplier


def _constant(code: int) -> Lookup:
  return Lookup((), np.asarray(code))
