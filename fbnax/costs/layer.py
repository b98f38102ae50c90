"""One layer's row of costs, generic over the number type.

Shared by the formulas of all kinds of networks. `read` is a reader of open
fields, see `fbnax.spaces.follow`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fbnax.spaces.follow import Follow, Reader


class LayerCost(NamedTuple):
  """One convolution, or a linear layer as a 1x1 convolution at 1x1.

  Attributes:
    name: `stem`, `stage2.block0.depthwise`, `head.expand`, `classifier`, …
    op: "conv", "depthwise" or "linear"; "norm" is a BN that follows no
      convolution.
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


def conv(
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
  norm: Any = False,
  times: Any = 1,
) -> LayerCost:
  """One row.

  Numbers are read already but `kernel`. `size` is height and width of the
  output, effective ones (equation 3.6 of Wan 2022) where the resolution is
  open. `norm` is whether BN follows. `times` is how often the layer exists, 0
  to 1. It multiplies last, so that equal blocks of a stage share all other
  products.
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
  return LayerCost(
    name=name,
    op=op,
    c_in=c_in,
    c_out=c_out,
    kernel=value(read, kernel),
    stride=stride,
    groups=groups,
    h_out=size,
    w_out=size,
    macs=weights * (size * size) * times,
    params=params * times,
    weights=weights * times,
  )


def norm_row(name: str, width: int, size: int) -> LayerCost:
  """The row of a BN that follows no convolution."""
  return LayerCost(
    name=name,
    op="norm",
    c_in=width,
    c_out=width,
    kernel=1,
    stride=1,
    groups=width,
    h_out=size,
    w_out=size,
    macs=0,
    params=2 * width,
    weights=0,
  )


def value(read: Reader, field: Any) -> Any:
  """The field itself."""
  return read(lambda v: v * 1, field)


def mapped(field: Any, function: Any) -> Any:
  """A field that follows the same decision with other values."""
  if isinstance(field, Follow):
    return Follow(field.decision, tuple(function(v) for v in field.values))
  return function(field)
