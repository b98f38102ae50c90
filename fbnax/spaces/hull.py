"""The part of a space that some genotypes need.

A program with masks costs the largest network of its space. Cut down to what a
few candidates choose, it costs the largest of theirs; and for one of them alone
nothing is left to mask.

Symbols: `n` genotypes, `D` decisions.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from fbnax.spaces import cutting
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.follow import Follow, decisions_of
from fbnax.spaces.space import SearchSpace
from fbnax.spaces.tables import map_fields, open_fields


class Hull(NamedTuple):
  """A part of a space, and genotypes in it.

  Attributes:
    space: the part.
    genotypes: `i32[n, D]`, the same networks and recipes there.
  """

  space: SearchSpace
  genotypes: np.ndarray


def hull(space: SearchSpace, genotypes: Any) -> Hull:
  """The smallest part of a space's networks that holds some genotypes.

  Decisions about the network keep the choices that occur, those about the
  recipe all. Blocks that none has are left out.

  Args:
    space: one that has hulls.
    genotypes: `i32[n, D]`, at least one.

  Raises:
    ValueError: the space has no hulls, or there are no genotypes.
  """
  if not has_hulls(space):
    raise ValueError(
      f"space {space.name!r} has no hulls; legal: one of blocks whose types "
      "are not searched"
    )
  rows = np.asarray(genotypes, np.int32)
  count = len(space.decisions)
  if rows.ndim != 2 or rows.shape[1] != count or not len(rows):
    raise ValueError(
      f"genotypes have shape {rows.shape}; legal: (n, {count}), n above 0"
    )
  about = set(decisions_of(*open_fields(space.table)))
  about -= set(decisions_of(*open_fields(space.recipe_table)))
  kept, inside = {}, rows.copy()
  for i, decision in enumerate(space.decisions):
    if decision.name in about:
      used = np.unique(rows[:, i])
      kept[decision.name] = [decision.values[j] for j in used]
      inside[:, i] = np.searchsorted(used, rows[:, i])
  part = cutting.fix(space, kept)
  table = map_fields(part.table, _plain)
  blocks = tuple(b for b in table.blocks if b.present is not False)
  table = dataclasses.replace(table, blocks=blocks)
  return Hull(dataclasses.replace(part, table=table), inside)


def has_hulls(space: SearchSpace) -> bool:
  """Whether a space is made of blocks whose types are not searched."""
  table = space.table
  return isinstance(table, Architecture) and not any(
    isinstance(block.op, Follow) for block in table.blocks
  )


def _plain(field: Any) -> Any:
  """A field that nothing is left to choose of is that value."""
  if isinstance(field, Follow) and len(set(field.values)) == 1:
    return field.values[0]
  return field
