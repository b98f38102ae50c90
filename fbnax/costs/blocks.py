"""What a block of the trunk costs, also where its type is searched.

The cost of a block whose type is searched is the sum over its types (see
`fbnax.spaces.tables.alternatives`) of choice weight and cost, each at its
effective shapes (equations 3.5 to 3.10 of Wan 2022). Types that have a layer in
common share its row, which then exists with the sum of their weights. Where
nothing else is open, the types' costs are numbers, and one row looks them up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from fbnax.costs.layer import LayerCost, conv, value
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import (
  Follow,
  Reader,
  constant,
  decisions_of,
  largest,
)
from fbnax.spaces.tables import alternatives


def block_rows(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  c_in: Any,
  size: Any,
  after: Any,
) -> tuple[list[LayerCost], Any]:
  """Costs of one place of the trunk.

  Args:
    read: the reader that fits the table.
    table: the table, for the family's rules.
    name: of the block.
    block: the entry; present under some choice.
    c_in: width of the entry before it, maybe open.
    size: height and width of the input, pixels, maybe open.
    after: height and width of the output, pixels, maybe open.

  Returns:
    Rows in call order, and elements that enter average pools.
  """
  if _only_type_is_open(block, c_in, size):
    return _tabulated(read, table, name, block, c_in, size, after)
  rows: list[LayerCost] = []
  pooled: Any = 0
  for alike in _kinds(block):
    place = _Place(read, table, name, block, alike, c_in, size, after)
    for layer in kinds.KINDS[alike[0].op].layers:
      if layer.op == "squeeze_excite":
        added, elements = place.squeeze_excite(layer)
        rows += added
        pooled = pooled + elements
      else:
        rows += place.convolution(layer)
  return rows, pooled


def _only_type_is_open(block: Block, *before: Any) -> bool:
  """Whether all that is open in `block`, and in nothing `before`, is its type.

  Each of its types then has one cost, a number.
  """
  fields = (getattr(block, f.name) for f in dataclasses.fields(block))
  return (
    isinstance(block.op, Follow)
    and not decisions_of(*before)
    and decisions_of(*fields) == (block.op.decision,)
  )


def _tabulated(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  c_in: Any,
  size: Any,
  after: Any,
) -> tuple[list[LayerCost], Any]:
  """One row for a block whose types have one cost each, a number."""
  kind: Any = block.op
  found = [
    block_rows(constant, table, name, option, c_in, size, after)
    for option in alternatives(block)
  ]

  def total(number: str) -> Any:
    sums = tuple(sum(getattr(r, number) for r in rows) for rows, _ in found)
    return value(read, Follow(kind.decision, sums))

  row = LayerCost(
    name=name,
    op="block",
    c_in=c_in,
    c_out=value(read, block.channels),
    kernel=value(read, block.kernel),
    stride=block.stride,
    groups=value(read, block.groups),
    h_out=after,
    w_out=after,
    macs=total("macs"),
    params=total("params"),
    weights=total("weights"),
  )
  pooled = Follow(kind.decision, tuple(p for _, p in found))
  return [row], value(read, pooled)


def _kinds(block: Block) -> list[list[Block]]:
  """The types of a block, by what the widths of their layers depend on."""
  found: dict[Any, list[Block]] = {}
  for option in alternatives(block):
    kind: tuple[Any, ...] = (option.op, option.channels, option.present)
    kind += tuple(
      getattr(option, name)
      for name in ("expansion", "groups")
      if kinds.means(option.op, name)
    )
    found.setdefault(kind, []).append(option)
  return list(found.values())


class _Place(NamedTuple):
  """Types of a block that differ in kernel or squeeze-excite alone.

  Attributes:
    read: as in `block_rows`, as the others are.
    alike: the types.
  """

  read: Reader
  table: Architecture
  name: str
  block: Block
  alike: Sequence[Block]
  c_in: Any
  size: Any
  after: Any

  def convolution(self, layer: kinds.BlockLayer) -> list[LayerCost]:
    """A row for each kernel that a layer has, none where it never exists."""
    read, block, option = self.read, self.block, self.alike[0]
    exists, fields = kinds.existence(layer, self.table, option, self.c_in)

    def times(*arguments: Any) -> Any:
      *values, present = arguments
      return present * exists(*values)

    if not largest(times, *fields, option.present):
      return []
    there = read(times, *fields, option.present)
    c_in, c_out = self._width(layer.c_in), self._width(layer.c_out)
    depthwise = layer.op == "depthwise"
    rows = []
    for kernel in self._kernels() if layer.kernel else (1,):
      having = self.alike
      if layer.kernel:
        having = [o for o in self.alike if o.kernel == kernel]
      groups = option.groups if layer.groups else 1
      rows.append(
        conv(
          read,
          f"{self.name}.{layer.name}",
          layer.op,
          c_in=c_in,
          c_out=c_out,
          kernel=kernel,
          stride=block.stride if layer.stride else 1,
          groups=c_out if depthwise else groups,
          size=value(read, self._side(layer)),
          bias=self.table.block_bias,
          norm=True,
          times=there * _share(read, block, having),
        )
      )
    return rows

  def squeeze_excite(
    self, layer: kinds.BlockLayer
  ) -> tuple[list[LayerCost], Any]:
    """Rows of squeeze and excite, and the elements that they pool."""
    read, option = self.read, self.alike[0]
    rows: list[LayerCost] = []
    pooled: Any = 0
    for squeezes in dict.fromkeys(o.squeeze_excite for o in self.alike):
      if not largest(bool, squeezes):
        continue
      having = [o for o in self.alike if o.squeeze_excite == squeezes]
      mid, side = self._width(layer.c_in), value(read, self.after)
      squeeze = read(
        kinds.squeeze_channels(self.table, option), self.c_in, option.expansion
      )
      exists = read(lambda s, p: s * p, squeezes, option.present) * _share(
        read, self.block, having
      )
      for part, left, right in (
        ("squeeze", mid, squeeze),
        ("excite", squeeze, mid),
      ):
        rows.append(
          conv(
            read,
            f"{self.name}.{part}",
            "conv",
            c_in=left,
            c_out=right,
            size=1,
            bias=True,
            times=exists,
          )
        )
      pooled = pooled + exists * mid * (side * side)
    return rows, pooled

  def _width(self, name: str) -> Any:
    width, fields = kinds.width(name, self.table, self.alike[0], self.c_in)
    return self.read(width, *fields)

  def _kernels(self) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(option.kernel for option in self.alike))

  def _side(self, layer: kinds.BlockLayer) -> Any:
    """Pixels of a layer's output; the strided one and all after it have few."""
    every = kinds.KINDS[self.alike[0].op].layers
    before = every[: every.index(layer) + 1]
    return self.after if any(one.stride for one in before) else self.size


def _share(read: Reader, block: Block, options: Sequence[Block]) -> Any:
  """The choice weight of some of the types of a block."""
  kind: Any = block.op
  every = alternatives(block)
  if len(options) == len(every):
    return 1
  chosen = tuple(int(option in options) for option in every)
  return value(read, Follow(kind.decision, chosen))
