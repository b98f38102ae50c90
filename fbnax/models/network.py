"""The network: one module for an architecture, a candidate, a population.

`Network` builds an `Architecture`. `Supernet` builds the largest network of a
space and is driven by choice weights: one-hot vectors make it one candidate,
and `vmap` over them a population. Both run `_forward`, which asks a reader
(see `fbnax.spaces.follow`) for its masks; without one there are none.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models.blocks import Head, TrunkBlock, read_field, read_prefix
from fbnax.models.layers import ConvNorm
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.follow import Reader, expectation, largest
from fbnax.spaces.space import SearchSpace


class Network(nn.Module):
  """The network of an architecture.

  Attributes:
    architecture: what to build.
    num_classes: `K`.
  """

  architecture: Architecture
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
      stochastic_depth: probability that the last block is dropped.
      features: return the trunk's last feature map at each stride of at least
        4 instead, for use as a backbone.

    Returns:
      `f32[B, K]`, or a dict from stride to `f32[B, H / stride, W / stride, C]`.
    """
    return _forward(
      self,
      self.architecture,
      None,
      images,
      train,
      dropout,
      stochastic_depth,
      features,
    )


class Supernet(nn.Module):
  """All networks of a space in one, driven by choice weights.

  Attributes:
    space: the space.
    num_classes: `K`.
  """

  space: SearchSpace
  num_classes: int

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    weights: Sequence[jax.Array],
    *,
    train: bool,
    dropout: Any = 0.0,
    stochastic_depth: Any = 0.0,
    features: bool = False,
  ) -> Any:
    """Logits of images under choice weights.

    Args:
      images: `f32[B, H, W, C]`, normalised, at the resolution of the choice.
      weights: one `f32[choices]` per decision of the space, each sums to one.
      train: as in `Network`.
      dropout: as in `Network`.
      stochastic_depth: as in `Network`.
      features: as in `Network`.

    Returns:
      `f32[B, K]`, or a dict from stride to feature maps.

    Raises:
      ValueError: the space has cells instead of blocks.
    """
    table = self.space.table
    if not isinstance(table, Architecture):
      raise ValueError(
        f"space {self.space.name!r} is made of cells; a Supernet needs one "
        "that is made of blocks"
      )
    named = {
      d.name: w for d, w in zip(self.space.decisions, weights, strict=True)
    }
    return _forward(
      self,
      table,
      expectation(named),
      images,
      train,
      dropout,
      stochastic_depth,
      features,
    )


def one_hot(space: SearchSpace, genotype: jax.Array) -> tuple[jax.Array, ...]:
  """Choice weights of one genotype `i32[D]`: `f32[choices]` per decision."""
  return tuple(
    jax.nn.one_hot(genotype[i], count) for i, count in enumerate(space.choices)
  )


def _forward(
  module: nn.Module,
  table: Architecture,
  read: Reader | None,
  images: jax.Array,
  train: bool,
  dropout_rate: Any,
  stochastic_depth: Any,
  features: bool,
) -> Any:
  """Builds and runs the layers of `table` inside `module`'s compact call."""
  stem = table.stem
  widths = stem.channels
  x = ConvNorm(
    features=largest(int, widths),
    kernel=stem.kernel,
    stride=stem.stride,
    use_bias=stem.bias,
    activation=stem.activation,
    epsilon=table.bn_epsilon,
    name="stem",
  )(images, read_prefix(read, int, widths), train=train)
  maps, stride = {}, stem.stride
  blocks = [
    (name, block)
    for name, block in zip(table.block_names, table.blocks, strict=True)
    if largest(bool, block.present)
  ]
  path_key = head_key = None
  if train and not (_is_zero(dropout_rate) and _is_zero(stochastic_depth)):
    path_key, head_key = jax.random.split(module.make_rng("dropout"))
  uniforms: Sequence[jax.Array | None] = [None] * len(blocks)
  if path_key is not None and not _is_zero(stochastic_depth):
    uniforms = _uniforms(path_key, [n for n, _ in blocks], images.shape[0])
  # Stochastic depth grows with the place among the blocks that are present.
  present = [read_field(read, float, block.present) for _, block in blocks]
  total = sum(present)
  reached: Any = 0.0
  for (name, block), exists, uniform in zip(
    blocks, present, uniforms, strict=True
  ):
    reached = reached + exists
    x = TrunkBlock(
      table=table, block=block, c_in=widths, name=name.replace(".", "_")
    )(
      x,
      read,
      train=train,
      drop_rate=stochastic_depth * reached / total,
      uniform=uniform,
    )
    stride *= block.stride
    widths = block.channels
    maps[stride] = x
  if features:
    return {s: m for s, m in maps.items() if s >= 4}
  return Head(
    table=table, c_in=widths, num_classes=module.num_classes, name="head"
  )(
    x,
    read,
    train=train,
    dropout_rate=dropout_rate,
    key=None if _is_zero(dropout_rate) else head_key,
  )


def _uniforms(
  key: jax.Array, names: Sequence[str], batch: int
) -> list[jax.Array]:
  """Random numbers from 0 to 1 for each block, `f32[B]`.

  They depend on the block's name and not on its neighbours, so a candidate
  draws the same in a supernet and alone.
  """
  places = (name.removeprefix("stage").split(".block") for name in names)
  ids = jnp.asarray([int(stage) * 1024 + int(index) for stage, index in places])
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, ids)
  return list(jax.vmap(lambda k: jax.random.uniform(k, (batch,)))(keys))


def _is_zero(rate: Any) -> bool:
  return isinstance(rate, (int, float)) and rate == 0


def extract(space: SearchSpace, genotype: jax.Array, variables: Any) -> Any:
  """Cuts a genotype's own `Network` out of the supernet's variables.

  Args:
    space: the space.
    genotype: `i32[D]`.
    variables: of `Supernet(space, K)`, or any tree with leaves of its shapes.

  Returns:
    The same tree for `Network(space.architecture(genotype), K)`.
  """
  architecture = space.architecture(genotype)
  classes = variables["params"]["head"]["classifier"]["bias"].shape[-1]
  channels = architecture.input_channels
  side = architecture.resolution
  shapes = jax.eval_shape(
    lambda key: Network(architecture, classes).init(
      key, jnp.zeros((1, side, side, channels)), train=False
    ),
    jax.random.key(0),
  )

  def cut(path: Any, wanted: jax.ShapeDtypeStruct) -> jax.Array:
    leaf = variables
    for step in path:
      leaf = leaf[step.key]
    slices = [slice(0, size) for size in wanted.shape]
    if len(wanted.shape) == 4:
      for axis in (0, 1):  # Smaller kernels are the middle of larger ones.
        start = (leaf.shape[axis] - wanted.shape[axis]) // 2
        slices[axis] = slice(start, start + wanted.shape[axis])
    return leaf[tuple(slices)]

  return jax.tree_util.tree_map_with_path(cut, shapes)
