"""Walks over layer tables: nested dataclasses whose fields may be open.

All that spaces need to know about the kinds of network is here: an
`Architecture` has blocks that may be absent, a `CellNetwork` and a `UNet` have
none.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Follow
from fbnax.spaces.kinds import KINDS, means
from fbnax.spaces.recipe import Recipe


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


def blocks_of(table: Architecture | CellNetwork) -> dict[str, Block]:
  """A table's blocks by name; a network of another kind has none."""
  if not isinstance(table, Architecture):
    return {}
  return dict(zip(table.block_names, table.blocks, strict=True))


@functools.lru_cache(maxsize=4096)
def alternatives(block: Block) -> tuple[Block, ...]:
  """What a block can be: one entry for each choice of its type.

  A block whose `op` is open is a choice between types, and every field that
  belongs to a type follows the same decision. Each alternative has these fields
  filled; widths, and whatever else follows another decision, stay open. The
  choice weights of the decision are the weights of the alternatives.
  """
  if not isinstance(block.op, Follow):
    return (block,)
  decision = block.op.decision
  filled = (
    map_fields(block, functools.partial(_choose, decision, index))
    for index in range(len(block.op.values))
  )
  return tuple(map(plain, filled))


def plain(block: Block) -> Block:
  """A block without the fields that mean nothing to its kind."""
  ignored = KINDS[block.op].ignores
  defaults: dict[str, Any] = {
    f.name: f.default for f in dataclasses.fields(Block) if f.name in ignored
  }
  return dataclasses.replace(block, **defaults)


def _choose(decision: str, index: int, item: Any) -> Any:
  if isinstance(item, Follow) and item.decision == decision:
    return item.values[index]
  return item


def without_blocks(table: Architecture | CellNetwork) -> Any:
  """The table without its blocks: what is always there."""
  if not isinstance(table, Architecture):
    return table
  return dataclasses.replace(table, blocks=())


def with_present_blocks(table: Architecture | CellNetwork) -> Any:
  """A filled table without the blocks that are absent."""
  if not isinstance(table, Architecture):
    return table
  present = tuple(plain(b) for b in table.blocks if b.present)
  return dataclasses.replace(table, blocks=present)


def match(
  table: Architecture | CellNetwork, filled: Architecture | CellNetwork
) -> list[tuple[str, Any, Any]]:
  """(name, field of the table, value in `filled`) for all of its fields.

  Raises:
    ValueError: `filled` is another kind of network, or has other blocks.
  """
  if type(table) is not type(filled):
    raise ValueError(
      f"the network is of type {type(filled).__name__}; the space has "
      f"{type(table).__name__} only"
    )
  found, wanted = blocks_of(filled), blocks_of(table)
  extra = sorted(set(found) - set(wanted))
  if extra:
    raise ValueError(f"the space has no blocks {extra}; it has {tuple(wanted)}")
  matched = _pairs(without_blocks(table), without_blocks(filled), "")
  for name, block in wanted.items():
    if name in found:
      pairs = _pairs(block, found[name], f"{name}.")
      op = found[name].op
      matched += [p for p in pairs if means(op, p[0].removeprefix(f"{name}."))]
    else:
      matched.append((f"{name}.present", block.present, False))
  return matched


def match_recipe(table: Recipe, filled: Recipe) -> list[tuple[str, Any, Any]]:
  """(name, field of the table, value in `filled`) for all of its fields."""
  return _pairs(table, filled, "recipe.")


def _pairs(table: Any, filled: Any, where: str) -> list[tuple[str, Any, Any]]:
  """(name, open field, value) for each leaf of two equal dataclasses."""
  found: list[tuple[str, Any, Any]] = []
  for field in dataclasses.fields(table):
    left, right = getattr(table, field.name), getattr(filled, field.name)
    name = where + field.name
    if isinstance(left, tuple):
      found += [
        (f"{name}[{i}]", *pair)
        for i, pair in enumerate(zip(left, right, strict=True))
      ]
    elif dataclasses.is_dataclass(left) and not isinstance(left, Follow):
      found += _pairs(left, right, f"{name}.")
    else:
      found.append((name, left, right))
  return found
