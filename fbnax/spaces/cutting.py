"""Parts of a space: decisions fixed, recipes alone, architectures alone.

A search of recipes for a given network, or of networks under a given recipe,
is a search in such a part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fbnax.base.names import nearest
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Follow, decisions_of
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.tables import map_fields, open_fields

if TYPE_CHECKING:
  from fbnax.spaces.space import SearchSpace


def fix(space: SearchSpace, decisions: Mapping[str, Any]) -> SearchSpace:
  """The space with decisions fixed to a value, or cut to a list of values.

  Raises:
    ValueError: no such decision, or no such value; the legal ones are named.
  """
  by_name = {d.name: d for d in space.decisions}
  kept: dict[str, list[int]] = {}
  for name, value in decisions.items():
    if name not in by_name:
      near = nearest(name, by_name)
      raise ValueError(
        f"space {space.name!r} has no decision {name!r}; "
        f"nearest: {near or list(by_name)}"
      )
    decision = by_name[name]
    wanted = list(value) if isinstance(value, (list, tuple)) else [value]
    for v in wanted:
      if v not in decision.values:
        raise ValueError(
          f"decision {name!r} has no value {v!r}; legal: {decision.values}"
        )
    if not wanted:
      raise ValueError(f"decision {name!r} needs at least one value")
    kept[name] = [i for i, v in enumerate(decision.values) if v in wanted]

  def cut(item: Any) -> Any:
    if isinstance(item, Follow) and item.decision in kept:
      values = tuple(item.values[i] for i in kept[item.decision])
      return Follow(item.decision, values)
    return item

  return dataclasses.replace(
    space,
    decisions=tuple(
      dataclasses.replace(d, values=tuple(d.values[i] for i in kept[d.name]))
      if d.name in kept
      else d
      for d in space.decisions
    ),
    table=map_fields(space.table, cut),
    recipe_table=map_fields(space.recipe_table, cut),
  )


def with_architecture(
  space: SearchSpace, architecture: Architecture | CellNetwork
) -> SearchSpace:
  """The space of recipes for one network.

  Raises:
    ValueError: the space has no decision about the recipe.
  """
  return dataclasses.replace(
    space,
    decisions=_followed(space, space.recipe_table, "recipe"),
    table=architecture,
  )


def with_recipe(space: SearchSpace, recipe: Recipe) -> SearchSpace:
  """The space of networks under one recipe.

  Raises:
    ValueError: the space has no decision about the architecture, or no
      training can have the recipe.
  """
  recipe.validate()
  return dataclasses.replace(
    space,
    decisions=_followed(space, space.table, "architecture"),
    recipe_table=recipe,
  )


def _followed(space: SearchSpace, table: Any, part: str) -> tuple[Any, ...]:
  """The decisions that fields of a table follow."""
  names = decisions_of(*open_fields(table))
  if not names:
    raise ValueError(
      f"space {space.name!r} has no decision about the {part}; it has "
      f"{[d.name for d in space.decisions]}"
    )
  return tuple(d for d in space.decisions if d.name in names)
