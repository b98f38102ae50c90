"""NAS-Bench-201 networks: one cell, or all 15,625 as one module.

Dong & Yang 2020; `fbnax.spaces.cell` says what is built. `CellSupernet` holds
both convolutions of every edge and is driven by choice weights. Where these are
known to be one-hot it computes the chosen operations alone: each edge is a
switch, of which a compiled program runs one branch, so that one program serves
all cells and a cell costs what its own network costs. Under `vmap` a switch
runs all branches and selects; the results are the same.

The benchmark has BN with scale and offset everywhere and no biased convolution
(`affine`, `biased`); the networks that zero-cost-nas measured have, in the
cells alone, biased convolutions and BN without. Weights start with the variance
that PyTorch, and so both of them, gives them: 1 / (3 x inputs of an output).

Kernels are shared by the cells, so that a batch of cells makes no grouped
convolutions of them on the way forward, and `lax` computes 3x3 convolutions
best on a CPU too: 6 ms in place of 54 with 16 channels at 32 x 32, batch 64.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models.initial import draw
from fbnax.models.layers import BatchNorm
from fbnax.ops import conv, norm
from fbnax.spaces.cell import EDGES, OPS, STAGES, CellNetwork

KERNELS = {"conv3x3": 3, "conv1x1": 1}
# Number of an edge, input, name of the edge, train: the operation's result.
_Edge = Callable[["_Cell", int, jax.Array], jax.Array]


class CellNet(nn.Module):
  """The network of one cell.

  Attributes:
    network: what to build.
    num_classes: `K`.
    affine: BN in the cells has a scale and an offset.
    biased: convolutions in the cells are biased.
  """

  network: CellNetwork
  num_classes: int
  affine: bool = True
  biased: bool = False

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Logits `f32[B, K]` of images `f32[B, H, W, C]`.

    Args:
      images: normalised.
      train: BN uses the batch's statistics.
    """

    def edge(cell: _Cell, index: int, x: jax.Array) -> jax.Array:
      return cell.operation(self.network.ops[index], index, x)

    return _forward(self, self.network, edge, images, train)


class CellSupernet(nn.Module):
  """The networks of all cells in one, driven by choice weights.

  Attributes:
    network: the sizes; its operations are not read.
    num_classes: `K`.
    affine: as in `CellNet`.
    biased: as in `CellNet`.
    one_hot: choice weights are one-hot, and only what they choose is computed;
      there is no gradient toward them.
  """

  network: CellNetwork
  num_classes: int
  affine: bool = True
  biased: bool = False
  one_hot: bool = False

  @nn.compact
  def __call__(
    self, images: jax.Array, weights: Sequence[jax.Array], *, train: bool
  ) -> jax.Array:
    """Logits `f32[B, K]` of images under choice weights.

    Args:
      images: `f32[B, H, W, C]`, normalised.
      weights: for each edge `f32[5]`, in the order of `fbnax.spaces.cell.OPS`,
        or `f32[B, 5]` for each example's own; they sum to one.
      train: BN uses the batch's statistics.
    """
    mixed = _chosen if self.one_hot else _mixed

    def edge(cell: _Cell, index: int, x: jax.Array) -> jax.Array:
      return mixed(cell, index, x, weights[index])

    return _forward(self, self.network, edge, images, train)


def extract_cell(network: CellNetwork, variables: Any) -> Any:
  """Cuts a cell's own variables out of a `CellSupernet`'s.

  Args:
    network: the cell.
    variables: of `CellSupernet`.

  Returns:
    The same tree for `CellNet(network, K)`.
  """
  used = {
    f"edge{start}_{end}_{op}"
    for (start, end), op in zip(EDGES, network.ops, strict=True)
  }

  def cut(tree: Any) -> Any:
    if not isinstance(tree, dict):
      return tree
    return {
      name: cut(inner)
      for name, inner in tree.items()
      if not name.startswith("edge") or name in used
    }

  found: Any = cut(variables)
  for collection in found.values():
    for name in [n for n, inner in collection.items() if inner == {}]:
      del collection[name]  # A cell without convolutions.
  return found


