"""The blocks of the trunk, from entries of a layer table.

Where an entry is open, a reader gives the masks; see `fbnax.models.reading`.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from fbnax.models.layers import ConvNorm, SqueezeExcite, drop_path
from fbnax.models.reading import (
  keeps_shape,
  read_field,
  read_open,
  read_prefix,
  resize_channels,
  shuffle,
)
from fbnax.ops.masks import kernel_mask
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import Follow, Reader, largest, smallest
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
    share: Any = None,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', C']`.

    Args:
      x: the input, masked.
      read: the reader of the table, None for a table without open fields.
      train: as in `fbnax.models.Network`.
      drop_rate: of drop-path, `f32[]`.
      uniform: random numbers of drop-path `f32[B]`, None for no drop-path.
      share: what part of the BN statistics is recorded, None for all.
    """
    block, table = self.block, self.table
    if block.op == "skip":
      return self._skip(x, read, train, share)
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
      )(x, mid_mask, train=train, share=share)
      if not smallest(expands, c_in, e):
        exists = read_field(read, expands, c_in, e)
        h = h * exists + resize_channels(x, mid) * (1.0 - exists)
    if block.groups > 1:
      h = shuffle(h, block.groups)
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
    )(h, mid_mask, taps, train=train, share=share)
    if largest(bool, block.squeeze_excite):
      h = self._squeeze_excite(h, read, mid_mask)
    same = keeps_shape(block)
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
      share=share,
    )
    if not largest(same, c_in, block.channels):
      return h
    if uniform is not None:
      h = drop_path(h, drop_rate, uniform, residual)
    # An absent block has a residual, and passes its input on alone.
    h = h * read_field(read, float, block.present)
    return h + resize_channels(x, out) * residual

  def _squeeze_excite(
    self, h: jax.Array, read: Reader | None, mid_mask: jax.Array | None
  ) -> jax.Array:
    block, table = self.block, self.table

    def narrow(c: Any, x: Any) -> Any:
      return squeeze_width(c, x, table.divisor, table.squeeze_from_input)

    return SqueezeExcite(
      squeeze=largest(narrow, self.c_in, block.expansion),
      activation=block.activation,
      name="squeeze_excite",
    )(
      h,
      mid_mask,
      read_prefix(read, narrow, self.c_in, block.expansion),
      read_open(read, float, block.squeeze_excite),
    )

  def _skip(
    self, x: jax.Array, read: Reader | None, train: bool, share: Any
  ) -> jax.Array:
    block, table = self.block, self.table
    out = largest(int, block.channels)
    same = keeps_shape(block)
    # The shape changes nowhere, everywhere, or under some choices.
    if smallest(same, self.c_in, block.channels):
      return resize_channels(x, out)
    h = ConvNorm(
      features=out,
      stride=block.stride,
      use_bias=table.block_bias,
      activation="relu",
      epsilon=table.bn_epsilon,
      name="skip",
    )(x, read_prefix(read, int, block.channels), train=train, share=share)
    if not largest(same, self.c_in, block.channels):
      return h
    kept = read_field(read, same, self.c_in, block.channels)
    return h * (1.0 - kept) + resize_channels(x, out) * kept
