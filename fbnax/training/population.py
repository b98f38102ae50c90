"""A population of candidates trained as one program.

Architectures enter as choice weights over the space's supernet, recipes as
numbers, so a program is compiled once for a resolution and a size of the
population, and trains any candidates.

Symbols: `P` members, `D` decisions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.hurry import jit_once
from fbnax.models.initial import initialize
from fbnax.models.network import Supernet, narrow
from fbnax.spaces.follow import smallest
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import SearchSpace
from fbnax.training import programs, recipes, step
from fbnax.training.step import Member, TrainState


def members(
  space: SearchSpace,
  genotypes: Any,
  training_recipes: Sequence[Recipe],
  seeds: Sequence[int],
) -> Member:
  """Members of a population, stacked.

  Args:
    space: the space.
    genotypes: `i32[P, D]`.
    training_recipes: one for each.
    seeds: of all that is random in each one's training.

  Returns:
    A member with a leading axis `P` in each array.
  """
  return Member(
    recipe=recipes.stack(training_recipes),
    choice=choices(space, genotypes),
    key=jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32)),
  )


def choices(space: SearchSpace, genotypes: Any) -> tuple[jax.Array, ...]:
  """Choice weights of genotypes `i32[P, D]`: `f32[P, choices]` per decision."""
  rows, kind = np.asarray(genotypes), jnp.result_type(float)
  return jax.device_put(
    tuple(
      np.eye(count, dtype=kind)[rows[:, i]]
      for i, count in enumerate(space.choices)
    )
  )


def initial(
  space: SearchSpace,
  num_classes: int,
  channels: int,
  population: Member,
  part: SearchSpace | None = None,
) -> TrainState:
  """The states of all members before training, stacked over `P`.

  Each is drawn by itself, with a program that is compiled once for populations
  of every size.

  Args:
    space: the space.
    num_classes: outputs.
    channels: of the images.
    population: see `members`.
    part: of the space, whose supernet is to be trained; the weights are those
      that the members have in the space's. None for all of it.
  """
  each = [
    _initial(space, num_classes, channels, pick(population, i))
    for i in range(population.key.shape[0])
  ]
  # Cut and stacked on the host, where that needs no program.
  if part is None:
    return jax.device_put(_stacked(jax.device_get(each)))
  cut = [narrow(part, jax.device_get(state.variables)) for state in each]
  return programs.start(_stacked(cut))


def _stacked(each: Sequence[Any]) -> Any:
  """Trees of arrays of the host, as one."""
  return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def pick(population: Any, index: int) -> Any:
  """One member, or one member's state, of a stacked tree."""
  return jax.tree.map(lambda leaf: leaf[index], population)


@functools.partial(jit_once, static_argnums=(0, 1, 2))
def _initial(
  space: SearchSpace, num_classes: int, channels: int, member: Member
) -> TrainState:
  # Variables do not depend on the resolution, so the smallest will do.
  size = smallest(int, space.table.resolution)
  images = jnp.zeros((1, size, size, channels))
  variables = initialize(
    Supernet(space, num_classes),
    jax.random.fold_in(member.key, 2**31 - 2),
    images,
    member.choice,
    train=False,
  )
  return step.start(variables)
