"""Residual networks for small images; see `fbnax.spaces.resnet`.

On a CPU their convolutions are products of patches, as those of `layers.Conv`:
nine copies of a map, but inside the loop over a training's batches XLA's own
convolution takes forty times as long there as outside of it (0.88 s against
0.02 s, forward and backward, 128 maps of 16 x 16 x 16 on one core; patches
0.03 s).

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models import layers
from fbnax.models.initial import draw
from fbnax.models.layers import BatchNorm
from fbnax.ops import conv
from fbnax.spaces import resnet


class ResidualNetwork(nn.Module):
  """The network of a `fbnax.spaces.resnet.ResNet`.

  Attributes:
    architecture: what to build.
    num_classes: `K`.
  """

  architecture: resnet.ResNet
  num_classes: int

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    *,
    train: bool,
    dropout: Any = 0.0,
    stochastic_depth: Any = 0.0,
    features: bool = False,
  ) -> Any:
    """Logits of images.

    Args:
      images: `f32[B, H, W, C]`, normalised.
      train: BN uses the batch's statistics, dropout and drop-path are active
        (they draw from the `dropout` stream of random keys).
      dropout: probability in front of the classifier.
      stochastic_depth: probability that the last block is dropped; it grows
        towards it from 0 in front of the first.
      features: as in `fbnax.models.Network`.

    Returns:
      `f32[B, K]`, or a dict from stride to feature maps.
    """
    table = self.architecture
    pre = table.preactivation
    key = None
    if train and not (_is_zero(dropout) and _is_zero(stochastic_depth)):
      key = self.make_rng("dropout")
    if pre:
      x = ResidualConv(table.stem, 3, name="stem")(images)
    else:
      x = nn.relu(
        ResidualConvNorm(table.stem, 3, name="stem")(images, train=train)
      )
    place, count = 0, sum(table.blocks)
    maps, scale = {}, 1
    stages = zip(table.blocks, table.widths, strict=True)
    for stage, (blocks, width) in enumerate(stages):
      for index in range(blocks):
        place += 1
        stride = 2 if stage and not index else 1
        scale *= stride
        block = ResidualBlock(
          width, stride, pre, name=f"stage{stage}_block{index}"
        )
        block_key = None if key is None else jax.random.fold_in(key, place)
        x = block(
          x, train=train, rate=stochastic_depth * place / count, key=block_key
        )
      maps[scale] = x
    if pre:
      x = maps[scale] = nn.relu(BatchNorm(name="norm")(x, train=train))
    if features:
      return {s: m for s, m in maps.items() if s >= 4}
    x = x.mean((1, 2))
    if key is not None:
      x = layers.dropout(x, dropout, key)
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.normal(0.01),
      name="classifier",
    )(x)


class ResidualBlock(nn.Module):
  """Two 3x3 convolutions beside a shortcut.

  Attributes:
    features: output channels.
    stride: of the first convolution, pixels.
    preactivation: see `fbnax.spaces.resnet.ResNet`.
  """

  features: int
  stride: int
  preactivation: bool

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, rate: Any, key: jax.Array | None
  ) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`.

    Args:
      x: the input.
      train: BN uses the batch's statistics.
      rate: probability that the convolutions of an image are dropped.
      key: random key of that, None for never.
    """
    changes = self.stride != 1 or x.shape[-1] != self.features
    shortcut = x
    if self.preactivation:
      x = nn.relu(BatchNorm(name="norm0")(x, train=train))
      if changes:
        # Published so: a new shape is made of what is normalised already.
        shortcut = ResidualConv(self.features, 1, self.stride, name="shortcut")(
          x
        )
      x = ResidualConv(self.features, 3, self.stride, name="conv0")(x)
      x = nn.relu(BatchNorm(name="norm1")(x, train=train))
      x = ResidualConv(self.features, 3, name="conv1")(x)
    else:
      if changes:
        shortcut = ResidualConvNorm(
          self.features, 1, self.stride, name="shortcut"
        )(x, train=train)
      x = ResidualConvNorm(self.features, 3, self.stride, name="conv0")(
        x, train=train
      )
      x = ResidualConvNorm(self.features, 3, name="conv1")(
        nn.relu(x), train=train
      )
    if key is not None:
      x = layers.drop_path(x, rate, jax.random.uniform(key, (x.shape[0],)))
    x = x + shortcut
    return x if self.preactivation else nn.relu(x)


class ResidualConvNorm(nn.Module):
  """A convolution and BN.

  Attributes:
    features: output channels.
    kernel: side in pixels.
    stride: pixels.
  """

  features: int
  kernel: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`."""
    x = ResidualConv(self.features, self.kernel, self.stride, name="conv")(x)
    return BatchNorm(name="norm")(x, train=train)


class ResidualConv(nn.Module):
  """A convolution without bias, padded by half its side.

  Weights are normal with variance 2 / (taps x output channels).

  Attributes:
    features: output channels.
    kernel: side in pixels.
    stride: pixels.
  """

  features: int
  kernel: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`."""

    def initial(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
      return draw(key, shape) * jnp.sqrt(2.0 / (shape[0] * shape[1] * shape[3]))

    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param("kernel", initial, shape)
    return conv.conv(x, kernel, self.stride, self.kernel // 2)


def _is_zero(rate: Any) -> bool:
  """Whether the rate is known to be 0 when the network is traced."""
  return isinstance(rate, int | float) and rate == 0
