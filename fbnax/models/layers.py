"""Layers whose weights may be shared by many widths.

Every layer has static sizes, the largest it is used at, and takes optional
masks that cut it down. A masked layer computes what a smaller layer with the
leading part of its weights computes, and initial weights are drawn for the
size that is used, so that a masked network starts as its own network would.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` kernel side.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.ops import conv, norm

Draw = Callable[[jax.Array, tuple[int, ...]], jax.Array]

_DRAW: contextvars.ContextVar[Draw] = contextvars.ContextVar(
  "draw", default=jax.random.normal
)


def initialize(
  module: nn.Module, key: jax.Array, *arguments: Any, **keywords: Any
) -> Any:
  """`module.init`, with all convolutions' noise drawn at once.

  The distribution is that of `module.init`, the numbers are others. A random
  draw costs a quarter of a second to compile, and a network has dozens.

  Args:
    module: any module; those that are not built of `Conv` are not changed.
    key: random key.
    *arguments: of the module's call.
    **keywords: likewise.

  Returns:
    The variables.
  """
  sizes: list[int] = []

  def measure(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    sizes.append(math.prod(shape))
    return jnp.zeros(shape)

  noise_key, rest_key = jax.random.split(key)
  with _drawing(measure):
    jax.eval_shape(lambda k: module.init(k, *arguments, **keywords), rest_key)
  noise = jax.random.normal(noise_key, (sum(sizes),))
  used = 0

  def cut(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    nonlocal used
    start, used = used, used + math.prod(shape)
    return noise[start:used].reshape(shape)

  with _drawing(cut):
    return module.init(rest_key, *arguments, **keywords)


@contextlib.contextmanager
def _drawing(draw: Draw) -> Iterator[None]:
  token = _DRAW.set(draw)
  try:
    yield
  finally:
    _DRAW.reset(token)


def activate(x: jax.Array, name: str) -> jax.Array:
  """ReLU or hard swish."""
  if name == "relu":
    return nn.relu(x)
  return x * nn.relu6(x + 3.0) / 6.0


def hard_sigmoid(x: jax.Array) -> jax.Array:
  """`relu6(x + 3) / 6`."""
  return nn.relu6(x + 3.0) / 6.0


def masked(x: jax.Array, mask: Any) -> jax.Array:
  """`x` times a channel mask, or `x` where there is none."""
  return x if mask is None else x * mask


class Conv(nn.Module):
  """A convolution with torch-style padding.

  Weights are normal with variance 2 / (taps x output channels / groups), the
  outputs counted under the mask.

  Attributes:
    features: output channels.
    kernel: side in pixels.
    stride: pixels.
    padding: pixels; None is kernel // 2.
    groups: groups of channels.
    depthwise: each channel by itself.
    use_bias: whether a bias is added.
  """

  features: int
  kernel: int = 1
  stride: int = 1
  padding: int | None = None
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
      kernel_mask: `f32[K, K, 1, 1]`, which taps are used.
    """
    groups = x.shape[-1] if self.depthwise else self.groups
    taps = (
      self.kernel * self.kernel if kernel_mask is None else kernel_mask.sum()
    )
    outputs = self.features if out_mask is None else out_mask.sum()
    fan_out = taps if self.depthwise else taps * outputs / groups

    def initial(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
      return _DRAW.get()(key, shape) * jnp.sqrt(2.0 / fan_out)

    shape = (self.kernel, self.kernel, x.shape[-1] // groups, self.features)
    kernel = self.param("kernel", initial, shape)
    if kernel_mask is not None:
      kernel = kernel * kernel_mask
    padding = self.kernel // 2 if self.padding is None else self.padding
    if self.depthwise:
      y = conv.depthwise(x, kernel, self.stride, padding)
    elif self.kernel == 1 and padding == 0:
      strided = x[:, :: self.stride, :: self.stride]
      y = conv.pointwise(strided, kernel, groups)
    else:
      y = conv.conv(x, kernel, self.stride, padding)
    if self.use_bias:
      y = y + self.param("bias", nn.initializers.zeros, (self.features,))
    return y


class BatchNorm(nn.Module):
  """Batch normalisation; momentum 0.9 in Flax's sense."""

  epsilon: float = 1e-5
  momentum: float = 0.9

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, initial_scale: Any = 1.0
  ) -> jax.Array:
    """Normalises by the batch in training, by running averages else.

    Args:
      x: `f32[B, H, W, C]`.
      train: use and record the batch's statistics.
      initial_scale: first value of the scale, `f32[]`.
    """
    shape = (x.shape[-1],)
    scale = self.param("scale", lambda _, s: jnp.ones(s) * initial_scale, shape)
    bias = self.param("bias", nn.initializers.zeros, shape)
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
    running_var = self.variable("batch_stats", "var", jnp.ones, shape)
    if train:
      mean, variance = norm.batch_statistics(x)
      if not self.is_initializing():
        keep = self.momentum
        running_mean.value = keep * running_mean.value + (1 - keep) * mean
        running_var.value = keep * running_var.value + (1 - keep) * variance
    else:
      mean, variance = running_mean.value, running_var.value
    return norm.normalize(x, mean, variance, scale, bias, self.epsilon)


class ConvNorm(nn.Module):
  """Convolution, BN, activation, mask.

  Attributes:
    conv: arguments of `Conv`, as pairs.
    activation: "relu", "hswish" or None.
    epsilon: of the BN.
  """

  features: int
  kernel: int = 1
  stride: int = 1
  padding: int | None = None
  groups: int = 1
  depthwise: bool = False
  use_bias: bool = False
  activation: str | None = None
  epsilon: float = 1e-5

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    out_mask: Any = None,
    kernel_mask: Any = None,
    *,
    train: bool,
    initial_scale: Any = 1.0,
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
    x = BatchNorm(epsilon=self.epsilon, name="norm")(
      x, train=train, initial_scale=initial_scale
    )
    if self.activation is not None:
      x = activate(x, self.activation)
    return masked(x, out_mask)


class SqueezeExcite(nn.Module):
  """Scales channels by a gate computed from their means.

  Attributes:
    squeeze: channels between the two convolutions.
    activation: between them; the gate is a hard sigmoid.
  """

  squeeze: int
  activation: str

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
    gate = hard_sigmoid(gate)
    if exists is not None:
      gate = 1.0 + exists * (gate - 1.0)
    return x * gate


def drop_path(
  x: jax.Array, rate: Any, uniform: jax.Array, when: Any = 1.0
) -> jax.Array:
  """Drops whole images' maps with probability `rate` and rescales the rest.

  Args:
    x: `f32[B, H, W, C]`.
    rate: probability, `f32[]`, may be traced.
    uniform: random numbers from 0 to 1, `f32[B]`.
    when: 1 where it applies, 0 where `x` passes as it is; may be traced.
  """
  keep = 1.0 - rate * when
  return x * ((uniform < keep) / keep)[:, None, None, None]


def dropout(x: jax.Array, rate: Any, key: jax.Array) -> jax.Array:
  """Drops elements with probability `rate`, which may be traced."""
  kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
  return x * (kept / (1.0 - rate))
