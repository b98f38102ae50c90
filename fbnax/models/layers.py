"""Layers whose weights may be shared by many widths.

Every layer has static sizes, the largest it is used at, and takes optional
masks that cut it down. A masked layer computes what a smaller layer with the
leading part of its weights computes, and initial weights are drawn for the
size that is used, so that a masked network starts as its own network would.
Masks are of the whole batch, `f32[C]`, or of each example, `f32[B, 1, 1, C]`.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` kernel side.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models.initial import draw
from fbnax.ops import conv, norm
from fbnax.ops.activations import ACTIVATIONS
from fbnax.ops.shifted import Padding


def activate(x: jax.Array, name: str) -> jax.Array:
  """The activation or gate of that name."""
  return ACTIVATIONS[name].apply(x)


def masked(x: jax.Array, mask: Any) -> jax.Array:
  """`x` times a channel mask, or `x` where there is none."""
  return x if mask is None else x * mask


def used(mask: jax.Array) -> jax.Array:
  """How many channels a mask lets through, on average over the examples."""
  return mask.sum(-1).mean()


def moving_average(
  running: jax.Array, batch: jax.Array, momentum: float, share: Any
) -> jax.Array:
  """Running statistics after a batch.

  Args:
    running: before it.
    batch: the batch's own.
    momentum: what is kept.
    share: what part of the batch counts, `f32[]`; None is all of it.
  """
  if share is None:
    return momentum * running + (1 - momentum) * batch
  return running + (1 - momentum) * share * (batch - running)


class Conv(nn.Module):
  """A convolution.

  Weights are normal with variance 2 / (taps x output channels / groups), the
  outputs counted under the mask.

  Attributes:
    features: output channels.
    kernel: side in pixels.
    stride: pixels.
    padding: pixels on each side, or a rule; see `fbnax.ops.conv`.
    groups: groups of channels.
    depthwise: each channel by itself.
    use_bias: whether a bias is added.
  """

  features: int
  kernel: int = 1
  stride: int = 1
  padding: Padding = "symmetric"
  groups: int = 1
  depthwise: bool = False
  use_bias: bool = False

  @nn.compact
  def __call__(
    self, x: jax.Array, out_mask: Any = None, kernel_mask: Any = None
  ) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`.

    Args:
      x: the input, already masked.
      out_mask: `f32[features]`, only for the initial variance here.
      kernel_mask: `f32[K, K, 1, 1]`, which taps are used, or
        `f32[B, K, K, 1, 1]`.
    """
    groups = x.shape[-1] if self.depthwise else self.groups
    taps = (
      self.kernel * self.kernel
      if kernel_mask is None
      else kernel_mask.sum((-4, -3, -2, -1)).mean()
    )
    outputs = self.features if out_mask is None else used(out_mask)
    fan_out = taps if self.depthwise else taps * outputs / groups

    def initial(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
      return draw(key, shape) * jnp.sqrt(2.0 / fan_out)

    shape = (self.kernel, self.kernel, x.shape[-1] // groups, self.features)
    kernel = self.param("kernel", initial, shape)
    if kernel_mask is not None:
      kernel = kernel * kernel_mask

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
      form = conv.depthwise if self.depthwise else conv.conv
      return form(x, kernel, self.stride, self.padding)

    if kernel.ndim == 5:
      y = jax.vmap(convolve)(x[:, None], kernel)[:, 0]
    elif self.kernel == 1 and not self.depthwise and not self._pads:
      strided = x[:, :: self.stride, :: self.stride]
      y = conv.pointwise(strided, kernel, groups)
    else:
      y = convolve(x, kernel)
    if self.use_bias:
      y = y + self.param("bias", nn.initializers.zeros, (self.features,))
    return y

  @property
  def _pads(self) -> bool:
    return isinstance(self.padding, int) and self.padding > 0


class BatchNorm(nn.Module):
  """Batch normalisation; momentum 0.9 in Flax's sense."""

  epsilon: float = 1e-5
  momentum: float = 0.9

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    initial_scale: Any = 1.0,
    share: Any = None,
  ) -> jax.Array:
    """Normalises by the batch in training, by running averages else.

    Args:
      x: `f32[B, H, W, C]`.
      train: use and record the batch's statistics.
      initial_scale: first value of the scale, `f32[]`.
      share: what part of the batch's statistics is recorded; None is all.
    """
    shape = (x.shape[-1],)
    scale = self.param(
      "scale", lambda _, s: jnp.ones(s) * jnp.mean(initial_scale), shape
    )
    bias = self.param("bias", nn.initializers.zeros, shape)
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
    running_var = self.variable("batch_stats", "var", jnp.ones, shape)
    if train:
      mean, variance = norm.batch_statistics(x)
      if not self.is_initializing():
        for running, batch in ((running_mean, mean), (running_var, variance)):
          running.value = moving_average(
            running.value, batch, self.momentum, share
          )
    else:
      mean, variance = running_mean.value, running_var.value
    return norm.normalize(x, mean, variance, scale, bias, self.epsilon)


class ConvNorm(nn.Module):
  """Convolution, BN, activation, mask.

  The first of its attributes are those of `Conv`.

  Attributes:
    activation: its name; None for none.
    epsilon: of the BN.
    norm: whether there is a BN.
  """

  features: int
  kernel: int = 1
  stride: int = 1
  padding: Padding = "symmetric"
  groups: int = 1
  depthwise: bool = False
  use_bias: bool = False
  activation: str | None = None
  epsilon: float = 1e-5
  norm: bool = True

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    out_mask: Any = None,
    kernel_mask: Any = None,
    *,
    train: bool,
    initial_scale: Any = 1.0,
    share: Any = None,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`."""
    x = Conv(
      features=self.features,
      kernel=self.kernel,
      stride=self.stride,
      padding=self.padding,
      groups=self.groups,
      depthwise=self.depthwise,
      use_bias=self.use_bias,
      name="conv",
    )(x, out_mask, kernel_mask)
    if self.norm:
      x = BatchNorm(epsilon=self.epsilon, name="norm")(
        x, train=train, initial_scale=initial_scale, share=share
      )
    if self.activation is not None:
      x = activate(x, self.activation)
    return masked(x, out_mask)


class SqueezeExcite(nn.Module):
  """Scales channels by a gate computed from their means.

  Attributes:
    squeeze: channels between the two convolutions.
    activation: between them, its name.
    gate: its name.
  """

  squeeze: int
  activation: str
  gate: str = "hard_sigmoid"

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    mid_mask: Any = None,
    squeeze_mask: Any = None,
    exists: Any = None,
  ) -> jax.Array:
    """`f32[B, H, W, C]` to the same; `exists` 0 switches it off."""
    pooled = x.mean((1, 2), keepdims=True)
    hidden = Conv(self.squeeze, use_bias=True, name="squeeze")(
      pooled, squeeze_mask
    )
    hidden = masked(activate(hidden, self.activation), squeeze_mask)
    gate = Conv(x.shape[-1], use_bias=True, name="excite")(hidden, mid_mask)
    gate = activate(gate, self.gate)
    if exists is not None:
      gate = 1.0 + exists * (gate - 1.0)
    return x * gate


def drop_path(
  x: jax.Array, rate: Any, uniform: jax.Array, when: Any = 1.0
) -> jax.Array:
  """Drops whole images' maps with probability `rate` and rescales the rest.

  Args:
    x: `f32[B, H, W, C]`.
    rate: probability, `f32[]` or `f32[B, 1, 1, 1]`, may be traced.
    uniform: random numbers from 0 to 1, `f32[B]`.
    when: 1 where it applies, 0 where `x` passes as it is; of the same shapes.
  """
  keep = 1.0 - rate * when
  factor = (uniform[:, None, None, None] < keep) / keep
  return x * factor.astype(x.dtype)


def dropout(x: jax.Array, rate: Any, key: jax.Array) -> jax.Array:
  """Drops elements with probability `rate`, which may be traced."""
  kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
  return x * (kept / (1.0 - rate)).astype(x.dtype)
