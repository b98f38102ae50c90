"""The networks that the job `zero_cost` scores: a space's, as one module.

Cells are those of a `CellSupernet` at one-hot choice weights, which computes
the chosen operations alone. Networks of blocks are cut out of a `Supernet` by
masks. Proxies that would see what masks cut off, or the whole module's
parameters, score the network itself with its part of the weights, which is
compiled for each network (`masked`, `own`).

Symbols: `n` networks, `D` decisions, `B` images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, data, models
from fbnax.data import Dataset, Split
from fbnax.jobs.runtime import inputs
from fbnax.jobs.zero_cost.config import ZeroCostConfig
from fbnax.proxies import PROXIES
from fbnax.proxies.scoring import Network, applied
from fbnax.search.benchmarks import tables
from fbnax.spaces import CellNetwork, SearchSpace


class Networks(NamedTuple):
  """What is scored.

  Attributes:
    space: the space, at its own resolution.
    genotypes: `i32[n, D]`, each once.
    network: gives the logits of the genotype whose choice weights it is given.
    module: the network as a module.
    resolution: of the images, pixels.
  """

  space: SearchSpace
  genotypes: np.ndarray
  network: Network
  module: Any
  resolution: int


def networks(config: ZeroCostConfig, dataset: Dataset) -> Networks:
  """Reads space, table and sample from the config.

  Genotypes come in an order that only the seed decides, so that a larger
  sample begins with a smaller one.

  Raises:
    ValueError: a value is not legal, or the space has several resolutions.
  """
  choice = inputs.NamedSpace(config.space, config.fix)
  space = inputs.space_of_networks(choice, dataset.channels)
  side = config.resolution
  if side < 0 or 0 < side < 8:
    raise ValueError(
      f"config.resolution is {side!r}; legal: 0, for the space's own, or at "
      "least 8 pixels"
    )
  if isinstance(space.table, CellNetwork):
    side = side or dataset.image_shape[0]
    table = dataclasses.replace(
      space.table,
      resolution=side - side % 4,
      channels=config.cells.channels,
      cells=config.cells.per_stage,
    )
    space = dataclasses.replace(space, table=table)
    module: Any = models.CellSupernet(
      space.architecture(np.zeros(len(space.decisions), int)),
      dataset.num_classes,
      affine=config.cells.affine,
      biased=config.cells.biased,
      one_hot=True,
      unrolled=any(PROXIES[n].needs_marks for n in config.proxies),
    )
    resolution = table.resolution
  else:
    resolution = _resolution(space, side)
    # Scored at another resolution a network has the costs of its own.
    resized = dataclasses.replace(space.table, resolution=resolution)
    module = models.Supernet(
      dataclasses.replace(space, table=resized), dataset.num_classes
    )
  genotypes = _genotypes(config, space)
  network = applied(module, takes_choice=True)
  return Networks(space, genotypes, network, module, resolution)


def initial(
  scored: Networks, channels: int
) -> Callable[[jax.Array], dict[str, Any]]:
  """Of a random key, weights of all networks, as `models.initialize` has them.

  Args:
    scored: the networks.
    channels: of the images.
  """
  side = scored.resolution
  images = jnp.zeros((1, side, side, channels))
  weights = models.one_hot(scored.space, jnp.asarray(scored.genotypes[0]))
  return jax.jit(
    lambda key: models.initialize(
      scored.module, key, images, weights, train=False
    )
  )


def batch(
  config: ZeroCostConfig, dataset: Dataset, resolution: int
) -> tuple[jax.Array, jax.Array]:
  """Training images `f32[B, H, W, C]`, normalised, and labels `i32[B]`.

  Raises:
    ValueError: the images are streamed, or there are fewer than asked for.
  """
  split = dataset.train
  if not isinstance(split, Split):
    raise ValueError(
      "config.data is streamed; legal: images in memory, see data.max_images"
    )
  least = max(2, dataset.num_classes)
  if not least <= config.batch_size <= len(split):
    raise ValueError(
      f"config.batch_size is {config.batch_size!r}; legal: {least} to "
      f"{len(split)}, the training images, each class at least once"
    )
  chosen = data.subset(split, config.batch_size, seed=config.seed)
  mean, std = inputs.normalization(dataset)
  images = jnp.asarray(chosen.images, jnp.float32) / 255.0 - jnp.asarray(mean)
  images = images / jnp.asarray(std)
  shape = (len(images), resolution, resolution, images.shape[-1])
  if images.shape != shape:
    images = jax.image.resize(images, shape, "bilinear")
  return images, jnp.asarray(chosen.labels, jnp.int32)


def counts(scored: Networks, num_classes: int) -> dict[str, np.ndarray]:
  """Exact MACs and parameters of each network, `f64[n]`."""
  counted = [
    costs.count(scored.space.architecture(g), num_classes)
    for g in scored.genotypes
  ]
  return {
    name: np.asarray([getattr(c, name) for c in counted], np.float64)
    for name in ("macs", "params")
  }


def masked(scored: Networks, names: Sequence[str]) -> tuple[str, ...]:
  """The proxies that one program gives for all networks."""
  if isinstance(scored.space.table, CellNetwork):
    return tuple(n for n in names if PROXIES[n].of_choice)
  return tuple(n for n in names if PROXIES[n].of_mask)


def own(scored: Networks, genotype: Any, variables: Any) -> tuple[Any, Any]:
  """The module of a genotype alone, and its part of the weights.

  Args:
    scored: the networks.
    genotype: `i32[D]`.
    variables: of all networks, see `initial`.
  """
  module = scored.module
  alone: Any
  if isinstance(scored.space.table, CellNetwork):
    cell = scored.space.architecture(genotype)
    alone = models.CellNet(
      cell, module.num_classes, affine=module.affine, biased=module.biased
    )
    return alone, models.extract_cell(cell, variables)
  architecture = module.space.architecture(genotype)
  alone = models.Network(architecture, module.num_classes)
  return alone, models.extract(module.space, genotype, variables)


def _resolution(space: SearchSpace, side: int) -> int:
  sides = [d.values for d in space.decisions if d.name == "resolution"]
  if sides and side:
    raise ValueError(
      f"config.resolution is {side}; legal: 0, since space {space.name!r} "
      f'decides on it; one of {sides[0]} by config.fix="resolution='
      f'{sides[0][0]}"'
    )
  if sides and len(sides[0]) > 1:
    raise ValueError(
      f"space {space.name!r} has the resolutions {sides[0]}, scores of which "
      'are not comparable; legal: one, by config.fix="resolution='
      f'{sides[0][0]}"'
    )
  if side:
    return side
  return space.architecture(np.zeros(len(space.decisions), int)).resolution


def _genotypes(config: ZeroCostConfig, space: SearchSpace) -> np.ndarray:
  if config.sample < 0 or config.sample == 1:
    raise ValueError(
      f"config.sample is {config.sample!r}; legal: 0 for all, or at least 2"
    )
  if config.table:
    of = tables.space_of(config.table)
    if of.name != space.name:
      raise ValueError(
        f"config.table is of space {of.name!r}, config.space is "
        f"{space.name!r}; legal: the same"
      )
    pool = tables.genotypes(config.table)
  elif space.size <= 2**17:
    grid = np.indices(space.choices).reshape(len(space.choices), -1).T
    pool = np.unique(np.asarray(space.canonical(jnp.asarray(grid))), axis=0)
  else:
    if not config.sample:
      raise ValueError(
        f"config.sample is 0, space {space.name!r} has {space.size:.3g} "
        "networks; legal: a number of them"
      )
    return np.asarray(space.sobol(config.sample, config.seed), np.int32)
  order = np.random.default_rng(config.seed).permutation(len(pool))
  count = config.sample or len(pool)
  if count > len(pool):
    raise ValueError(
      f"config.sample is {count}; legal: up to {len(pool)}, all there are"
    )
  return np.asarray(pool[order[:count]], np.int32)
