"""BN's running statistics of one network, computed anew from images.

A network that is cut out of a shared supernet has the statistics of the largest
one, which are not its own (Yu et al. 2020, BigNAS, section 3.3). Forward passes
alone give them: each batch is normalised by its own statistics, as in training,
and the running ones become the means over the batches, which all count alike,
of a channel's mean and of its variance within a batch. Nothing is dropped.

Symbols: `N` images, `H`, `W`, `C` their shape, `D` decisions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.layers import BatchNorm
from fbnax.models.network import Network, extract
from fbnax.spaces.space import SearchSpace
from fbnax.training import augment, loop, mesh
from fbnax.training.precision import lowered
from fbnax.training.recipes import Settings

IMAGES = 256  # Enough for the statistics of a batch to be those of the set.


@functools.partial(jax.jit, static_argnums=(0, 1))
def recalibrated(
  module: nn.Module,
  settings: Settings,
  variables: Any,
  choice: Any,
  images: jax.Array,
) -> Any:
  """The variables with statistics of these images.

  Args:
    module: a `Network`, or a `Supernet`.
    settings: resolution, normalisation, and the size of the batches, of which
      there are as many as are full.
    variables: of the module; the statistics are not read.
    choice: choice weights of a supernet, else None.
    images: `u8[N, H, W, C]`, in an order in which every batch is like the set.
  """
  batch = min(settings.batch_size, len(images))
  count = len(images) // batch
  params = lowered(settings, variables["params"])
  # From zero, a running value after a batch is a fixed part of the batch's.
  zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
  part = 1.0 - BatchNorm.momentum
  extra = () if choice is None else (lowered(settings, choice),)

  def body(total: Any, images: jax.Array) -> tuple[Any, None]:
    x = mesh.spread(settings.mesh, images, mesh.DATA)
    x = lowered(settings, augment.prepare(x, settings))
    _, updated = module.apply(
      {"params": params, "batch_stats": zeros},
      x,
      *extra,
      train=True,
      mutable=["batch_stats"],
    )
    return jax.tree.map(jnp.add, total, updated["batch_stats"]), None

  batches = images[: count * batch].reshape(count, batch, *images.shape[1:])
  total, _ = jax.lax.scan(body, zeros, batches)
  stats = jax.tree.map(lambda leaf: leaf / (part * count), total)
  return {**variables, "batch_stats": stats}


def sample(
  settings: Settings, train: loop.Feed, count: int = IMAGES, seed: int = 0
) -> jax.Array:
  """Some training images in random order, as they are evaluated.

  Args:
    settings: resolution of what is streamed; what is in memory keeps its size.
    train: where they are taken from.
    count: how many, at most.
    seed: of the choice.

  Returns:
    `u8[N, H, W, C]`.

  Raises:
    ValueError: `count` is below 1.
  """
  if count < 1:
    raise ValueError(f"recalibration: count is {count}; legal: 1 or more")
  total = len(train.labels)
  rows = np.random.default_rng(seed).permutation(total)[:count]
  if isinstance(train, loop.Examples):
    return train.images[rows]
  split, size = train.take(rows), min(settings.batch_size, len(rows))
  # All of them in each process, as of a set in memory.
  alone = dataclasses.replace(settings, mesh=None)
  batches = loop.batches(alone, split, size, train=False)
  images = np.concatenate([np.asarray(images) for images, _ in batches])
  return jnp.asarray(images[: len(rows)])


def inherited(
  space: SearchSpace,
  genotype: Any,
  variables: Any,
  settings: Settings,
  images: jax.Array,
) -> Any:
  """A genotype's own network by the weights that it shares, ready for use.

  Args:
    space: of the supernet.
    genotype: `i32[D]`.
    variables: of the supernet, or of its largest network.
    settings: as in `recalibrated`, at the genotype's resolution.
    images: likewise.

  Returns:
    The variables of `Network(space.architecture(genotype), K)`.
  """
  # Cut on the host, where that needs no program.
  cut = extract(space, genotype, jax.device_get(variables))
  classes = cut["params"]["head"]["classifier"]["bias"].shape[-1]
  module = Network(space.architecture(genotype), classes)
  cut, images = mesh.put(settings.mesh, (cut, images))
  return recalibrated(module, settings, cut, None, images)


def of_images(
  space: SearchSpace,
  variables: Any,
  settings_at: Callable[[int], Settings],
  train: loop.Feed,
  count: int,
  seed: int,
  genotype: Any,
) -> Any:
  """As `inherited`, with a sample of training images at its resolution.

  Args:
    space: of the supernet.
    variables: of the supernet, or of its largest network.
    settings_at: settings at a resolution.
    train: where the images are taken from.
    count: how many, at most.
    seed: of the choice.
    genotype: `i32[D]`.
  """
  settings = settings_at(space.architecture(genotype).resolution)
  images = sample(settings, train, count, seed)
  return inherited(space, genotype, variables, settings, images)


def forget() -> None:
  """Drops the compiled programs; see `fbnax.training.programs.forget`."""
  program: Any = recalibrated
  program.clear_cache()
