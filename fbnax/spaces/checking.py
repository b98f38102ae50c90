"""What a layer table with open fields must fulfil to be a search space.

Widths are channel masks over one weight, so they ascend. A layer whose type is
searched sums what its types give, so all of them have one shape. The maps of
all resolutions are put back into those of the largest, so each resolution
divides by every stride (section 3.3 of Wan 2022).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

from fbnax.base import limits
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Follow, joint_values
from fbnax.spaces.kinds import (
  OPS,
  STACKED,
  adds_input,
  means,
  mid_channels,
)
from fbnax.spaces.tables import alternatives, blocks_of

# Fields of a block, or of a type of it, that no decision may be about.
_CONSTANT = (
  "activation",
  "residual",
  "expand",
  "gate",
  "squeeze_activation",
  "squeeze_divisor",
  "squeeze_from_input",
)


def check(table: Architecture | CellNetwork) -> None:
  """Raises a ValueError that names the first entry no space can have."""
  if not isinstance(table, Architecture):
    return
  if len(table.blocks) > limits.BLOCKS:
    raise ValueError(
      f"blocks has {len(table.blocks):,} entries; legal: at most"
      f" {limits.BLOCKS:,}"
    )
  _check_most("resolution", _values(table.resolution), limits.RESOLUTION)
  _check_channels("stem.channels", table.stem.channels)
  before = table.stem.channels
  for name, block in blocks_of(table).items():
    _check_presence(name, block, before)
    _check_types(name, block)
    for option in alternatives(block):
      _check_most(f"{name}.kernel", _values(option.kernel), limits.KERNEL)
      _check_channels(f"{name}.channels", option.channels)
      if means(option.op, "expansion"):
        _check_expansion(f"{name}.expansion", option.expansion)
      if means(option.op, "groups"):
        _check_groups(name, table, option, before)
      _check_own(name, option, before)
    before = block.channels
  _check_channels("head.channels", table.head.channels)
  _check_resolutions(table)


def _check_presence(name: str, block: Block, before: Any) -> None:
  """An absence must not change a width."""
  if isinstance(block.present, Follow) and block.channels != before:
    raise ValueError(
      f"{name} may be absent, so its channels must be those of the block "
      "before it"
    )
  if isinstance(block.present, Follow) and block.residual is False:
    raise ValueError(
      f"{name}.residual is False; legal: None or True where a block may be"
      " absent, since it then passes its input on"
    )


def _check_types(name: str, block: Block) -> None:
  if not isinstance(block.op, Follow):
    if block.op not in OPS:
      raise ValueError(f"{name}.op is {block.op!r}; legal: {', '.join(OPS)}")
    return
  for op in block.op.values:
    if op not in STACKED:
      raise ValueError(
        f"{name}.op offers {op!r}; legal: {', '.join(STACKED)}, where the type"
        " of a layer is searched"
      )
  for field in ("residual", "expand"):
    if getattr(block, field) is not None:
      raise ValueError(
        f"{name}.{field} is {getattr(block, field)!r}; legal: None where the"
        " type of a layer is searched"
      )
  for field in ("squeeze_divisor", "squeeze_from_input"):
    if isinstance(getattr(block, field), Follow):
      raise ValueError(
        f"{name}.{field} follows {getattr(block, field).decision!r}; legal: one"
        " value for all types of a layer"
      )
  if isinstance(block.stride, Follow):
    raise ValueError(
      f"{name}.stride follows {block.stride.decision!r}; legal: one stride "
      "for all types of a layer"
    )
  if block.padding is not None:
    raise ValueError(
      f"{name}.padding is {block.padding!r}; legal: None where the type of a "
      "layer is searched, so that all types give one size"
    )


def _check_channels(where: str, channels: Any) -> None:
  values = _values(channels)
  if any(a >= b for a, b in itertools.pairwise(values)):
    raise ValueError(f"{where} offers {values}; legal: ascending widths")
  if not values[0] >= 1:
    raise ValueError(f"{where} offers {values[0]!r}; legal: at least 1")
  _check_most(where, values, limits.CHANNELS)


def _check_expansion(where: str, expansion: Any) -> None:
  for value in _values(expansion):
    if not value > 0:
      raise ValueError(f"{where} offers {value!r}; legal: above 0")
  _check_most(where, _values(expansion), limits.EXPANSION)


def _check_most(where: str, values: Any, most: int) -> None:
  """What is offered must not ask for more memory than anyone means."""
  for value in values:
    if not value <= most:
      raise ValueError(f"{where} offers {value!r}; legal: at most {most:,}")


def _check_own(name: str, block: Block, before: Any) -> None:
  """What a block says for itself is one value, and holds for all widths."""
  for field in (f.name for f in dataclasses.fields(block)):
    value = getattr(block, field)
    if field in _CONSTANT and isinstance(value, Follow):
      raise ValueError(
        f"{name}.{field} follows {value.decision!r}; legal: one value"
      )
  if block.expand is False and any(e != 1 for e in _values(block.expansion)):
    raise ValueError(
      f"{name}.expansion is {block.expansion!r}; legal: 1 where expand is False"
    )
  kept = joint_values(adds_input(block), (before, block.channels))
  if block.residual and not all(same for _, same in kept):
    raise ValueError(
      f"{name}.residual is {block.residual!r}; legal: False or None where the"
      " shape of the output is not always the input's"
    )


def _check_groups(
  name: str, table: Architecture, block: Block, before: Any
) -> None:
  """Groups of channels must come out even."""
  mid = mid_channels(table, block)

  def uneven(c_in: Any, expansion: Any, c_out: Any, groups: Any) -> Any:
    widths = (c_in, mid(c_in, expansion), c_out)
    return next((w for w in widths if w % groups), None)

  if all(groups == 1 for groups in _values(block.groups)):
    return
  fields = (before, block.expansion, block.channels, block.groups)
  for _, width in joint_values(uneven, fields):
    if width is not None:
      raise ValueError(
        f"{name}.groups is {block.groups!r}; legal: a divisor of its widths, "
        f"of which {width} is one"
      )


def _check_resolutions(table: Architecture) -> None:
  if not any(isinstance(b.op, Follow) for b in table.blocks):
    return
  stride = math.prod(b.stride for b in table.blocks) * table.stem.stride
  for side in _values(table.resolution):
    if side % stride:
      raise ValueError(
        f"resolution offers {side}; legal: multiples of {stride}, the product "
        "of all strides, where the types of layers are searched"
      )


def _values(field: Any) -> tuple[Any, ...]:
  return field.values if isinstance(field, Follow) else (field,)
