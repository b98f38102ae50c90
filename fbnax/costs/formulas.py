"""What each layer costs: one set of formulas, generic over the number type.

`rows` goes through a layer table in call order and asks a reader (see
`fbnax.spaces.follow`) for its numbers. With the `constant` reader they are
exact integers, with `at_genotypes` arrays over a population, with
`expectation` effective values that differentiate (equations 3.5 to 3.10 of
Wan 2022: a layer's cost is the formula at its effective shapes). Here are the
formulas of an `Architecture`, those of its blocks in `blocks.py`; those of a
`CellNetwork` are in `cell.py`.
"""

from __future__ import annotations

from typing import Any

from fbnax.costs import cell
from fbnax.costs.blocks import block_rows
from fbnax.costs.layer import LayerCost, conv, mapped, value
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture, out_size
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Reader, largest


def rows(
  table: Architecture | CellNetwork, read: Reader, num_classes: int
) -> list[LayerCost]:
  """Costs of all layers of a table, in call order.

  Args:
    table: a network, or the open table of a space.
    read: the reader that fits it.
    num_classes: outputs of the classifier.

  Raises:
    ValueError: the network is of a kind that is not counted.
  """
  if isinstance(table, CellNetwork):
    return cell.walk(table, read, num_classes)
  if not isinstance(table, Architecture):
    raise ValueError(
      f"the network is of type {type(table).__name__}; legal: Architecture, "
      "CellNetwork"
    )
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
      size=value(read, size),
      bias=table.stem.bias,
      norm=table.stem.norm,
    )
  ]
  pooled: Any = 0
  channels = table.stem.channels
  for name, block in zip(table.block_names, table.blocks, strict=True):
    after = mapped(
      size, lambda s, b=block: out_size(s, b.kernel, b.stride, b.padding)
    )
    if largest(bool, block.present):
      added, elements = block_rows(
        read, table, name, block, channels, size, after
      )
      rows += added
      pooled = pooled + elements
    channels, size = block.channels, after
  head_rows, head_pooled = _head(read, table, channels, size, num_classes)
  return rows + head_rows, pooled + head_pooled


def _head(
  read: Reader, table: Architecture, c_in: Any, size: Any, num_classes: int
) -> tuple[list[LayerCost], Any]:
  head, side = table.head, value(read, size)
  pools, fields = kinds.head_width(table, c_in)
  width, channels = read(pools, *fields), value(read, head.channels)
  rows = []
  if head.expand:
    rows.append(
      conv(
        read,
        "head.expand",
        "conv",
        c_in=value(read, c_in),
        c_out=width,
        size=side,
        bias=head.bias,
        norm=head.norm,
      )
    )
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
        size=side,
        norm=True,
        times=read(lambda k: (k > 1) * 1, head.kernel),
      )
    )
  pooled = width * (side * side)
  if head.expansion:
    rows.append(
      conv(
        read,
        "head.project",
        "conv",
        c_in=width,
        c_out=channels,
        size=1,
        bias=head.project_bias,
      )
    )
    # The original pools the 1x1 map once more, and its counter counts that.
    pooled = pooled + channels
  rows.append(
    conv(
      read,
      "classifier",
      "linear",
      c_in=channels,
      c_out=num_classes,
      size=1,
      bias=True,
    )
  )
  return rows, pooled
