"""What each layer costs: one set of formulas, generic over the number type.

`rows` goes through a layer table in call order and asks a reader (see
`fbnax.spaces.follow`) for its numbers. With the `constant` reader they are
exact integers, with `at_genotypes` arrays over a population, with
`expectation` effective values that differentiate (equations 3.5 to 3.10 of
Wan 2022: a layer's cost is the formula at its effective shapes). Here are the
formulas of an `Architecture`; those of a `CellNetwork` are in `cell.py`.
"""

from __future__ import annotations

from typing import Any

from fbnax.costs import cell
from fbnax.costs.layer import LayerCost, conv, mapped, pixels, value
from fbnax.spaces.architecture import Architecture, Block, out_size
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Reader, largest
from fbnax.spaces.widths import mid_width, squeeze_width


def rows(
  table: Architecture | CellNetwork, read: Reader, num_classes: int
) -> list[LayerCost]:
  """Costs of all layers of a table, in call order.

  Args:
    table: a network, or the open table of a space.
    read: the reader that fits it.
    num_classes: outputs of the classifier.
  """
  if isinstance(table, CellNetwork):
    return cell.walk(table, read, num_classes)
  return walk(table, read, num_classes)[0]


def walk(
  table: Architecture, read: Reader, num_classes: int
) -> tuple[list[LayerCost], Any]:
  """Costs of all layers of a table.

  Args:
    table: an architecture, or the open table of a space.
    read: the reader that fits it.
    num_classes: outputs of the classifier.

  Returns:
    The layers in call order, and the number of elements that enter average
    pools (squeeze-excite's and the head's), which published counts include.
  """
  size = mapped(
    table.resolution,
    lambda r: out_size(r, table.stem.kernel, table.stem.stride, None),
  )
  rows = [
    conv(
      read,
      "stem",
      "conv",
      c_in=table.input_channels,
      c_out=value(read, table.stem.channels),
      kernel=table.stem.kernel,
      stride=table.stem.stride,
      size=size,
      bias=table.stem.bias,
      norm=True,
    )
  ]
  pooled: Any = 0
  channels = table.stem.channels
  for name, block in zip(table.block_names, table.blocks, strict=True):
    after = mapped(
      size, lambda s, b=block: out_size(s, b.kernel, b.stride, b.padding)
    )
    if largest(bool, block.present):
      if block.op == "skip":
        rows += _skip(read, table, name, block, channels, after)
      else:
        block_rows, block_pooled = _inverted_residual(
          read, table, name, block, channels, size, after
        )
        rows += block_rows
        pooled = pooled + block_pooled
    channels, size = block.channels, after
  head_rows, head_pooled = _head(read, table, channels, size, num_classes)
  return rows + head_rows, pooled + head_pooled


def _inverted_residual(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  c_in: Any,
  size: Any,
  after: Any,
) -> tuple[list[LayerCost], Any]:
  d, groups, e, present = (
    table.divisor,
    block.groups,
    block.expansion,
    block.present,
  )
  mid = read(lambda c, x: mid_width(c, x, d), c_in, e)
  bias = table.block_bias
  rows = []

  def expands(c: Any, x: Any, p: Any) -> Any:
    if table.expand_at_one:
      return p * 1
    return p * (mid_width(c, x, d) != c)

  exists = read(expands, c_in, e, present)
  if largest(expands, c_in, e, present):
    rows.append(
      conv(
        read,
        f"{name}.expand",
        "conv",
        c_in=value(read, c_in),
        c_out=mid,
        groups=groups,
        size=size,
        bias=bias,
        norm=True,
        times=exists,
      )
    )
  rows.append(
    conv(
      read,
      f"{name}.depthwise",
      "depthwise",
      c_in=mid,
      c_out=mid,
      kernel=block.kernel,
      stride=block.stride,
      groups=mid,
      size=after,
      bias=bias,
      norm=True,
      times=value(read, present),
    )
  )
  pooled: Any = 0
  if largest(bool, block.squeeze_excite):
    squeeze = read(
      lambda c, x: squeeze_width(c, x, d, table.squeeze_from_input), c_in, e
    )
    exists = read(lambda s, p: s * p, block.squeeze_excite, present)
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
    pooled = exists * mid * pixels(read, after)
  rows.append(
    conv(
      read,
      f"{name}.project",
      "conv",
      c_in=mid,
      c_out=value(read, block.channels),
      groups=groups,
      size=after,
      bias=bias,
      norm=True,
      times=value(read, present),
    )
  )
  return rows, pooled


def _skip(
  read: Reader,
  table: Architecture,
  name: str,
  block: Block,
  c_in: Any,
  after: Any,
) -> list[LayerCost]:
  if block.stride == 1 and block.channels == c_in:
    return []
  return [
    conv(
      read,
      f"{name}.skip",
      "conv",
      c_in=value(read, c_in),
      c_out=value(read, block.channels),
      stride=block.stride,
      size=after,
      bias=table.block_bias,
      norm=True,
    )
  ]


def _head(
  read: Reader, table: Architecture, c_in: Any, size: Any, num_classes: int
) -> tuple[list[LayerCost], Any]:
  head, d = table.head, table.divisor
  if head.expansion:
    width = read(lambda c: mid_width(c, head.expansion, d), c_in)
  else:
    width = head.channels
  rows = [
    conv(
      read,
      "head.expand",
      "conv",
      c_in=value(read, c_in),
      c_out=width,
      size=size,
      bias=head.bias,
      norm=True,
    )
  ]
  if largest(lambda k: k > 1, head.kernel):
    rows.append(
      conv(
        read,
        "head.depthwise",
        "depthwise",
        c_in=width,
        c_out=width,
        kernel=head.kernel,
        groups=width,
        size=size,
        norm=True,
        times=read(lambda k: (k > 1) * 1, head.kernel),
      )
    )
  pooled = width * pixels(read, size)
  if head.expansion:
    rows.append(
      conv(
        read, "head.project", "conv", c_in=width, c_out=head.channels, size=1
      )
    )
    # The original pools the 1x1 map once more, and its counter counts that.
    pooled = pooled + head.channels
  rows.append(
    conv(
      read,
      "classifier",
      "linear",
      c_in=head.channels,
      c_out=num_classes,
      size=1,
      bias=True,
    )
  )
  return rows, pooled
