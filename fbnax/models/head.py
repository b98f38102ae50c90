"""The end of a network.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax

from fbnax.models.layers import Conv, ConvNorm, activate, dropout, masked
from fbnax.models.reading import read_prefix
from fbnax.ops.masks import kernel_mask
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.follow import Follow, Reader, largest, smallest

# Runs a function of layers, of a map and of the share of its BN statistics at
# each resolution; see `fbnax.models.forward`.
Layers = Sequence[nn.Module]
Spread = Callable[
  [Callable[[Layers, jax.Array, Any], jax.Array], Layers, jax.Array], jax.Array
]


def once(
  function: Callable[[Layers, jax.Array, Any], jax.Array],
  layers: Layers,
  x: jax.Array,
) -> jax.Array:
  """The function at the one resolution that there is."""
  return function(layers, x, None)


class NetworkHead(nn.Module):
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
    spread: Spread = once,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to logits `f32[B, K]`.

    Args:
      x: the input, masked.
      read: the reader of the table, None for a table without open fields.
      train: as in `fbnax.models.Network`.
      dropout_rate: probability, `f32[]`.
      key: random key of dropout, None for no dropout.
      spread: runs what depends on the resolution.
    """
    table, head = self.table, self.table.head
    width, fields = kinds.head_width(table, self.c_in)
    mask, mid = read_prefix(read, width, *fields), largest(width, *fields)
    common: dict[str, Any] = {
      "activation": head.activation,
      "epsilon": table.bn_epsilon,
    }
    layers: list[nn.Module] = []
    masks: list[Any] = []
    if head.expand:
      layers.append(
        ConvNorm(
          features=mid,
          use_bias=head.bias,
          norm=head.norm,
          name="expand",
          **common,
        )
      )
      masks.append((mask,))
    side = largest(int, head.kernel)
    taps = None
    if side > 1:
      if smallest(int, head.kernel) == 1:
        raise ValueError(
          f"head.kernel follows {head.kernel}; legal: all 1, or all above 1"
        )
      if isinstance(head.kernel, Follow) and read is not None:
        taps = read(lambda k: kernel_mask(k, side), head.kernel)
      layers.append(
        ConvNorm(
          features=mid,
          kernel=side,
          padding=table.padding,
          depthwise=True,
          name="depthwise",
          **common,
        )
      )
      masks.append((mask, taps))

    def pooled(layers: Layers, x: jax.Array, share: Any) -> jax.Array:
      for layer, of_layer in zip(layers, masks, strict=True):
        x = layer(x, *of_layer, train=train, share=share)
      return x.mean((1, 2), keepdims=True)

    x = spread(pooled, layers, x)
    if head.expansion:
      mask = read_prefix(read, int, head.channels)
      project = Conv(
        largest(int, head.channels), use_bias=head.project_bias, name="project"
      )
      x = masked(activate(project(x, mask), head.activation), mask)
    x = x.reshape(x.shape[0], -1)
    if key is not None:
      x = dropout(x, dropout_rate, key)
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.normal(0.01),
      name="classifier",
    )(x)
