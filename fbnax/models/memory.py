"""The memory of a search over channels: masks, or one block per option.

Figure 3.7 of Wan 2022: with `k` options for the channels of each block (c/k,
2c/k, ..., c) a supernet either holds a block for every option, whose results
are padded and summed, and grows with `k`; or one block under a mask (equation
3.3), and hardly grows. Both are built here in a small macro-architecture and
compiled; the memory is what XLA's own analysis says that a training step takes.
Nothing is run.

The same for `k` input resolutions (Figure 3.2), whose maps are either all kept
for the gradient, or computed again, one resolution after the other.

Symbols: `B` images, `k` options.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.models import hurry
from fbnax.models.blocks import TrunkBlock
from fbnax.models.head import NetworkHead as HeadModule
from fbnax.models.layers import ConvNorm
from fbnax.models.network import Supernet
from fbnax.models.reading import resize_channels
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.space import Decision, SearchSpace, follow

MASKS, SEPARATE = "masks", "blocks"
KEPT, RECOMPUTED = "resolutions kept", "resolutions recomputed"
# Channels and stride of each block; 32 options divide the channels.
_BLOCKS = ((32, 1), (64, 2))
_SIDE, _BATCH, _CLASSES = 32, 16, 10


class Bytes(NamedTuple):
  """Memory of a training step.

  Attributes:
    options: `k`.
    total: arguments, results and temporary arrays, those that share a place
      counted once; bytes.
    params: weights of the module.
  """

  options: int
  total: int
  params: int


class SeparateSupernet(nn.Module):
  """As `Supernet` on such a space, but with a block of its own per option.

  Attributes:
    space: see `channel_space`.
    num_classes: of the classifier.
  """

  space: SearchSpace
  num_classes: int

  @nn.compact
  def __call__(
    self, images: jax.Array, weights: Sequence[jax.Array], *, train: bool
  ) -> jax.Array:
    """Logits of images `f32[B, H, W, C]` under choice weights."""
    table: Any = self.space.table
    stem = table.stem
    x = ConvNorm(
      stem.channels, stem.kernel, stem.stride, activation="hswish", name="stem"
    )(images, train=train)
    width = stem.channels
    for name, block, choice in zip(
      table.block_names, table.blocks, weights, strict=True
    ):
      widest = max(block.channels.values)
      total: Any = 0.0
      for i, channels in enumerate(block.channels.values):
        own = dataclasses.replace(block, channels=channels)
        h = TrunkBlock(
          table, own, width, name=f"{name.replace('.', '_')}_{channels}"
        )(x, None, train=train, drop_rate=0.0, uniform=None)
        total = total + choice[i] * resize_channels(h, widest)
      x, width = total, widest
    return HeadModule(table, width, self.num_classes, name="head")(
      x, None, train=train, dropout_rate=0.0, key=None
    )


def channel_space(options: int) -> SearchSpace:
  """Blocks that choose between c/k, 2c/k, ..., c channels.

  Args:
    options: `k`.

  Raises:
    ValueError: `k` does not divide the channels.
  """
  decisions, blocks = [], []
  for stage, (widest, stride) in enumerate(_BLOCKS, 1):
    if options < 1 or widest % options:
      raise ValueError(
        f"options is {options!r}; legal: a divisor of {widest}, the channels"
      )
    step = widest // options
    decision = Decision(
      f"block{stage}.channels", tuple(range(step, widest + 1, step))
    )
    decisions.append(decision)
    blocks.append(
      Block(
        channels=follow(decision),
        stage=stage,
        expansion=3.0,
        stride=stride,
      )
    )
  return SearchSpace(
    name=f"channels{options}",
    decisions=tuple(decisions),
    table=Architecture(
      resolution=_SIDE,
      stem=Stem(channels=32, stride=1, bias=False),
      blocks=tuple(blocks),
      head=Head(channels=64, expansion=0.0),
      divisor=1,
    ),
  )


def resolution_space(options: int) -> SearchSpace:
  """Networks without another choice than `k` resolutions, of even pixels.

  Args:
    options: `k`.

  Raises:
    ValueError: there are not as many.
  """
  if not 1 <= options < _SIDE // 2:
    raise ValueError(
      f"options is {options!r}; legal: 1 to {_SIDE // 2 - 1} resolutions"
    )
  sizes = tuple(range(_SIDE, _SIDE - 2 * options, -2))[::-1]
  decision = Decision("resolution", sizes)
  channels = channel_space(1)
  return dataclasses.replace(
    channels,
    name=f"resolutions{options}",
    decisions=(decision, *channels.decisions),
    table=dataclasses.replace(channels.table, resolution=follow(decision)),
  )


def _module(form: str, options: int) -> Any:
  if form == MASKS:
    return Supernet(channel_space(options), _CLASSES)
  if form == SEPARATE:
    return SeparateSupernet(channel_space(options), _CLASSES)
  return Supernet(
    resolution_space(options),
    _CLASSES,
    subsample=True,
    recompute=form == RECOMPUTED,
  )


def step_bytes(form: str, options: int) -> Bytes:
  """What a training step of a form takes, by XLA's analysis.

  A step computes the gradient toward weights and choices and subtracts it.

  Args:
    form: `MASKS`, `SEPARATE`, `KEPT` or `RECOMPUTED`.
    options: `k`.
  """
  lowered, arguments = lower_step(form, options)
  # Memory is planned before code is made.
  found = lowered.compile(compiler_options=hurry.options()).memory_analysis()
  if found is None:
    raise ValueError(
      f"backend {jax.default_backend()!r} tells no memory; legal: cpu, gpu, tpu"
    )
  total = (
    found.argument_size_in_bytes
    + found.output_size_in_bytes
    + found.temp_size_in_bytes
    - found.alias_size_in_bytes
  )
  params = sum(leaf.size for leaf in jax.tree.leaves(arguments[0]["params"]))
  return Bytes(options, int(total), int(params))


def lower_step(form: str, options: int) -> tuple[Any, tuple[Any, ...]]:
  """The program of `step_bytes`, and the shapes of its arguments."""
  module = _module(form, options)
  space = module.space
  images = jax.ShapeDtypeStruct((_BATCH, _SIDE, _SIDE, 3), jnp.float32)
  labels = jax.ShapeDtypeStruct((_BATCH,), jnp.int32)
  theta = tuple(jax.ShapeDtypeStruct((k,), jnp.float32) for k in space.choices)
  variables = jax.eval_shape(
    lambda key, x, t: module.init(key, x, t, train=False),
    jax.random.key(0),
    images,
    theta,
  )

  def step(variables: Any, theta: Any, images: Any, labels: Any) -> Any:
    def loss_of(params: Any, theta: Any) -> Any:
      logits, updated = module.apply(
        {**variables, "params": params},
        images,
        tuple(map(jax.nn.softmax, theta)),
        train=True,
        mutable=["batch_stats"],
      )
      picked = jax.nn.log_softmax(logits)[jnp.arange(_BATCH), labels]
      return -picked.mean(), updated

    slopes, updated = jax.grad(loss_of, (0, 1), has_aux=True)(
      variables["params"], theta
    )
    params, theta = jax.tree.map(
      lambda p, g: p - 0.1 * g, (variables["params"], theta), slopes
    )
    return {"params": params, **updated}, theta

  arguments = (variables, theta, images, labels)
  return jax.jit(step, donate_argnums=(0, 1)).lower(*arguments), arguments
