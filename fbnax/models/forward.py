"""The pass through a network's layers, from a layer table.

With choice weights over input resolutions the images come at the largest one,
and each operation (the stem, a block, the head up to its pool) runs at every
resolution on the nearest pixels of its input, its results summed in a map of
the largest (Figure 3.2 of Wan 2022, `fbnax.ops.resolution`). An operation
includes its BN, which therefore sees no zeros in between; its running
statistics follow each resolution by its weight. At a one-hot choice the pixels
of the chosen resolution never meet others, so the logits are those of a network
at that resolution on the nearest pixels of the images. The price is the sum of
the prices of all resolutions.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes, `R`
resolutions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.blocks import TrunkBlock
from fbnax.models.head import NetworkHead
from fbnax.models.layers import ConvNorm
from fbnax.models.reading import read_field, read_prefix
from fbnax.models.searched import SearchedBlock
from fbnax.ops.branching import recomputed_switch
from fbnax.ops.resolution import (
  intersperse,
  resolution_subsampled,
  subsample,
)
from fbnax.spaces.architecture import Architecture, out_size
from fbnax.spaces.follow import Follow, Reader, largest


def forward(
  module: nn.Module,
  table: Architecture,
  read: Reader | None,
  images: jax.Array,
  train: bool,
  dropout_rate: Any,
  stochastic_depth: Any,
  features: bool,
  *,
  single_path: bool = False,
  subsampled: bool = False,
  recompute: bool = False,
) -> Any:
  """Builds and runs the layers of a table inside `module`'s compact call.

  Args:
    module: whose layers they are; it has `num_classes`.
    table: an architecture, or the open table of a space.
    read: the reader of the table, None for a table without open fields.
    images: `f32[B, H, W, C]`.
    train: as in `fbnax.models.Network`.
    dropout_rate: likewise.
    stochastic_depth: likewise.
    features: likewise.
    single_path: as in `fbnax.models.Supernet`.
    subsampled: as its `subsample`.
    recompute: likewise.
  """
  spread = _Resolutions()
  if subsampled:
    spread = _Resolutions.of(table, read, images, recompute)
  stem = table.stem
  widths = stem.channels
  first = ConvNorm(
    features=largest(int, widths),
    kernel=stem.kernel,
    stride=stem.stride,
    padding=table.padding,
    use_bias=stem.bias,
    norm=stem.norm,
    activation=stem.activation,
    epsilon=table.bn_epsilon,
    name="stem",
  )
  mask = read_prefix(read, int, widths)
  x = spread(
    lambda layers, x, share: layers[0](x, mask, train=train, share=share),
    (first,),
    images,
  )
  spread = spread.after(stem.kernel, stem.stride, None)
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
    place: dict[str, Any] = {
      "table": table,
      "block": block,
      "c_in": widths,
      "name": name.replace(".", "_"),
    }
    if isinstance(block.op, Follow):
      layer: Any = SearchedBlock(single_path=single_path, **place)
    else:
      layer = TrunkBlock(**place)
    run = functools.partial(
      _run,
      read=read,
      train=train,
      drop_rate=stochastic_depth * reached / total,
      uniform=uniform,
    )
    x = spread(run, (layer,), x)
    spread = spread.after(block.kernel, block.stride, block.padding)
    stride *= block.stride
    widths = block.channels
    maps[stride] = x
  if features:
    return {s: m for s, m in maps.items() if s >= 4}
  return NetworkHead(
    table=table, c_in=widths, num_classes=module.num_classes, name="head"
  )(
    x,
    read,
    train=train,
    dropout_rate=dropout_rate,
    key=None if _is_zero(dropout_rate) else head_key,
    spread=spread,
  )


def _run(
  layers: Sequence[nn.Module], x: jax.Array, share: Any, **arguments: Any
) -> jax.Array:
  (layer,) = layers
  return layer(x, share=share, **arguments)


@dataclasses.dataclass(frozen=True)
class _Resolutions:
  """Runs an operation at each resolution of a choice.

  Attributes:
    weights: of the resolutions, `f32[R]` or `f32[B, R]`; None without a choice.
    sizes: `[R]`, side of the map that is the next operation's input.
    recompute: nothing but that input is kept for the gradient.
  """

  weights: Any = None
  sizes: tuple[int, ...] = ()
  recompute: bool = False

  @classmethod
  def of(
    cls,
    table: Architecture,
    read: Reader | None,
    images: jax.Array,
    recompute: bool,
  ) -> _Resolutions:
    options = table.resolution
    if read is None or not isinstance(options, Follow):
      return cls()
    sizes = options.values
    if images.shape[1:3] != (max(sizes),) * 2:
      raise ValueError(
        f"images have {images.shape[1]} x {images.shape[2]} pixels; legal: "
        f"the largest resolution of decision {options.decision!r}, {max(sizes)}"
      )
    if len(sizes) == 1:
      return cls()
    rows = np.eye(len(sizes), dtype=np.float32)
    places = Follow(options.decision, tuple(range(len(sizes))))
    return cls(read(lambda i: rows[i], places), sizes, recompute)

  def __call__(
    self, function: Any, layers: Sequence[nn.Module], x: jax.Array
  ) -> jax.Array:
    """The function of layers, a map and a share of BN's statistics."""
    if self.weights is None:
      return function(layers, x, None)
    shares = self.weights.reshape(-1, len(self.sizes)).mean(0)
    each = [
      functools.partial(function, layers, share=shares[i])
      for i in range(len(self.sizes))
    ]
    if not self.recompute or not layers or layers[0].is_initializing():
      return resolution_subsampled(each, x, self.weights, self.sizes)
    return self._one_by_one(function, layers, x, shares)

  def _one_by_one(
    self,
    function: Any,
    layers: Sequence[nn.Module],
    x: jax.Array,
    shares: jax.Array,
  ) -> jax.Array:
    """The same sum in a loop, whose steps keep nothing for the gradient.

    A loop takes the resolutions one after the other in the backward pass, too;
    unrolled, the maps of all would be there at a time.
    """
    variables = [dict(layer.variables) for layer in layers]
    statistics = [v.pop("batch_stats", {}) for v in variables]
    free = [layer.clone(parent=None, name=None) for layer in layers]

    def at(index: int, statistics: Any, side: Any = None) -> Any:
      bound = [
        layer.bind({**v, "batch_stats": s}, mutable=["batch_stats"])
        for layer, v, s in zip(free, variables, statistics, strict=True)
      ]
      size = self.sizes[index]
      y = function(bound, subsample(x, size, size), shares[index])
      weight = self.weights[..., index, None, None, None].astype(y.dtype)
      y = weight * y
      if side is not None:
        y = intersperse(y, *side)
      return y, [b.variables.get("batch_stats", {}) for b in bound]

    shapes = [
      jax.eval_shape(functools.partial(at, i), statistics)[0]
      for i in range(len(self.sizes))
    ]
    side = tuple(max(s.shape[axis] for s in shapes) for axis in (1, 2))
    branches = [
      lambda _, statistics, i=i: at(i, statistics, side)
      for i in range(len(self.sizes))
    ]

    def step(carry: Any, index: jax.Array) -> tuple[Any, None]:
      total, statistics = carry
      y, statistics = recomputed_switch(index, branches, statistics)
      return (total + y, statistics), None

    zero = jnp.zeros((x.shape[0], *side, shapes[0].shape[-1]), shapes[0].dtype)
    (total, statistics), _ = jax.lax.scan(
      step, (zero, statistics), jnp.arange(len(self.sizes))
    )
    for layer, of_layer in zip(layers, statistics, strict=True):
      if layer.is_mutable_collection("batch_stats"):
        for name, value in of_layer.items():
          layer.put_variable("batch_stats", name, value)
    return total

  def after(self, kernel: Any, stride: int, padding: Any) -> _Resolutions:
    """For what comes after an operation."""

    def size(before: int) -> int:
      # Without a padding of its own an operation's size does not depend on
      # its kernel, which may be open.
      return out_size(before, 0 if padding is None else kernel, stride, padding)

    return dataclasses.replace(self, sizes=tuple(map(size, self.sizes)))


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
