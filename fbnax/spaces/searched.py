"""Layers whose block type is searched, as entries of a layer table.

In a differentiable search (FBNet; DMaskingNAS, chapter 3 of Wan 2022) a layer
of the trunk is a choice between types of blocks: kernel, squeeze-excite,
activation and the like in certain combinations, or a skip. One categorical
decision takes it, and all fields that belong to a type follow that decision;
widths have decisions of their own where they are searched. See
`fbnax.spaces.tables.alternatives` for the way back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from fbnax.spaces.architecture import Block
from fbnax.spaces.space import Decision, follow

# The fields of each type by its name; what it leaves out has Block's default.
Types = Mapping[str, Mapping[str, Any]]
# All values, as lowest, highest and the step between them.
Range = tuple[float, float, float]

SKIP: Mapping[str, Any] = {"op": "skip"}


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of a macro-architecture: layers that choose from the same values.

  Attributes:
    stage: the number of the stage.
    expansion: of the mid channels; a number, the range to choose from, or None
      where it belongs to the type.
    channels: of the outputs; a number, or the range to choose from.
    layers: how many.
    stride: of the first of them.
  """

  stage: int
  expansion: float | Range | None
  channels: int | Range
  layers: int = 1
  stride: int = 1


def typed_block(decision: Decision, types: Types, **fields: Any) -> Block:
  """An entry that takes one of `types`.

  Args:
    decision: the choice between the types, which are its values.
    types: the fields of each type.
    **fields: those that belong to no type.

  Raises:
    ValueError: `decision` has other values than the names of the types.
  """
  if decision.values != tuple(types):
    raise ValueError(
      f"decision {decision.name!r} has the values {decision.values}; wanted "
      f"the names of the types, {tuple(types)}"
    )
  defaults = {f.name: f.default for f in dataclasses.fields(Block)}
  names = dict.fromkeys(["op", *(n for t in types.values() for n in t)])
  open_fields = {
    name: follow(
      decision, tuple(t.get(name, defaults[name]) for t in types.values())
    )
    for name in names
  }
  return Block(**fields, **open_fields)


def layers(
  rows: Iterable[Row], types: Types
) -> tuple[tuple[Decision, ...], tuple[Block, ...]]:
  """Decisions and entries of searched layers.

  The n-th layer, from one, has the decisions `layer<n>.block`, its type, and
  `layer<n>.channels` and `layer<n>.expansion` where those are ranges.
  """
  decisions: list[Decision] = []
  blocks: list[Block] = []
  for row in rows:
    for index in range(row.layers):
      layer = f"layer{len(blocks) + 1}"
      kind = Decision(f"{layer}.block", tuple(types), categorical=True)
      decisions.append(kind)
      widths: dict[str, Any] = {"channels": row.channels}
      if row.expansion is not None:
        widths["expansion"] = row.expansion
      for name, width in widths.items():
        if isinstance(width, tuple):
          searched = Decision(f"{layer}.{name}", stepped(*width))
          decisions.append(searched)
          widths[name] = follow(searched)
      blocks.append(
        typed_block(
          kind,
          types,
          stage=row.stage,
          stride=row.stride if index == 0 else 1,
          **widths,
        )
      )
  return tuple(decisions), tuple(blocks)


def stepped(low: float, high: float, step: float) -> tuple[float, ...]:
  """All values from `low` to `high`, both included.

  Raises:
    ValueError: the step does not lead from one to the other.
  """
  count = (high - low) / step if step > 0 else -1.0
  if count < 0 or abs(count - round(count)) > 1e-9:
    raise ValueError(
      f"no steps of {step} lead from {low} to {high}; legal: lowest, highest "
      "and a step above 0 that divides their distance"
    )
  return tuple(low + step * i for i in range(round(count) + 1))
