"""AutoBuild's modules: what a stage can be, and what it is worth.

Mills et al. 2024, sections 3.1, 4.2 and 5.1. A module is a joint choice of a
stage's decisions, a chain of 1 to N layers. A fitted graph predictor is run on
the chain alone; the norm of its last node at the hop at which that node has
heard of the whole chain is the module's score, shifted so that modules of
different lengths can be compared (equation 5):

  score = (norm - mean_h) / std_h * std_y(stage, length) + mean_y(stage, length)

with the norms of all nodes of the training set at that hop, and the labels of
its networks whose stage has that length.

Symbols: `M` modules of a stage, `d` decisions of it, `D` decisions, `n`
networks, `S` seeds, `H` hops, `L` largest length.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.costs.latency_keys import made_of_blocks
from fbnax.search.autobuild.chains import Chains, Encoding, encoding
from fbnax.search.autobuild.graph_fit import FittedGraph, evaluate
from fbnax.spaces import SearchSpace
from fbnax.spaces.follow import decisions_of
from fbnax.spaces.tables import open_fields

MOST = 1_000_000  # Modules of a stage that are still listed.


class Stage(NamedTuple):
  """A stage and all of its modules.

  Attributes:
    name: `stage3`, or `stage5+6` where stages are merged.
    blocks: its nodes, of 0 to N - 1 of the encoding.
    decisions: positions of its decisions in the space, `[d]`.
    modules: their joint choices, canonical, `i32[M, d]`.
    lengths: layers of each module, `i32[M]`.
  """

  name: str
  blocks: tuple[int, ...]
  decisions: tuple[int, ...]
  modules: np.ndarray
  lengths: np.ndarray


class Moments(NamedTuple):
  """What scores are shifted by (section 7.3).

  Attributes:
    norm_mean: of the nodes at every hop, `f64[S, H + 1]`.
    norm_deviation: likewise.
    label_mean: of networks by stage and its length, NaN where there is none,
      `f64[stages, L + 1]`.
    label_deviation: likewise.
    networks: how many there are, `i64[stages, L + 1]`.
    mean: of all labels.
    deviation: of all labels.
  """

  norm_mean: np.ndarray
  norm_deviation: np.ndarray
  label_mean: np.ndarray
  label_deviation: np.ndarray
  networks: np.ndarray
  mean: float
  deviation: float


@functools.lru_cache(maxsize=8)
def stages(
  space: SearchSpace, merge: tuple[tuple[int, ...], ...] | None = None
) -> tuple[Stage, ...]:
  """The stages of a space that have decisions of their own.

  Args:
    space: the space.
    merge: numbers of stages that count as one; None merges a last stage that
      always has one layer with the one before it, as the paper does with
      ProxylessNAS's stages 5 and 6.

  Raises:
    ValueError: a decision is shared by two stages, or a stage has more than
      a million joint choices; which.
  """
  encoder = encoding(space)
  numbers = list(dict.fromkeys(encoder.stages))
  sizes = {n: encoder.stages.count(n) for n in numbers}
  if merge is None:
    alone = len(numbers) > 1 and sizes[numbers[-1]] == 1
    merge = (tuple(numbers[-2:]),) if alone else ()
  merged = {n: group for group in merge for n in group}
  groups = dict.fromkeys(merged.get(n, (n,)) for n in numbers)
  position = {d.name: i for i, d in enumerate(space.decisions)}
  owner: dict[int, str] = {}
  plans = []
  for group in groups:
    name = "stage" + "+".join(map(str, group))
    blocks = tuple(i for i, s in enumerate(encoder.stages) if s in group)
    rows = [
      made_of_blocks(space.table).blocks[encoder.blocks[i]] for i in blocks
    ]
    names = dict.fromkeys(
      itertools.chain(*(decisions_of(*open_fields(b)) for b in rows))
    )
    decisions = tuple(sorted(position[n] for n in names))
    for place in decisions:
      if place in owner:
        raise ValueError(
          f"decision {space.decisions[place].name!r} of space {space.name!r} "
          f"is shared by {owner[place]} and {name}; legal: stages with "
          "decisions of their own"
        )
      owner[place] = name
    plans.append((name, blocks, decisions))
  return tuple(_stage(space, encoder, *plan) for plan in plans)


def _stage(
  space: SearchSpace,
  encoder: Encoding,
  name: str,
  blocks: tuple[int, ...],
  decisions: tuple[int, ...],
) -> Stage:
  counts = [space.choices[i] for i in decisions]
  if math.prod(counts) > MOST:
    raise ValueError(
      f"{name} of space {space.name!r} has {math.prod(counts):,} joint "
      f"choices; legal: up to {MOST:,}, fix some of its decisions"
    )
  grid = np.indices(counts).reshape(len(counts), -1).T
  genotypes = np.zeros((len(grid), len(space.decisions)), np.int32)
  genotypes[:, decisions] = grid
  canonical = np.asarray(jax.jit(space.canonical)(jnp.asarray(genotypes)))
  modules = np.unique(canonical[:, decisions], axis=0)
  present = np.asarray(
    encoder.present(jnp.asarray(placed(space, decisions, modules)))
  )
  lengths = present[:, list(blocks)].sum(axis=1)
  # A stage that is empty is no chain.
  there = lengths > 0
  return Stage(name, blocks, decisions, modules[there], lengths[there])


def moments(
  model: FittedGraph, space: SearchSpace, genotypes: Any, labels: Any
) -> Moments:
  """What scores are shifted by, of the networks that were learned from.

  Args:
    model: the fitted predictor.
    space: the space.
    genotypes: `i32[n, D]`.
    labels: `[n]`.
  """
  encoder = encoding(space)
  genotypes = jnp.asarray(genotypes, jnp.int32)
  chains = jax.jit(encoder.encode)(genotypes)
  nodes = np.asarray(evaluate(model, chains).nodes, np.float64)
  lengths = np.asarray(chains.lengths)
  there = np.arange(nodes.shape[2])[:, None] < lengths
  norms = nodes[:, :, there]
  present = np.asarray(encoder.present(genotypes))
  labels = np.asarray(labels, np.float64)
  listed = stages(space)
  most = max(len(s.blocks) for s in listed)
  mean = np.full((len(listed), most + 1), np.nan)
  deviation, networks = mean.copy(), np.zeros(mean.shape, int)
  for i, stage in enumerate(listed):
    found_lengths = present[:, list(stage.blocks)].sum(axis=1)
    for length in range(most + 1):
      of_length = labels[found_lengths == length]
      networks[i, length] = len(of_length)
      if len(of_length):
        mean[i, length] = of_length.mean()
        deviation[i, length] = of_length.std()
  return Moments(
    norms.mean(axis=2),
    norms.std(axis=2),
    mean,
    deviation,
    networks,
    float(labels.mean()),
    float(labels.std()),
  )


def unseen(space: SearchSpace, shifts: Moments) -> list[tuple[str, int]]:
  """Stages and lengths of which no network was learned from.

  Scores of such modules are shifted by the mean and deviation of all labels.
  """
  return [
    (stage.name, int(length))
    for i, stage in enumerate(stages(space))
    for length in np.unique(stage.lengths)
    if not shifts.networks[i, length]
  ]


def scores(
  model: FittedGraph,
  space: SearchSpace,
  shifts: Moments,
  resolution: int | None = None,
) -> list[np.ndarray]:
  """Scores of all modules of every stage, means over the seeds, `f64[M]` each.

  Args:
    model: the fitted predictor.
    space: the space.
    shifts: what to shift by.
    resolution: choice of the resolution, where it is searched; None for the
      middle one.
  """
  start = np.zeros(len(space.decisions), np.int32)
  for i, decision in enumerate(space.decisions):
    if decision.name == "resolution":
      middle = (len(decision.values) - 1) // 2
      start[i] = middle if resolution is None else resolution
  result = []
  for i, stage in enumerate(stages(space)):
    genotypes = jnp.asarray(
      placed(space, stage.decisions, stage.modules, start)
    )
    chains = _encoded(space, genotypes, stage.blocks)
    norms = np.asarray(last_norms(model, chains), np.float64)
    hops = np.minimum(stage.lengths - 1, shifts.norm_mean.shape[1] - 1)
    spread = shifts.norm_deviation[:, hops]
    normal = (norms - shifts.norm_mean[:, hops]) / np.where(
      spread > 0, spread, 1
    )
    mean = shifts.label_mean[i, stage.lengths]
    deviation = shifts.label_deviation[i, stage.lengths]
    seen = np.isfinite(mean)
    mean = np.where(seen, mean, shifts.mean)
    deviation = np.where(seen, deviation, shifts.deviation)
    result.append((normal * deviation + mean).mean(axis=0))
  return result


@functools.partial(jax.jit, static_argnames=("space", "blocks"))
def _encoded(
  space: SearchSpace, genotypes: jax.Array, blocks: tuple[int, ...]
) -> Chains:
  """A stage's layers alone."""
  return encoding(space).encode(genotypes, blocks)


