"""Walks over layer tables: nested dataclasses whose fields may be open."""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import Follow


def map_fields(item: Any, function: Any) -> Any:
  """Applies `function` to every leaf of nested dataclasses and tuples."""
  if isinstance(item, tuple):
    return tuple(map_fields(i, function) for i in item)
  if dataclasses.is_dataclass(item) and not isinstance(item, (Follow, type)):
    changed = {
      f.name: map_fields(getattr(item, f.name), function)
      for f in dataclasses.fields(item)
    }
    return dataclasses.replace(item, **changed)
  return function(item)


def fill(table: Any, chosen: dict[str, int]) -> Any:
  """The table with each open field at the chosen value of its decision."""

  def value(item: Any) -> Any:
    if isinstance(item, Follow):
      return item.values[chosen[item.decision]]
    return item

  return map_fields(table, value)


def open_fields(*items: Any) -> list[Follow]:
  """All open fields of tables, in order."""
  found: list[Follow] = []

  def collect(item: Any) -> Any:
    if isinstance(item, Follow):
      found.append(item)
    return item

  for item in items:
    map_fields(item, collect)
  return found


def pairs(table: Any, filled: Any, where: str) -> list[tuple[str, Any, Any]]:
  """(name, open field, value) for each leaf of two equal dataclasses."""
  found: list[tuple[str, Any, Any]] = []
  for field in dataclasses.fields(table):
    left, right = getattr(table, field.name), getattr(filled, field.name)
    if dataclasses.is_dataclass(left) and not isinstance(left, Follow):
      found += pairs(left, right, f"{where}{field.name}.")
    else:
      found.append((where + field.name, left, right))
  return found


def match_blocks(
  table: Architecture, architecture: Architecture
) -> tuple[list[Block | None], tuple[str, ...]]:
  """The block of `architecture` for each of the table's, None where absent."""
  named = dict(zip(architecture.block_names, architecture.blocks, strict=True))
  names = table.block_names
  extra = sorted(set(named) - set(names))
  if extra:
    raise ValueError(f"the space has no blocks {extra}; it has {names}")
  return [named.get(name) for name in names], names
