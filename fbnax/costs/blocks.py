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
from typing import Any

from fbnax.costs.layer import LayerCost, conv, value
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import (
  Follow,
  Reader,
  constant,
  decisions_of,
  largest,
)
from fbnax.spaces.tables import alternatives
from fbnax.spaces.widths import mid_width, squeeze_width


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
    if alike[0].op == "skip":
      rows += _skip(read, table, name, block, alike, c_in, after)
    else:
      kind_rows, kind_pooled = _inverted_residual(
        read, table, name, block, alike, c_in, size, after
      )
      rows += kind_rows
      pooled = pooled + kind_pooled
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
    if option.op != "skip":
      kind += (option.expansion, option.groups)
    found.setdefault(kind, []).append(option)
  return list(found.values())


def _inverted_residual(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  alike: Sequence[Block],
  c_in: Any,
  size: Any,
  after: Any,
) -> tuple[list[LayerCost], Any]:
  """Rows of those types of `block` that differ in kernel or squeeze-excite."""
  d, groups, e, present = (
    table.divisor,
    alike[0].groups,
    alike[0].expansion,
    alike[0].present,
  )
  mid = read(lambda c, x: mid_width(c, x, d), c_in, e)
  bias, side = table.block_bias, value(read, after)
  chosen = _share(read, block, alike)
  rows = []

  def expands(c: Any, x: Any, p: Any) -> Any:
    if table.expand_at_one:
      return p * 1
    return p * (mid_width(c, x, d) != c)

  if largest(expands, c_in, e, present):
    rows.append(
      conv(
        read,
        f"{name}.expand",
        "conv",
        c_in=value(read, c_in),
        c_out=mid,
        groups=groups,
        size=value(read, size),
        bias=bias,
        norm=True,
        times=read(expands, c_in, e, present) * chosen,
      )
    )
  for kernel in dict.fromkeys(option.kernel for option in alike):
    having = [option for option in alike if option.kernel == kernel]
    rows.append(
      conv(
        read,
        f"{name}.depthwise",
        "depthwise",
        c_in=mid,
        c_out=mid,
        kernel=kernel,
        stride=block.stride,
        groups=mid,
        size=side,
        bias=bias,
        norm=True,
        times=value(read, present) * _share(read, block, having),
      )
    )
  squeezing, pooled = _squeeze_excite(
    read, table, name, block, alike, c_in, mid, side
  )
  rows += squeezing
  rows.append(
    conv(
      read,
      f"{name}.project",
      "conv",
      c_in=mid,
      c_out=value(read, alike[0].channels),
      groups=groups,
      size=side,
      bias=bias,
      norm=True,
      times=value(read, present) * chosen,
    )
  )
  return rows, pooled


def _squeeze_excite(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  alike: Sequence[Block],
  c_in: Any,
  mid: Any,
  side: Any,
) -> tuple[list[LayerCost], Any]:
  """Rows of squeeze and excite, and the elements that they pool."""
  rows: list[LayerCost] = []
  pooled: Any = 0
  for squeezes in dict.fromkeys(option.squeeze_excite for option in alike):
    if not largest(bool, squeezes):
      continue
    having = [option for option in alike if option.squeeze_excite == squeezes]
    squeeze = read(
      lambda c, x: squeeze_width(c, x, table.divisor, table.squeeze_from_input),
      c_in,
      alike[0].expansion,
    )
    exists = read(lambda s, p: s * p, squeezes, alike[0].present) * _share(
      read, block, having
    )
    for part, left, right in (
      ("squeeze", mid, squeeze),
      ("excite", squeeze, mid),
    ):
      rows.append(
        conv(
          read,
          f"{name}.{part}",
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


def _skip(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  alike: Sequence[Block],
  c_in: Any,
  after: Any,
) -> list[LayerCost]:
  """The row of a skip where it is a convolution and not the identity."""
  c_out, present = alike[0].channels, alike[0].present

  def exists(c: Any, o: Any, p: Any) -> Any:
    return p * 1 if block.stride > 1 else p * (c != o)

  if not largest(exists, c_in, c_out, present):
    return []
  return [
    conv(
      read,
      f"{name}.skip",
      "conv",
      c_in=value(read, c_in),
      c_out=value(read, c_out),
      stride=block.stride,
      size=value(read, after),
      bias=table.block_bias,
      norm=True,
      times=read(exists, c_in, c_out, present) * _share(read, block, alike),
    )
  ]


def _share(read: Reader, block: Block, options: Sequence[Block]) -> Any:
  """The choice weight of some of the types of a block."""
  kind: Any = block.op
  every = alternatives(block)
  if len(options) == len(every):
    return 1
  chosen = tuple(int(option in options) for option in every)
  return value(read, Follow(kind.decision, chosen))