@jax.jit
def last_norms(model: FittedGraph, chains: Chains) -> jax.Array:
  """Norms of the last nodes at the hop of their chains, `f32[S, M]`.

  One program for all stages whose modules are as many and as long.
  """
  nodes = evaluate(model, chains).nodes
  last = chains.lengths - 1
  hop = jnp.minimum(last, nodes.shape[1] - 1)
  return nodes[:, hop, last, jnp.arange(len(last))]


def importance(
  model: FittedGraph, space: SearchSpace
) -> list[tuple[str, tuple[Any, ...], np.ndarray]]:
  """What the feature-embedding MLP gives every value of every feature.

  Returns:
    For each feature its name, its values, and for each value the mean over the
    seeds of its scalar at hop 0 (section 7.6), `f64[values]`.
  """
  encoder = encoding(space)

  def matrix(variables: Any) -> tuple[jax.Array, jax.Array]:
    bound = model.module.bind(variables)
    result: tuple[jax.Array, jax.Array] = bound.feature_matrix()
    return result

  found_matrix = jax.vmap(matrix)(model.variables)
  weights, offsets = (np.asarray(m, np.float64) for m in found_matrix)
  rows, column = [], 0
  for i, feature in enumerate(encoder.features):
    count = len(feature.values)
    scalars = weights[:, i, column : column + count] + offsets[:, i, None]
    rows.append((feature.name, feature.values, np.abs(scalars).mean(axis=0)))
    column += count
  if encoder.resolutions:
    scaled = encoder.scaled(np.asarray(encoder.resolutions, np.float64))
    scalars = weights[:, -1, -1:] * scaled + offsets[:, -1, None]
    rows.append(
      ("resolution", encoder.resolutions, np.abs(scalars).mean(axis=0))
    )
  return rows


def placed(
  space: SearchSpace,
  decisions: Sequence[int],
  modules: np.ndarray,
  start: np.ndarray | None = None,
) -> np.ndarray:
  """Genotypes with the modules' choices, elsewhere those of `start` or 0."""
  if start is None:
    start = np.zeros(len(space.decisions), np.int32)
  genotypes = np.tile(start, (len(modules), 1))
  genotypes[:, list(decisions)] = modules
  return genotypes
