"""The blocks of the trunk, from entries of a layer table.

A block goes through the layers of its kind (see `fbnax.spaces.kinds`). Where an
entry is open, a reader gives the masks; see `fbnax.models.reading`.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from fbnax.models.layers import ConvNorm, SqueezeExcite, drop_path
from fbnax.models.reading import (
  read_field,
  read_open,
  read_prefix,
  resize_channels,
  shuffle,
)
from fbnax.ops.masks import kernel_mask
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.follow import Follow, Reader, largest, smallest


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
    block = self.block
    kind = kinds.KINDS[block.op]
    out = largest(int, block.channels)
    same, residual = kinds.adds_input(block), 0.0
    if not kind.passes:
      residual = read_field(
        read, lambda *c: float(same(*c)), self.c_in, block.channels
      )
    h = x
    for layer in kind.layers:
      exists, fields = kinds.existence(layer, self.table, block, self.c_in)
      if not largest(exists, *fields):
        continue
      if layer.op == "squeeze_excite":
        h = self._squeeze_excite(h, read)
        continue
      if layer.shuffles and block.groups > 1:
        h = shuffle(h, block.groups)
      scale = 1.0
      if layer is kind.layers[-1] and self.table.zero_last_gamma:
        scale = 1.0 - residual
      result = self._convolution(layer, h, read, train, scale, share)
      if not smallest(exists, *fields):
        there = read_field(read, lambda *f, e=exists: float(e(*f)), *fields)
        kept = resize_channels(h, result.shape[-1])
        result = result * there + kept * (1.0 - there)
      h = result
    if kind.passes:
      return resize_channels(h, out)
    if not largest(same, self.c_in, block.channels):
      return h
    if uniform is not None:
      h = drop_path(h, drop_rate, uniform, residual)
    # An absent block has a residual, and passes its input on alone.
    h = h * read_field(read, float, block.present)
    return h + resize_channels(x, out) * residual

  def _convolution(
    self,
    layer: kinds.BlockLayer,
    h: jax.Array,
    read: Reader | None,
    train: bool,
    initial_scale: Any,
    share: Any,
  ) -> jax.Array:
    """A layer with its BN and activation."""
    block, table = self.block, self.table
    width, fields = kinds.width(layer.c_out, table, block, self.c_in)
    side, taps = 1, None
    if layer.kernel:
      side = largest(int, block.kernel)
      if isinstance(block.kernel, Follow) and read is not None:
        taps = read(lambda k: kernel_mask(k, side), block.kernel)
    return ConvNorm(
      features=largest(width, *fields),
      kernel=side,
      stride=block.stride if layer.stride else 1,
      padding=kinds.padding(table, block) if layer.kernel else 0,
      groups=block.groups if layer.groups else 1,
      depthwise=layer.op == "depthwise",
      use_bias=table.block_bias,
      activation=kinds.activation(layer, block),
      epsilon=table.bn_epsilon,
      name=layer.name,
    )(
      h,
      read_prefix(read, width, *fields),
      taps,
      train=train,
      initial_scale=initial_scale,
      share=share,
    )

  def _squeeze_excite(self, h: jax.Array, read: Reader | None) -> jax.Array:
    block = self.block
    mid = kinds.mid_channels(self.table, block)
    narrow = kinds.squeeze_channels(self.table, block)
    fields = (self.c_in, block.expansion)
    return SqueezeExcite(
      squeeze=largest(narrow, *fields),
      activation=block.squeeze_activation or block.activation,
      gate=block.gate,
      name="squeeze_excite",
    )(
      h,
      read_prefix(read, mid, *fields),
      read_prefix(read, narrow, *fields),
      read_open(read, float, block.squeeze_excite),
    )
