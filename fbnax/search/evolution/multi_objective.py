"""Searches for whole fronts: NSGA-II on populations of genotypes, as a program.

Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm": parents
win tournaments by rank (the front they are on once those before it are taken
away), then by crowding distance; of parents and children together the first
ranks survive. The search of AutoBuild (Mills et al. 2024, section 7.5) has 50
random networks and four rounds of 50 children; its children are mutations of
one kind: `swap_groups` puts another choice in the place of a stage, `change`
another layer.

Symbols: `n` candidates, `k` objectives, `P` population, `D` decisions, `G`
groups, `M` choices of a group, `E` evaluations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.spaces import SearchSpace

# Children of parents `i32[n, D]`, one each; and what is to be small of
# genotypes, `f32[n, k]`.
Variation = Callable[[jax.Array, jax.Array], jax.Array]
Objectives = Callable[[jax.Array], jax.Array]


class Evaluations(NamedTuple):
  """All that a search evaluated, in order.

  Attributes:
    genotypes: `i32[E, D]`.
    objectives: `f32[E, k]`.
  """

  genotypes: jax.Array
  objectives: jax.Array


def ranks(objectives: jax.Array) -> jax.Array:
  """Fronts by number: 0 for those that none dominates.

  Then 1 for those that none of the rest dominates, and so on. A candidate with
  a NaN dominates none and has the last rank, `n`.

  Args:
    objectives: to be small, `f32[n, k]`.

  Returns:
    `i32[n]`.
  """
  count = len(objectives)
  no_worse = (objectives[:, None] <= objectives[None]).all(axis=-1)
  better = (objectives[:, None] < objectives[None]).any(axis=-1)
  dominates = no_worse & better
  defined = ~jnp.isnan(objectives).any(axis=-1)

  def peel(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    fronts, level = carry
    left = (fronts == count) & defined
    dominated = (dominates & left[:, None]).any(axis=0)
    return jnp.where(left & ~dominated, level, fronts), level + 1

  fronts, _ = jax.lax.while_loop(
    lambda carry: ((carry[0] == count) & defined).any(),
    peel,
    (jnp.full(count, count, jnp.int32), jnp.int32(0)),
  )
  return fronts


def crowding(objectives: jax.Array, rank: jax.Array) -> jax.Array:
  """How alone each candidate is among those of its rank, `f32[n]`.

  The sum over the objectives of the distance between the two neighbours, in
  parts of the range of the rank; infinite at both ends of it.

  Args:
    objectives: `f32[n, k]`.
    rank: `i32[n]`.
  """
  total = jnp.zeros(len(objectives))
  for values in objectives.T:
    order = jnp.lexsort((values, rank))
    sorted_, of = values[order], rank[order]
    inner = (of[1:-1] == of[:-2]) & (of[1:-1] == of[2:])
    low = jax.ops.segment_min(values, rank, len(rank) + 1)[of]
    high = jax.ops.segment_max(values, rank, len(rank) + 1)[of]
    range_ = jnp.where(high > low, high - low, 1.0)[1:-1]
    gap = jnp.where(inner, (sorted_[2:] - sorted_[:-2]) / range_, jnp.inf)
    gaps = jnp.pad(gap, 1, constant_values=jnp.inf)
    total = total.at[order].add(gaps)
  return total


def swap_groups(
  groups: Sequence[tuple[Sequence[int], np.ndarray]], decisions: int
) -> Variation:
  """Mutation: one group, chosen at random, takes another of its choices.

  Args:
    groups: for each its positions and its joint choices `i32[M, d]`; groups
      with one choice are left out.
    decisions: `D`.

  Raises:
    ValueError: no group has a choice.
  """
  free = [(tuple(p), np.asarray(c)) for p, c in groups if len(c) > 1]
  if not free:
    raise ValueError("no group has two choices; legal: one at least")
  widest = max(len(p) for p, _ in free)
  # Padded with the position `decisions`, which is cut off again.
  places = np.full((len(free), widest), decisions)
  starts = np.cumsum([0, *(len(c) for _, c in free)])
  rows = np.zeros((starts[-1], widest), np.int32)
  for i, (positions, choices) in enumerate(free):
    places[i, : len(positions)] = positions
    rows[starts[i] : starts[i + 1], : len(positions)] = choices
  counts = np.diff(starts)

  def vary(key: jax.Array, parents: jax.Array) -> jax.Array:
    group_key, choice_key = jax.random.split(key)
    number = len(parents)
    group = jax.random.randint(group_key, (number,), 0, len(free))
    # The parent's own choice is left out: the draw starts behind it.
    padded = jnp.pad(parents, ((0, 0), (0, 1)))
    where = jnp.asarray(places)[group]
    current = jnp.take_along_axis(padded, where, axis=1)
    current = jnp.where(where < decisions, current, 0)
    first, count = jnp.asarray(starts)[group], jnp.asarray(counts)[group]
    draw = jax.random.randint(choice_key, (number,), 0, count)
    chosen = jnp.asarray(rows)[first + draw]
    same = (chosen == current).all(axis=1)
    after = jnp.asarray(rows)[first + (draw + 1) % count]
    chosen = jnp.where(same[:, None], after, chosen)
    lines = jnp.arange(number)[:, None]
    return padded.at[lines, where].set(chosen)[:, :decisions]

  return vary


def change_layer(space: SearchSpace) -> Variation:
  """Mutation: one decision, chosen at random, takes another of its values.

  A layer that a stage gains is a random one.
  """
  choices = np.asarray(space.choices)
  free = np.flatnonzero(choices > 1)

  def vary(key: jax.Array, parents: jax.Array) -> jax.Array:
    place_key, value_key, fill_key = jax.random.split(key, 3)
    number = len(parents)
    # What means nothing is random, so that what comes into being is.
    random = jax.random.randint(fill_key, parents.shape, 0, choices)
    filled = jnp.where(space.active(parents), parents, random)
    # Only decisions that mean something to the parent are worth a change.
    draw = jax.random.uniform(place_key, parents.shape)
    draw = jnp.where(space.active(parents) & (choices > 1), draw, -1.0)
    place = draw.argmax(axis=1)
    count = jnp.asarray(choices)[place]
    step = jax.random.randint(value_key, (number,), 1, jnp.maximum(count, 2))
    lines = jnp.arange(number)
    changed = filled.at[lines, place].set((filled[lines, place] + step) % count)
    return space.canonical(changed)

  if not len(free):
    raise ValueError(f"space {space.name!r} decides about nothing")
  return vary


@functools.partial(
  jax.jit, static_argnames=("objectives", "vary", "rounds", "children")
)
def evolve_front(
  key: jax.Array,
  objectives: Objectives,
  vary: Variation,
  first: jax.Array,
  *,
  rounds: int = 4,
  children: int = 50,
) -> Evaluations:
  """Evolves a population towards the front.

  Args:
    key: typed key.
    objectives: what is to be small, of genotypes.
    vary: makes children of parents.
    first: the first population, `i32[P, D]`.
    rounds: of children.
    children: of a round.

  Returns:
    `P + rounds * children` evaluations.
  """
  size = len(first)
  values = objectives(first)

  def one_round(carry: Any, key: jax.Array) -> tuple[Any, Evaluations]:
    genotypes, values = carry
    parent_key, child_key = jax.random.split(key)
    rank = ranks(values)
    alone = crowding(values, rank)
    # Places in the order of rank, then of crowding: the smaller one wins.
    order = jnp.lexsort((-alone, rank))
    place = jnp.zeros(size, jnp.int32).at[order].set(jnp.arange(size))
    pairs = jax.random.randint(parent_key, (children, 2), 0, size)
    winner = place[pairs].argmin(axis=1)
    parents = genotypes[pairs[jnp.arange(children), winner]]
    born = vary(child_key, parents)
    born_values = objectives(born)
    every = jnp.concatenate([genotypes, born])
    every_values = jnp.concatenate([values, born_values])
    # A genotype that is there already takes no second place.
    twice = _repeated(every)
    rank = jnp.where(twice, len(every), ranks(every_values))
    order = jnp.lexsort((-crowding(every_values, rank), rank))[:size]
    return (every[order], every_values[order]), Evaluations(born, born_values)

  keys = jax.random.split(key, rounds)
  _, later = jax.lax.scan(one_round, (first, values), keys)
  flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), later)
  return Evaluations(
    jnp.concatenate([first, flat.genotypes]),
    jnp.concatenate([values, flat.objectives]),
  )


def _repeated(genotypes: jax.Array) -> jax.Array:
  """Whether an earlier row is the same, `bool[n]`."""
  same = (genotypes[:, None] == genotypes[None]).all(axis=-1)
  return jnp.tril(same, -1).any(axis=1)
