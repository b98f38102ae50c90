"""The parts of NAS-Bench-201 networks: convolutions, BN, pools, reductions.

Kernels are shared by the cells of a `CellSupernet`, so that a batch of cells
makes no grouped convolutions of them on the way forward, and `lax` computes 3x3
convolutions best on a CPU too: 6 ms in place of 54 with 16 channels at 32 x 32,
batch 64. In float64, for which `lax` has plain loops there, a product of
patches takes 0.5 ms in place of 2.8 for one image.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models.initial import draw
from fbnax.ops import conv, norm
from fbnax.ops.branch_conv import branch_conv

# Side of the kernel of each convolution.
KERNELS = {"conv3x3": 3, "conv1x1": 1}
EPSILON = 1e-5
_MOMENTUM = 0.9


class ReluConvNorm(nn.Module):
  """ReLU, convolution, BN.

  Attributes:
    features: width of the result.
    kernel: side.
    stride: pixels.
    affine: BN has a scale and an offset.
    biased: the convolution is biased.
  """

  features: int
  kernel: int
  stride: int = 1
  affine: bool = True
  biased: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`."""
    x = CellConv(
      self.features,
      kernel=self.kernel,
      stride=self.stride,
      use_bias=self.biased,
      name="conv",
    )(nn.relu(x))
    return Norm(self.affine, name="norm")(x, train=train)


class CellConv(nn.Module):
  """A convolution that keeps the map's size, up to the stride."""

  features: int
  kernel: int = 1
  stride: int = 1
  use_bias: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`."""
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    inputs = math.prod(shape[:3])
    kernel = self.param(
      "kernel", lambda key, s: draw(key, s) / math.sqrt(3.0 * inputs), shape
    )
    if self.kernel == 1:
      y = conv.pointwise(x, kernel)
    elif x.dtype == jnp.float64:
      y = conv.conv(x, kernel, self.stride, self.kernel // 2)
    elif self.stride == 1:
      y = branch_conv(x.astype(kernel.dtype), kernel, (self.kernel // 2,) * 2)
    else:
      y = conv.lax_conv(x, kernel, self.stride, self.kernel // 2)
    if self.use_bias:
      y = y + self.param("bias", nn.initializers.zeros, (self.features,))
    return y


class Norm(nn.Module):
  """BN with or without scale and offset; momentum 0.9 in Flax's sense."""

  affine: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to the same."""
    shape = (x.shape[-1],)
    scale, bias = jnp.ones(shape, x.dtype), jnp.zeros(shape, x.dtype)
    if self.affine:
      scale = self.param("scale", nn.initializers.ones, shape)
      bias = self.param("bias", nn.initializers.zeros, shape)
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
    running_var = self.variable("batch_stats", "var", jnp.ones, shape)
    if not train:
      return norm.normalize(
        x, running_mean.value, running_var.value, scale, bias, EPSILON
      )
    y, mean, variance = norm.normalized(
      x,
      scale,
      bias,
      jnp.ones_like(scale, x.dtype),
      (),
      (),
      EPSILON,
    )
    if not self.is_initializing():
      for running, batch in ((running_mean, mean), (running_var, variance)):
        running.value = _MOMENTUM * running.value + (1 - _MOMENTUM) * batch
    return y


class Reduction(nn.Module):
  """The residual block that halves the image."""

  width: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H / 2, W / 2, width]`."""
    h = ReluConvNorm(self.width, kernel=3, stride=2, name="conv1")(
      x, train=train
    )
    h = ReluConvNorm(self.width, kernel=3, name="conv2")(h, train=train)
    batch, height, width, channels = x.shape
    quarters = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return h + CellConv(self.width, name="shortcut")(quarters.mean((2, 4)))


def average3x3(x: jax.Array) -> jax.Array:
  """The mean over a pixel and its neighbours, as far as there are any."""
  for axis in (1, 2):
    x = _sum3(x, axis)
  sides = [_sum3(jnp.ones(size, x.dtype), 0) for size in x.shape[1:3]]
  return x / (sides[0][:, None] * sides[1])[:, :, None]


def _sum3(x: jax.Array, axis: int) -> jax.Array:
  """The sum of a value and its neighbours along an axis."""
  edge = [(0, 0)] * x.ndim
  edge[axis] = (1, 1)
  padded = jnp.pad(x, edge)
  size = x.shape[axis]
  return sum(
    (jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(1, 3)),
    start=jax.lax.slice_in_dim(padded, 0, size, axis=axis),
  )
