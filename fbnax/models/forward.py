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
from fbnax.ops.resolution import resolution_subsampled
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
  subsample: bool = False,
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
    subsample: likewise.
  """
  spread = _Resolutions.of(table, read, images) if subsample else _Resolutions()
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
  x = spread(lambda x, share: first(x, mask, train=train, share=share), images)
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
      layer,
      read=read,
      train=train,
      drop_rate=stochastic_depth * reached / total,
      uniform=uniform,
    )
    x = spread(lambda x, share, run=run: run(x, share=share), x)
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


@dataclasses.dataclass(frozen=True)
class _Resolutions:
  """Runs an operation at each resolution of a choice.

  Attributes:
    weights: of the resolutions, `f32[R]` or `f32[B, R]`; None without a choice.
    sizes: `[R]`, side of the map that is the next operation's input.
  """

  weights: Any = None
  sizes: tuple[int, ...] = ()

  @classmethod
  def of(
    cls, table: Architecture, read: Reader | None, images: jax.Array
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
    return cls(read(lambda i: rows[i], places), sizes)

  def __call__(self, function: Any, x: jax.Array) -> jax.Array:
    if self.weights is None:
      return function(x, None)
    shares = self.weights.reshape(-1, len(self.sizes)).mean(0)
    each = [
      functools.partial(function, share=shares[i])
      for i in range(len(self.sizes))
    ]
    return resolution_subsampled(each, x, self.weights, self.sizes)

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
