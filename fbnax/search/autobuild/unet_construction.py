"""U-Nets put together from the best modules, and the search it is set against.

AutoBuild (Mills et al. 2024, sections 5.3, 7.9 and 7.10). A module is run
alone; its last block's norm at the hop at which that block has heard of the
whole module is what one predictor makes of it. Modules of a hop are
standardised, for each predictor and again after the weighted sum. Of each stage
the top K are kept: *constrained*, K is divided between the sizes that modules
of the stage have, the larger sizes getting what is left over (K = 5: two and
three of two sizes, one of each of five); *unconstrained*, the scores are
standardised over the stage and the best are kept, whatever their sizes. The
networks with the largest sums of scores follow, of those whose channels fit:
one number of global channels, and for input and output a combination of
multipliers that the space has. The middle stage takes the channels of stage 4
and has no say.

The baseline predicts all networks of the space.

Symbols: `n` networks, `D` decisions, `P` predictors, `M` modules of a stage,
`K` kept ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.search.autobuild import ensemble, modules, unet_chains
from fbnax.search.autobuild.ensemble import Ensemble
from fbnax.search.autobuild.unet_chains import UNetStage
from fbnax.spaces import SearchSpace

KEEP, NETWORKS = 5, 4  # The paper's.


class Ranked(NamedTuple):
  """Networks, the best first.

  Attributes:
    genotypes: `i32[n, D]`.
    scores: sums of their modules', or predictions, `f64[n]`.
    keep: modules of each stage that were kept; 0 where none were.
  """

  genotypes: np.ndarray
  scores: np.ndarray
  keep: int = 0


def module_scores(ensemble_: Ensemble, space: SearchSpace) -> list[np.ndarray]:
  """Scores of all modules of `unet_chains.stages`, `f64[M]` each.

  Over the modules of one size they have mean 0 and deviation 1.

  Args:
    ensemble_: predictors of chains of the space.
    space: of U-Nets.
  """
  listed = unet_chains.stages(space)
  everything = [nodes for part in listed for nodes in part.modules]
  chains = unet_chains.of_nodes(space, everything)
  norms = np.asarray(
    [modules.last_norms(model, chains)[0] for model in ensemble_.models],
    np.float64,
  )  # [P, all modules]
  last = ensemble_.by_hop.shape[1] - 1
  hops = np.minimum([len(nodes) - 1 for nodes in everything], last)
  scores = np.zeros(norms.shape[1])
  for hop in np.unique(hops):
    of_hop = hops == hop
    weights = ensemble.shares(ensemble_.by_hop[:, hop])
    scores[of_hop] = standardised(weights @ standardised(norms[:, of_hop]))
  ends = np.cumsum([len(part.modules) for part in listed])
  return np.split(scores, ends[:-1])


def construct(
  space: SearchSpace,
  scores: Sequence[np.ndarray],
  *,
  networks: int = NETWORKS,
  keep: int = KEEP,
  constrained: bool = True,
) -> Ranked:
  """The networks with the best modules whose channels fit each other.

  Where what is kept makes fewer networks than are wanted, more is kept.

  Args:
    space: of U-Nets.
    scores: as `module_scores` gives them.
    networks: wanted; fewer where the space has no more.
    keep: `K`, modules of each stage.
    constrained: whether each size of modules gets its part of `keep`.

  Raises:
    ValueError: `networks` or `keep` is below 1.
  """
  _check_networks(networks)
  if keep < 1:
    raise ValueError(f"keep is {keep!r}; legal: at least 1")
  listed = unet_chains.stages(space)
  if not constrained:
    scores = [standardised(s) for s in scores]
  every = sum(len(part.modules) for part in listed)
  while True:
    choose = _top_of_sizes if constrained else _top
    kept = [
      choose(part, s, keep) for part, s in zip(listed, scores, strict=True)
    ]
    best = _fitting(space, scores, kept, networks)
    if len(best.scores) == networks or sum(map(len, kept)) == every:
      return best._replace(keep=keep)
    keep += 1


def exhaustive(
  space: SearchSpace,
  ensemble_: Ensemble,
  *,
  networks: int = NETWORKS,
  on_chunk: Callable[[int, int], object] = lambda done, total: None,
) -> Ranked:
  """The networks of the space with the best predictions: all are looked at.

  Args:
    space: of U-Nets.
    ensemble_: predictors of chains of the space; the paper's have learned
      without the ranking loss.
    networks: wanted; fewer where the space has no more.
    on_chunk: called with the number of networks looked at, and of all.

  Raises:
    ValueError: `networks` is below 1, or the space has more than a million.
  """
  _check_networks(networks)
  if space.size > modules.MOST:
    raise ValueError(
      f"space {space.name!r} has {space.size:,} networks; legal: up to "
      f"{modules.MOST:,}"
    )
  grid = np.indices(space.choices).reshape(len(space.choices), -1).T
  grid = grid.astype(np.int32)
  chunk = min(ensemble.CHUNK, len(grid))
  predicted = np.zeros(len(grid))
  for start in range(0, len(grid), chunk):
    # The last is filled up, so that nothing is compiled for it.
    rows = np.minimum(np.arange(start, start + chunk), len(grid) - 1)
    chains = unet_chains.encoded(space, jnp.asarray(grid[rows]))
    predicted[rows] = ensemble.predict(ensemble_, chains)
    on_chunk(int(rows[-1]) + 1, len(grid))
  order = np.argsort(-predicted, kind="stable")[:networks]
  return Ranked(grid[order], predicted[order])


def standardised(values: np.ndarray) -> np.ndarray:
  """Values with mean 0 and deviation 1 along the last axis; 0 if all equal."""
  spread = values.std(axis=-1, keepdims=True)
  shifted = values - values.mean(axis=-1, keepdims=True)
  # Rounding of equal values is no spread.
  has_spread = spread > 1e-12 * np.abs(values).max(axis=-1, keepdims=True)
  return np.where(has_spread, shifted / np.where(has_spread, spread, 1), 0.0)


def _check_networks(networks: int) -> None:
  if networks < 1:
    raise ValueError(f"networks is {networks!r}; legal: at least 1")


def _top(part: UNetStage, scores: np.ndarray, keep: int) -> np.ndarray:
  """Places of the best modules."""
  del part
  return np.argsort(-scores, kind="stable")[:keep]


def _top_of_sizes(part: UNetStage, scores: np.ndarray, keep: int) -> np.ndarray:
  """Places of the best modules of every size; each size keeps one at least."""
  sizes = np.unique(part.lengths)
  each, more = divmod(keep, len(sizes))
  order = np.argsort(-scores, kind="stable")
  kept = []
  for i, size in enumerate(sizes):
    count = max(1, each + (i >= len(sizes) - more))
    kept.append(order[part.lengths[order] == size][:count])
  return np.concatenate(kept)


def _fitting(
  space: SearchSpace,
  scores: Sequence[np.ndarray],
  kept: Sequence[np.ndarray],
  networks: int,
) -> Ranked:
  """The best networks of kept modules, for each choice of shared decisions."""
  listed = unet_chains.stages(space)
  unshared = {place for part in listed for place in part.decisions}
  shared = [i for i in range(len(space.decisions)) if i not in unshared]
  ranked: list[tuple[float, np.ndarray]] = []
  for choices in itertools.product(*(range(space.choices[i]) for i in shared)):
    genotype = np.zeros(len(space.decisions), np.int32)
    genotype[shared] = choices
    network = space.architecture(genotype)
    channels = {f"{n.section}{n.stage}": n.channels for n in network.nodes}
    options = []
    for part, places in zip(listed, kept, strict=True):
      width = channels[part.name]
      options.append([i for i in places if part.channels[i] == width])
    for total, chosen in _best_sums(
      [[float(s[i]) for i in o] for s, o in zip(scores, options, strict=True)],
      networks,
    ):
      built = genotype.copy()
      for part, option, i in zip(listed, options, chosen, strict=True):
        own_places = list(part.decisions)
        built[own_places] = part.genotypes[option[i], own_places]
      ranked.append((total, built))
  # A stable sort: the order of the space where scores are equal.
  best = sorted(ranked, key=lambda pair: -pair[0])[:networks]
  shape = (len(best), len(space.decisions))
  return Ranked(
    np.asarray([g for _, g in best], np.int32).reshape(shape),
    np.asarray([total for total, _ in best]),
  )


def _best_sums(
  options: Sequence[Sequence[float]], count: int
) -> list[tuple[float, tuple[int, ...]]]:
  """The largest sums of one of each, and which these are; the largest first."""
  sums: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
  for values in options:
    # The best of a sum are among the best of its part.
    longer = (
      (total + value, (*chosen, i))
      for total, chosen in sums
      for i, value in enumerate(values)
    )
    sums = sorted(longer, key=lambda pair: (-pair[0], pair[1]))[:count]
  return sums
