"""The searches of the job `autobuild`: of reduced spaces and of the whole one.

AutoBuild-NAS knows the best modules by every label; Stage-Full may take any
module of a stage, Layer-Full changes one layer (Mills et al. 2024, section
5.1). All are the same evolution with as many evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.jobs.autobuild.config import ModuleSearchKeys
from fbnax.jobs.autobuild.result import SearchedNetworks, UnbeatenNetwork
from fbnax.search.autobuild import construction, modules
from fbnax.search.evolution.multi_objective import (
  Objectives,
  Variation,
  change_layer,
  evolve_front,
  swap_groups,
)
from fbnax.search.pareto import pareto_front
from fbnax.spaces import SearchSpace

Groups = list[tuple[tuple[int, ...], np.ndarray]]


class Method(NamedTuple):
  """A search.

  Attributes:
    name: of it.
    groups: positions and choices that first populations are drawn from.
    vary: how children differ.
    size: networks that it can reach.
  """

  name: str
  groups: Groups
  vary: Variation
  size: float


def methods(
  space: SearchSpace, scores: Sequence[Sequence[np.ndarray]], top: int
) -> list[Method]:
  """AutoBuild-NAS, Stage-Full and Layer-Full.

  Args:
    space: the whole space.
    scores: of all modules, by each label.
    top: modules that are kept of every stage for each label.
  """
  joined = construction.best(space, scores, top)
  position = {d.name: i for i, d in enumerate(space.decisions)}
  reduced: Groups = [
    (tuple(position[n] for n in group.decisions), group.choices)
    for group in joined.groups.values()
  ]
  whole: Groups = [(s.decisions, s.modules) for s in modules.stages(space)]
  taken = {p for places, _ in whole for p in places}
  others: Groups = [
    ((p,), np.arange(count)[:, None])
    for p, count in enumerate(space.choices)
    if p not in taken
  ]
  count = len(space.decisions)
  return [
    # Exact: the whole space has more networks than 64 bits can count.
    Method(name, groups, vary, float(math.prod(len(c) for _, c in groups)))
    for name, groups, vary in (
      ("autobuild", reduced + others, swap_groups(reduced + others, count)),
      ("stage", whole + others, swap_groups(whole + others, count)),
      ("layer", whole + others, change_layer(space)),
    )
  ]


def search(
  method: Method,
  space: SearchSpace,
  key: jax.Array,
  objectives: Objectives,
  keys: ModuleSearchKeys,
  seed: int,
  advance: Callable[..., None],
) -> SearchedNetworks:
  """One search: all that it evaluated, in order, and its front by cost."""
  first_key, key = jax.random.split(key)
  first = _drawn(method, first_key, keys.first)
  searched = evolve_front(
    key,
    objectives,
    method.vary,
    first,
    rounds=keys.rounds,
    children=keys.children,
  )
  points = np.asarray(searched.objectives, np.float64)
  advance(1, method=method.name)
  genotypes = np.asarray(space.canonical(searched.genotypes))
  front = np.flatnonzero(np.asarray(pareto_front(jnp.asarray(points))))
  return SearchedNetworks(
    method=method.name,
    seed=seed,
    size=method.size,
    points=tuple((-float(a), float(c)) for a, c in points),
    genotypes=tuple(map(tuple, genotypes.tolist())),
    front=tuple(
      UnbeatenNetwork(
        -float(points[i, 0]),
        float(points[i, 1]),
        tuple(genotypes[i].tolist()),
        space.architecture(genotypes[i]),
      )
      for i in front[np.argsort(points[front, 1])]
    ),
  )


def _drawn(method: Method, key: jax.Array, count: int) -> jax.Array:
  """Random networks of a method's space, `i32[count, D]`."""
  width = 1 + max(p for places, _ in method.groups for p in places)
  genotypes = jnp.zeros((count, width), jnp.int32)
  for i, (places, choices) in enumerate(method.groups):
    rows = jax.random.randint(
      jax.random.fold_in(key, i), (count,), 0, len(choices)
    )
    drawn = jnp.asarray(choices)[rows]
    genotypes = genotypes.at[:, jnp.asarray(places)].set(drawn)
  return genotypes
