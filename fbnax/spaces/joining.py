"""Spaces in which some decisions are taken together, from a list.

AutoBuild's reduced spaces (Mills et al. 2024, section 5.1): of a stage's
modules, that is of the joint choices of its decisions, a few are kept, and one
decision chooses among them.

Symbols: `n` genotypes, `D` decisions, `M` choices that are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fbnax.spaces.follow import Follow
from fbnax.spaces.tables import map_fields

if TYPE_CHECKING:
  from fbnax.spaces.space import SearchSpace


class Group(NamedTuple):
  """Decisions that become one.

  Attributes:
    decisions: their names.
    choices: the joint choices that are kept, all distinct,
      `i32[M, len(decisions)]`.
  """

  decisions: tuple[str, ...]
  choices: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Joined:
  """A space with joined decisions, and the way back.

  Attributes:
    space: the joined space.
    original: the space it is a part of.
    groups: by name of the decision that stands for them.
  """

  space: SearchSpace
  original: SearchSpace
  groups: Mapping[str, Group]

  def expand(self, genotypes: ArrayLike) -> np.ndarray:
    """Genotypes of the original space, `i32[n, D]`."""
    genotypes = np.asarray(genotypes)
    chosen = {d.name: i for i, d in enumerate(self.space.decisions)}
    columns: dict[str, np.ndarray] = {}
    for name, group in self.groups.items():
      rows = group.choices[genotypes[:, chosen[name]]]
      columns |= dict(zip(group.decisions, rows.T, strict=True))
    for name, place in chosen.items():
      if name not in self.groups:
        columns[name] = genotypes[:, place]
    names = [d.name for d in self.original.decisions]
    return np.stack([columns[n] for n in names], axis=1).astype(np.int32)


def join(space: SearchSpace, groups: Mapping[str, Group]) -> Joined:
  """The part of a space in which each group is one decision.

  The new decisions are categorical; what their values stand for is written out
  (`depth=2, layer0.kernel=3`). They stand where the first of their group stood.

  Args:
    space: the space.
    groups: by the names of the new decisions.

  Raises:
    ValueError: no such decision, a decision in two groups, choices that repeat
      or are out of range; group and value are named.
  """
  position = {d.name: i for i, d in enumerate(space.decisions)}
  owner: dict[str, str] = {}
  for name, group in groups.items():
    for decision in group.decisions:
      if decision not in position:
        raise ValueError(
          f"group {name!r} has {decision!r}; legal: decisions of space "
          f"{space.name!r}: {list(position)}"
        )
      if decision in owner:
        raise ValueError(
          f"groups {owner[decision]!r} and {name!r} both have {decision!r}; "
          "legal: a decision in one group"
        )
      owner[decision] = name
    _check(space, name, group, position)

  def joined(item: Any) -> Any:
    if not isinstance(item, Follow) or item.decision not in owner:
      return item
    name = owner[item.decision]
    group = groups[name]
    column = group.choices[:, group.decisions.index(item.decision)]
    values = tuple(item.values[i] for i in column.tolist())
    # A field that all kept choices agree about is open no more.
    return values[0] if len(set(values)) == 1 else Follow(name, values)

  decisions: dict[str, Any] = {}
  for item in space.decisions:
    group_name = owner.get(item.name)
    if group_name is None:
      decisions[item.name] = item
    elif group_name not in decisions:
      decisions[group_name] = dataclasses.replace(
        item,
        name=group_name,
        values=_texts(space, groups[group_name], position),
        categorical=True,
      )
  table = map_fields(space.table, joined)
  reduced = dataclasses.replace(
    space,
    decisions=tuple(decisions.values()),
    table=table,
    recipe_table=map_fields(space.recipe_table, joined),
  )
  return Joined(reduced, space, dict(groups))


def _check(
  space: SearchSpace, name: str, group: Group, position: Mapping[str, int]
) -> None:
  shape = (len(group.choices), len(group.decisions))
  if group.choices.shape != shape or not all(shape):
    raise ValueError(
      f"group {name!r} has choices of shape {group.choices.shape}; legal: "
      "[M, decisions], one of each at least"
    )
  counts = np.asarray([space.choices[position[d]] for d in group.decisions])
  wrong = np.argwhere((group.choices < 0) | (group.choices >= counts))
  if len(wrong):
    row, column = wrong[0]
    raise ValueError(
      f"group {name!r}: choices[{row}] has {group.choices[row, column]} for "
      f"{group.decisions[column]!r}; legal: 0 to {counts[column] - 1}"
    )
  if len(np.unique(group.choices, axis=0)) != len(group.choices):
    raise ValueError(f"group {name!r} repeats choices; legal: each once")


def _texts(
  space: SearchSpace, group: Group, position: Mapping[str, int]
) -> tuple[str, ...]:
  """The joint choices in words."""
  shared: Sequence[str] = group.decisions
  stages = {name.split(".")[0] for name in shared}
  # The stage stands in the name of the new decision already.
  short = [n.partition(".")[2] or n if len(stages) == 1 else n for n in shared]
  values = [space.decisions[position[name]].values for name in shared]
  return tuple(
    ", ".join(
      f"{name}={options[i]}"
      for name, options, i in zip(short, values, row, strict=True)
    )
    for row in group.choices.tolist()
  )
