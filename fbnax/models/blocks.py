"""The blocks of the trunk and the head, from entries of a layer table.

Where an entry is open, a reader gives the masks; see `fbnax.models.network`.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models.layers import (
  Conv,
  ConvNorm,
  SqueezeExcite,
  activate,
  drop_path,
  dropout,
)
from fbnax.ops.masks import kernel_mask, prefix_mask
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import (
  Follow,
  Reader,
  decisions_of,
  largest,
  smallest,
)
from fbnax.spaces.widths import mid_width, squeeze_width


class TrunkBlock(nn.Module):
  """One block of the trunk.

  Attributes:
    table: the table it belongs to, for the family's rules.
    block: the entry.
    c_in: width of the entry before it, maybe open.
  """

  table: Architecture
  block: Block
  c_in: Any

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    read: Reader | None,
    *,
    train: bool,
    drop_rate: Any,
    uniform: jax.Array | None,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', C']`.

    Args:
      x: the input, masked.
      read: the reader of the table, None for a table without open fields.
      train: as in `fbnax.models.Network`.
      drop_rate: of drop-path, `f32[]`.
      uniform: random numbers of drop-path `f32[B]`, None for no drop-path.
    """
    block, table = self.block, self.table
    if block.op == "skip":
      return self._skip(x, read, train)
    d, c_in, e = table.divisor, self.c_in, block.expansion

    def width(c: Any, x: Any) -> Any:
      return mid_width(c, x, d)

    def expands(c: Any, x: Any) -> float:
      return float(table.expand_at_one or width(c, x) != c)

    common: dict[str, Any] = {
      "use_bias": table.block_bias,
      "epsilon": table.bn_epsilon,
    }
    mid_mask = read_prefix(read, width, c_in, e)
    mid = largest(width, c_in, e)
    h = x
    if largest(expands, c_in, e):
      h = ConvNorm(
        features=mid,
        groups=block.groups,
        activation=block.activation,
        name="expand",
        **common,
      )(x, mid_mask, train=train)
      if not smallest(expands, c_in, e):
        exists = read_field(read, expands, c_in, e)
        h = h * exists + _resize_channels(x, mid) * (1.0 - exists)
    if block.groups > 1:
      h = _shuffle(h, block.groups)
    side = largest(int, block.kernel)
    taps = None
    if isinstance(block.kernel, Follow) and read is not None:
      taps = read(lambda k: kernel_mask(k, side), block.kernel)
    h = ConvNorm(
      features=mid,
      kernel=side,
      stride=block.stride,
      padding=block.padding,
      depthwise=True,
      activation=block.activation,
      name="depthwise",
      **common,
    )(h, mid_mask, taps, train=train)
    if largest(bool, block.squeeze_excite):

      def narrow(c: Any, x: Any) -> Any:
        return squeeze_width(c, x, d, table.squeeze_from_input)

      h = SqueezeExcite(
        squeeze=largest(narrow, c_in, e),
        activation=block.activation,
        name="squeeze_excite",
      )(
        h,
        mid_mask,
        read_prefix(read, narrow, c_in, e),
        read_open(read, float, block.squeeze_excite),
      )

    def same(a: Any, b: Any) -> float:
      return float(a == b and block.stride == 1)

    out = largest(int, block.channels)
    residual = read_field(read, same, c_in, block.channels)
    h = ConvNorm(
      features=out,
      groups=block.groups,
      name="project",
      **common,
    )(
      h,
      read_prefix(read, int, block.channels),
      train=train,
      initial_scale=1.0 - residual if table.zero_last_gamma else 1.0,
    )
    if not largest(same, c_in, block.channels):
      return h
    if uniform is not None:
      h = drop_path(h, drop_rate, uniform, residual)
    # An absent block has a residual, and passes its input on alone.
    h = h * read_field(read, float, block.present)
    return h + _resize_channels(x, out) * residual

  def _skip(self, x: jax.Array, read: Reader | None, train: bool) -> jax.Array:
    block, table = self.block, self.table
    if block.stride == 1 and block.channels == self.c_in:
      return x
    return ConvNorm(
      features=largest(int, block.channels),
      stride=block.stride,
      use_bias=table.block_bias,
      activation="relu",
      epsilon=table.bn_epsilon,
      name="skip",
    )(x, read_prefix(read, int, block.channels), train=train)


class Head(nn.Module):
  """The end of a network; see `fbnax.spaces.Head`."""

  table: Architecture
  c_in: Any
  num_classes: int

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    read: Reader | None,
    *,
    train: bool,
    dropout_rate: Any,
    key: jax.Array | None,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to logits `f32[B, K]`.

    Args:
      x: the input, masked.
      read: the reader of the table, None for a table without open fields.
      train: as in `fbnax.models.Network`.
      dropout_rate: probability, `f32[]`.
      key: random key of dropout, None for no dropout.
    """
    table, head = self.table, self.table.head

    def width(c: Any) -> Any:
      return (
        mid_width(c, head.expansion, table.divisor)
        if head.expansion
        else head.channels
      )

    mask = read_prefix(read, width, self.c_in) if head.expansion else None
    mid = largest(width, self.c_in)
    common: dict[str, Any] = {
      "activation": head.activation,
      "epsilon": table.bn_epsilon,
    }
    x = ConvNorm(features=mid, use_bias=head.bias, name="expand", **common)(
      x, mask, train=train
    )
    side = largest(int, head.kernel)
    if side > 1:
      if smallest(int, head.kernel) == 1:
        raise ValueError(
          f"head.kernel follows {head.kernel}; legal: all 1, or all above 1"
        )
      taps = None
      if isinstance(head.kernel, Follow) and read is not None:
        taps = read(lambda k: kernel_mask(k, side), head.kernel)
      x = ConvNorm(
        features=mid, kernel=side, depthwise=True, name="depthwise", **common
      )(x, mask, taps, train=train)
    x = x.mean((1, 2), keepdims=True)
    if head.expansion:
      x = activate(Conv(head.channels, name="project")(x), head.activation)
    x = x.reshape(x.shape[0], -1)
    if key is not None:
      x = dropout(x, dropout_rate, key)
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.normal(0.01),
      name="classifier",
    )(x)


def read_field(read: Reader | None, function: Any, *fields: Any) -> Any:
  """A number from the table; plain where nothing in it is open."""
  if read is None or not decisions_of(*fields):
    return function(*fields)
  return read(function, *fields)


def read_open(read: Reader | None, function: Any, *fields: Any) -> Any:
  """As `_read`, but None where nothing is open."""
  if read is None or not decisions_of(*fields):
    return None
  return read(function, *fields)


def read_prefix(read: Reader | None, width: Any, *fields: Any) -> Any:
  """The channel mask of an open width, None where it is not open."""
  high = largest(width, *fields)
  return read_open(read, lambda *a: prefix_mask(width(*a), high), *fields)


def _resize_channels(x: jax.Array, channels: int) -> jax.Array:
  """Cuts or pads with zeros to a number of channels."""
  more = channels - x.shape[-1]
  if more > 0:
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, more)))
  return x[..., :channels]


def _shuffle(x: jax.Array, groups: int) -> jax.Array:
  """Interleaves the channels of the groups."""
  split = x.reshape(*x.shape[:-1], groups, -1)
  return split.swapaxes(-1, -2).reshape(x.shape)
