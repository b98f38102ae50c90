"""NAS-Bench-201 networks: one cell, or all 15,625 as one module.

Dong & Yang 2020; `fbnax.spaces.cell` says what is built. `CellSupernet` holds
both convolutions of every edge and is driven by choice weights. Where these are
known to be one-hot it computes the chosen operations alone (`cell_loop`), so
that one program serves all cells and a cell costs what its own network costs.
Under `vmap` all operations are computed and one selected; the results are the
same.

The benchmark has BN with scale and offset everywhere and no biased convolution
(`affine`, `biased`); the networks that zero-cost-nas measured have, in the
cells alone, biased convolutions and BN without. Weights start with the variance
that PyTorch, and so both of them, gives them: 1 / (3 x inputs of an output).

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models import cell_loop
from fbnax.models.cell_parts import (
  KERNELS,
  CellConv,
  Norm,
  Reduction,
  ReluConvNorm,
  average3x3,
)
from fbnax.ops.marks import feature_map
from fbnax.spaces.cell import EDGES, OPS, STAGES, CellNetwork

# The cell, the number of an edge, its input: the operation's result.
_Edge = Callable[["_Cell", int, jax.Array], jax.Array]
# Names of cells, their width, the input of the first: the result of the last.
_Stage = Callable[[Sequence[str], int, jax.Array], jax.Array]


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

    return _forward(
      self.network, self.num_classes, _cells(self, edge, train), images, train
    )


class CellSupernet(nn.Module):
  """The networks of all cells in one, driven by choice weights.

  Attributes:
    network: the sizes; its operations are not read.
    num_classes: `K`.
    affine: as in `CellNet`.
    biased: as in `CellNet`.
    one_hot: choice weights are one-hot, and only what they choose is computed;
      there is no gradient toward them.
    unrolled: with `one_hot` cells are compiled one by one and not as a loop, so
      that their feature maps can be marked; compiling takes longer.
  """

  network: CellNetwork
  num_classes: int
  affine: bool = True
  biased: bool = False
  one_hot: bool = False
  unrolled: bool = False

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
    if not self.one_hot or self.is_initializing():  # All have variables.

      def edge(cell: _Cell, index: int, x: jax.Array) -> jax.Array:
        return _mixed(cell, index, x, weights[index])

      return _forward(
        self.network, self.num_classes, _cells(self, edge, train), images, train
      )
    numbers = [jnp.argmax(own) for own in weights]

    def stage(names: Sequence[str], width: int, x: jax.Array) -> jax.Array:
      for group in [[n] for n in names] if self.unrolled else [names]:
        x = cell_loop.loop(
          self,
          group,
          numbers,
          width,
          x,
          affine=self.affine,
          biased=self.biased,
          train=train,
        )
        x = feature_map(x) if self.unrolled else x
      return x

    return _forward(self.network, self.num_classes, stage, images, train)


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
      return average3x3(x)
    start, end = EDGES[index]
    return ReluConvNorm(
      self.width,
      kernel=KERNELS[op],
      affine=self.affine,
      biased=self.biased,
      name=f"edge{start}_{end}_{op}",
    )(x, train=self.train)


def _cells(module: CellNet | CellSupernet, edge: _Edge, train: bool) -> _Stage:
  """The cells of a stage one by one."""

  def stage(names: Sequence[str], width: int, x: jax.Array) -> jax.Array:
    for name in names:
      x = _Cell(width, edge, module.affine, module.biased, train, name=name)(x)
      x = feature_map(x)
    return x

  return stage


def _forward(
  network: CellNetwork,
  num_classes: int,
  stage: _Stage,
  images: jax.Array,
  train: bool,
) -> jax.Array:
  """Builds and runs the layers inside a module's compact call."""
  width = network.channels
  x = CellConv(width, kernel=3, name="stem_conv")(images)
  x = feature_map(Norm(name="stem_norm")(x, train=train))
  for index in range(STAGES):
    if index:
      width *= 2
      x = Reduction(width, name=f"stage{index}_reduction")(x, train=train)
      x = feature_map(x)
    names = [f"stage{index}_cell{i}" for i in range(network.cells)]
    x = stage(names, width, x)
  x = nn.relu(Norm(name="head_norm")(x, train=train))
  return nn.Dense(num_classes, name="classifier")(x.mean((1, 2)))


def _mixed(
  cell: _Cell, index: int, x: jax.Array, weights: jax.Array
) -> jax.Array:
  """The weighted sum of all operations."""
  results = (cell.operation(op, index, x) for op in OPS)
  # One weight for the batch, or one for each example.
  each = jnp.moveaxis(weights, -1, 0).reshape(len(OPS), -1, 1, 1, 1)
  pairs = zip(each, results, strict=True)
  return sum((w * r for w, r in pairs), start=jnp.zeros_like(x))
