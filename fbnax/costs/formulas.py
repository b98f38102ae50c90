"""What each layer costs: one set of formulas, generic over the number type.

`walk` goes through a layer table in call order and asks a reader (see
`fbnax.spaces.follow`) for its numbers. With the `constant` reader they are
exact integers, with `at_genotypes` arrays over a population, with
`expectation` effective values that differentiate (equations 3.5 to 3.10 of
Wan 2022: a layer's cost is the formula at its effective shapes).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fbnax.spaces.architecture import Architecture, Block, out_size
from fbnax.spaces.follow import Follow, Reader, largest
from fbnax.spaces.widths import mid_width, squeeze_width


class LayerCost(NamedTuple):
  """One convolution, or a linear layer as a 1x1 convolution at 1x1.

  Attributes:
    name: `stem`, `stage2.block0.depthwise`, `head.expand`, `classifier`, …
    op: "conv", "depthwise" or "linear".
    c_in: input channels.
    c_out: output channels.
    kernel: pixels along one side.
    stride: pixels.
    groups: groups of channels.
    h_out: height of the output, pixels.
    w_out: width of the output, pixels.
    macs: multiply-accumulates for one image.
    params: trainable numbers: weights, bias, and the BN that follows.
    weights: the convolution's or linear layer's weights alone.
  """

  name: str
  op: str
  c_in: Any
  c_out: Any
  kernel: Any
  stride: int
  groups: Any
  h_out: Any
  w_out: Any
  macs: Any
  params: Any
  weights: Any


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
  size = _map(
    table.resolution,
    lambda r: out_size(r, table.stem.kernel, table.stem.stride, None),
  )
  rows = [
    _conv(
      read,
      "stem",
      "conv",
      c_in=table.input_channels,
      c_out=_value(read, table.stem.channels),
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
    after = _map(
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
      _conv(
        read,
        f"{name}.expand",
        "conv",
        c_in=_value(read, c_in),
        c_out=mid,
        groups=groups,
        size=size,
        bias=bias,
        norm=True,
        times=exists,
      )
    )
  rows.append(
    _conv(
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
      times=_value(read, present),
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
        _conv(
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
    pooled = exists * mid * _pixels(read, after)
  rows.append(
    _conv(
      read,
      f"{name}.project",
      "conv",
      c_in=mid,
      c_out=_value(read, block.channels),
      groups=groups,
      size=after,
      bias=bias,
      norm=True,
      times=_value(read, present),
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
    _conv(
      read,
      f"{name}.skip",
      "conv",
      c_in=_value(read, c_in),
      c_out=_value(read, block.channels),
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
    _conv(
      read,
      "head.expand",
      "conv",
      c_in=_value(read, c_in),
      c_out=width,
      size=size,
      bias=head.bias,
      norm=True,
    )
  ]
  if largest(lambda k: k > 1, head.kernel):
    rows.append(
      _conv(
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
  pooled = width * _pixels(read, size)
  if head.expansion:
    rows.append(
      _conv(
        read, "head.project", "conv", c_in=width, c_out=head.channels, size=1
      )
    )
    # The original pools the 1x1 map once more, and its counter counts that.
    pooled = pooled + head.channels
  rows.append(
    _conv(
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


def _conv(
  read: Reader,
  name: str,
  op: str,
  *,
  c_in: Any,
  c_out: Any,
  size: Any,
  kernel: Any = 1,
  stride: int = 1,
  groups: Any = 1,
  bias: bool = False,
  norm: bool = False,
  times: Any = 1,
) -> LayerCost:
  """One row; `times` is how often the layer exists, 0 to 1.

  It multiplies last, so that equal blocks of a stage share all other products.
  """
  area = read(lambda k: k * k, kernel)
  if op == "depthwise":
    weights = c_out * area
  elif groups == 1:
    weights = c_in * c_out * area
  else:
    weights = c_in * c_out * area / groups
    weights = int(weights) if isinstance(weights, float) else weights
  params = weights + c_out * (bias + 2 * norm)
  side = _value(read, size)
  return LayerCost(
    name=name,
    op=op,
    c_in=c_in,
    c_out=c_out,
    kernel=_value(read, kernel),
    stride=stride,
    groups=groups,
    h_out=side,
    w_out=side,
    macs=weights * _pixels(read, size) * times,
    params=params * times,
    weights=weights * times,
  )


def _pixels(read: Reader, size: Any) -> Any:
  return read(lambda s: s * s, size)


def _value(read: Reader, field: Any) -> Any:
  return read(lambda v: v * 1, field)


def _map(field: Any, function: Any) -> Any:
  """A field that follows the same decision with other values."""
  if isinstance(field, Follow):
    return Follow(field.decision, tuple(function(v) for v in field.values))
  return function(field)