class _Cell(nn.Module):
  """A cell: four nodes, each the sum of the edges into it.

  Attributes:
    width: `C`.
    edge: gives the result of an edge.
    affine: of BN.
    biased: of convolutions.
  """

  width: int
  edge: _Edge
  affine: bool
  biased: bool
  train: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """`f32[B, H, W, C]` to the same."""
    nodes = [x]
    for end in range(1, 4):
      into = [
        self.edge(self, index, nodes[start])
        for index, (start, to) in enumerate(EDGES)
        if to == end
      ]
      nodes.append(sum(into[1:], start=into[0]))
    return nodes[-1]

  @nn.nowrap
  def operation(self, op: str, index: int, x: jax.Array) -> jax.Array:
    """The result of an operation on an edge."""
    if op == "none":
      return jnp.zeros_like(x)
    if op == "skip":
      return x
    if op == "avgpool3x3":
      return _average3x3(x)
    start, end = EDGES[index]
    return _ReluConvNorm(
      self.width,
      kernel=KERNELS[op],
      affine=self.affine,
      biased=self.biased,
      name=f"edge{start}_{end}_{op}",
    )(x, train=self.train)


class _ReluConvNorm(nn.Module):
  """ReLU, convolution, BN."""

  features: int
  kernel: int
  stride: int = 1
  affine: bool = True
  biased: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H', W', features]`."""
    x = _Conv(
      self.features,
      kernel=self.kernel,
      stride=self.stride,
      use_bias=self.biased,
      name="conv",
    )(nn.relu(x))
    if self.affine:
      return BatchNorm(name="norm")(x, train=train)
    return _PlainNorm(name="norm")(x, train=train)


class _Conv(nn.Module):
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
    else:
      y = conv.lax_conv(x, kernel, self.stride, self.kernel // 2)
    if self.use_bias:
      y = y + self.param("bias", nn.initializers.zeros, (self.features,))
    return y


class _PlainNorm(nn.Module):
  """BN without scale and offset; momentum 0.9 in Flax's sense."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to the same."""
    shape = (x.shape[-1],)
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
    running_var = self.variable("batch_stats", "var", jnp.ones, shape)
    mean, variance = running_mean.value, running_var.value
    if train:
      mean, variance = norm.batch_statistics(x)
      if not self.is_initializing():
        running_mean.value = 0.9 * running_mean.value + 0.1 * mean
        running_var.value = 0.9 * running_var.value + 0.1 * variance
    one, zero = jnp.ones(shape), jnp.zeros(shape)
    return norm.normalize(x, mean, variance, one, zero, 1e-5)


def _forward(
  module: CellNet | CellSupernet,
  network: CellNetwork,
  edge: _Edge,
  images: jax.Array,
  train: bool,
) -> jax.Array:
  """Builds and runs the layers inside `module`'s compact call."""
  width = network.channels
  x = _Conv(width, kernel=3, name="stem_conv")(images)
  x = BatchNorm(name="stem_norm")(x, train=train)
  for stage in range(STAGES):
    if stage:
      width *= 2
      x = _Reduction(width, name=f"stage{stage}_reduction")(x, train=train)
    for index in range(network.cells):
      x = _Cell(
        width,
        edge,
        module.affine,
        module.biased,
        train,
        name=f"stage{stage}_cell{index}",
      )(x)
  x = nn.relu(BatchNorm(name="head_norm")(x, train=train))
  return nn.Dense(module.num_classes, name="classifier")(x.mean((1, 2)))


class _Reduction(nn.Module):
  """The residual block that halves the image."""

  width: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """`f32[B, H, W, C]` to `f32[B, H / 2, W / 2, width]`."""
    h = _ReluConvNorm(self.width, kernel=3, stride=2, name="conv1")(
      x, train=train
    )
    h = _ReluConvNorm(self.width, kernel=3, name="conv2")(h, train=train)
    batch, height, width, channels = x.shape
    quarters = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return h + _Conv(self.width, name="shortcut")(quarters.mean((2, 4)))


def _mixed(
  cell: _Cell, index: int, x: jax.Array, weights: jax.Array
) -> jax.Array:
  """The weighted sum of all operations."""
  results = (cell.operation(op, index, x) for op in OPS)
  # One weight for the batch, or one for each example.
  each = jnp.moveaxis(weights, -1, 0).reshape(len(OPS), -1, 1, 1, 1)
  pairs = zip(each, results, strict=True)
  return sum((w * r for w, r in pairs), start=jnp.zeros_like(x))


def _chosen(
  cell: _Cell, index: int, x: jax.Array, weights: jax.Array
) -> jax.Array:
  """The operation of the largest weight."""
  if cell.is_initializing():  # All have variables.
    return _mixed(cell, index, x, weights)

  def branch(op: str) -> Callable[[_Cell, jax.Array], jax.Array]:
    return lambda cell, x: cell.operation(op, index, x)

  branches = [branch(op) for op in OPS]
  return nn.switch(jnp.argmax(weights), branches, cell, x)


def _average3x3(x: jax.Array) -> jax.Array:
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
