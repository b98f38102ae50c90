"""When a decision changes something.

A decision without effect has choice 0 in a canonical genotype. It has none
where every block that follows it is absent, or is of a kind to which the field
means nothing (an expansion to a skip, say).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.spaces.architecture import Architecture
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Follow, decisions_of
from fbnax.spaces.kinds import means
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.tables import blocks_of, open_fields, without_blocks

# A decision counts where all of these fields are true; where there are none it
# always does.
Condition = tuple[Follow, ...]


def conditions(
  table: Architecture | CellNetwork, recipe_table: Recipe
) -> dict[str, set[Condition]]:
  """For each decision that has an effect, the conditions; any one suffices."""
  found: dict[str, set[Condition]] = {}
  always = decisions_of(*open_fields(without_blocks(table), recipe_table))
  for decision in always:
    found[decision] = {()}
  for block in blocks_of(table).values():
    for field in dataclasses.fields(block):
      item = getattr(block, field.name)
      if not isinstance(item, Follow):
        continue
      gates: list[Any] = [] if field.name == "present" else [block.present]
      gates.append(_means(block.op, field.name, item.decision))
      if False not in gates:
        condition = tuple(g for g in gates if isinstance(g, Follow))
        found.setdefault(item.decision, set()).add(condition)
  return found


def _means(op: Any, field: str, decision: str) -> Any:
  """Whether the field means something; the type's own fields all count."""
  if not isinstance(op, Follow):
    return means(op, field)
  meant = tuple(means(o, field) for o in op.values)
  if op.decision == decision or all(meant):
    return True
  return Follow(op.decision, meant)
