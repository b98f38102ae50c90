"""The network: one module for an architecture, a candidate, a population.

`Network` builds an `Architecture`. `Supernet` builds the largest network of a
space and is driven by choice weights: one-hot vectors make it one candidate,
and `vmap` over them a population. Both run `forward`, which asks a reader
(see `fbnax.spaces.follow`) for its masks; without one there are none.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models import stacks
from fbnax.models.forward import forward
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.follow import Follow, expectation, smallest
from fbnax.spaces.space import SearchSpace
from fbnax.spaces.tables import blocks_of


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
    return forward(
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

  A layer whose type is open holds its alternatives and sums their outputs (see
  `fbnax.models.searched`); widths, expansions and kernels that are open share
  weights under masks.

  Weights may be those of the whole batch or of each example. Under the latter
  masks and sums are each example's own, while BN normalises by all of them.

  Attributes:
    space: the space.
    num_classes: `K`.
    single_path: in a layer whose type is open only the alternative of the
      largest weight is computed, in the time of one. For one-hot weights, such
      as `fbnax.ops.straight_through` gives; a weight's gradient is then that of
      its alternative where this was computed, and its share in the residual.
    subsample: the images come at the largest resolution of the space, and the
      choice weights over its resolutions weigh what each computes on the
      nearest pixels (see `fbnax.models.forward`); a choice of one resolution
      costs nothing. Without it the images come at the resolution of the choice,
      and its weights are not read.
    recompute: with `subsample` a layer keeps its input alone for the gradient,
      and computes the maps of each resolution again, so that memory does not
      grow with the number of resolutions; a step takes longer.
  """

  space: SearchSpace
  num_classes: int
  single_path: bool = False
  subsample: bool = False
  recompute: bool = False

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
      images: `f32[B, H, W, C]`, normalised, at the resolution of the choice, or
        with `subsample` at the largest.
      weights: for each decision of the space `f32[choices]`, or
        `f32[B, choices]` for each example's own; they sum to one.
      train: as in `Network`.
      dropout: as in `Network`.
      stochastic_depth: as in `Network`.
      features: as in `Network`.

    Returns:
      `f32[B, K]`, or a dict from stride to feature maps.

    Raises:
      ValueError: the space has cells instead of blocks; with `single_path`, a
        type has weights of each example; with `subsample`, the images are not
        of the largest resolution.
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
    return forward(
      self,
      table,
      expectation(named),
      images,
      train,
      dropout,
      stochastic_depth,
      features,
      single_path=self.single_path,
      subsampled=self.subsample,
      recompute=self.recompute,
    )


def one_hot(space: SearchSpace, genotype: jax.Array) -> tuple[jax.Array, ...]:
  """Choice weights of one genotype `i32[D]`: `f32[choices]` per decision."""
  return tuple(
    jax.nn.one_hot(genotype[i], count) for i, count in enumerate(space.choices)
  )


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

  chosen = _chosen_alternatives(space, genotype)

  def cut(path: Any, wanted: jax.ShapeDtypeStruct) -> jax.Array:
    kind, module, *rest = (step.key for step in path)
    leaf = variables[kind][module]
    if module in chosen and rest[0] != "skip":
      leaf = chosen[module].cut(leaf, tuple(rest))
    else:
      for step in rest:
        leaf = leaf[step]
    return _middle(leaf, wanted.shape)

  return jax.tree_util.tree_map_with_path(cut, shapes)


def narrow(part: SearchSpace, variables: Any) -> Any:
  """Cuts what a part of a space needs out of the supernet's variables.

  Args:
    part: of the space; one of blocks whose types are not searched (see
      `fbnax.spaces.hull`).
    variables: of the whole space's `Supernet`.

  Returns:
    The variables of `Supernet(part, K)`; those of a genotype's own network are
    in both.
  """
  classes = variables["params"]["head"]["classifier"]["bias"].shape[-1]
  side = smallest(int, part.table.resolution)
  choice = one_hot(part, jnp.zeros(len(part.decisions), jnp.int32))
  shapes = jax.eval_shape(
    lambda key: Supernet(part, classes).init(
      key,
      jnp.zeros((1, side, side, part.table.input_channels)),
      choice,
      train=False,
    ),
    jax.random.key(0),
  )

  def cut(path: Any, wanted: jax.ShapeDtypeStruct) -> Any:
    leaf = variables
    for step in path:
      leaf = leaf[step.key]
    return _middle(leaf, wanted.shape)

  return jax.tree_util.tree_map_with_path(cut, shapes)


def _middle(leaf: Any, shape: tuple[int, ...]) -> Any:
  """A weight's leading channels; a smaller kernel is the middle of a larger."""
  slices = [slice(0, size) for size in shape]
  if len(shape) == 4:
    for axis in (0, 1):
      start = (leaf.shape[axis] - shape[axis]) // 2
      slices[axis] = slice(start, start + shape[axis])
  return leaf[tuple(slices)]


def _chosen_alternatives(
  space: SearchSpace, genotype: jax.Array
) -> dict[str, stacks.StackMember]:
  """By its module's name, where each layer of open type has its weights."""
  indices = {
    d.name: int(i) for d, i in zip(space.decisions, genotype, strict=True)
  }
  found = {}
  for name, block in blocks_of(space.table).items():
    if isinstance(block.op, Follow):
      member = stacks.member(block, indices[block.op.decision])
      if member is not None:
        found[name.replace(".", "_")] = member
  return found
