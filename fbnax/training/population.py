"""A population of candidates trained as one program.

Architectures enter as choice weights over the space's supernet, recipes as
numbers, so a program is compiled once for a resolution and a size of the
population, and trains any candidates.

Symbols: `P` members, `D` decisions, `N` images, `E` epochs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.layers import initialize
from fbnax.models.network import Supernet, one_hot
from fbnax.spaces.follow import smallest
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import SearchSpace
from fbnax.training import recipes, step
from fbnax.training.recipes import Settings
from fbnax.training.step import Member, Metrics, Model, TrainState


class Examples(NamedTuple):
  """Images on the device: `u8[N, H, W, C]` and labels `i32[N]`."""

  images: jax.Array
  labels: jax.Array


class PopulationResult(NamedTuple):
  """What a population's training leaves.

  Attributes:
    train_loss: mean loss of each epoch, `f32[P, E]`.
    accuracy: on the validation images after each epoch, `f32[P, E]`.
    log_loss: likewise, nats.
  """

  train_loss: np.ndarray
  accuracy: np.ndarray
  log_loss: np.ndarray


def members(
  space: SearchSpace,
  genotypes: jax.Array,
  training_recipes: Sequence[Recipe],
  seeds: Sequence[int],
) -> Member:
  """Stacked members, one per genotype `i32[P, D]`."""
  return Member(
    recipe=recipes.stack(training_recipes),
    choice=jax.vmap(functools.partial(one_hot, space))(jnp.asarray(genotypes)),
    key=jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32)),
  )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def initial(
  space: SearchSpace, num_classes: int, channels: int, member: Member
) -> TrainState:
  """The state of one member before training.

  The smallest resolution is enough to make the variables of every one.
  """
  size = smallest(int, space.table.resolution)
  module = Supernet(space, num_classes)
  images = jnp.zeros((1, size, size, channels))
  variables = initialize(module, member.key, images, member.choice, train=False)
  return step.start(variables)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def epoch(
  model: Model,
  settings: Settings,
  states: TrainState,
  population: Member,
  train: Examples,
  validation: Examples,
) -> tuple[TrainState, Metrics, Metrics]:
  """One epoch of every member, and its validation.

  Args:
    model: of the supernet.
    settings: shared.
    states: stacked over `P`.
    population: stacked over `P`.
    train: shared by all.
    validation: shared by all.

  Returns:
    States, training metrics and validation metrics, stacked over `P`.
  """

  def one(
    state: TrainState, member: Member
  ) -> tuple[TrainState, Metrics, Metrics]:
    state, trained = step.train_epoch(model, settings, state, member, *train)
    variables = step.result(state, member.recipe)
    found = step.evaluate(
      model, settings, variables, member.choice, *validation
    )
    return state, trained, found

  return jax.vmap(one)(states, population)


def train(
  space: SearchSpace,
  num_classes: int,
  settings: Settings,
  population: Member,
  train_set: Examples,
  validation_set: Examples,
  epochs: int,
  progress: Callable[[int], None] = lambda _: None,
) -> PopulationResult:
  """Trains all members for a number of epochs.

  Args:
    space: the space their choice weights are of.
    num_classes: outputs.
    settings: shared; `settings.epochs` is the schedule's length, which may be
      longer than this training.
    population: see `members`.
    train_set: images to train on.
    validation_set: images to measure on after each epoch.
    epochs: `E`.
    progress: called after each epoch with the number of members trained.

  Returns:
    The curves.
  """
  model = Model(Supernet(space, num_classes))
  count = population.key.shape[0]
  # Drawn one by one: a program that draws for one member is compiled once for
  # populations of every size.
  channels = train_set.images.shape[-1]
  each = [
    initial(space, num_classes, channels, _member(population, i))
    for i in range(count)
  ]
  states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
  curves = []
  for _ in range(epochs):
    states, trained, found = epoch(
      model, settings, states, population, train_set, validation_set
    )
    curves.append((trained.loss, found.accuracy, found.loss))
    jax.block_until_ready(found)
    progress(count)
  losses, accuracy, log_loss = (
    np.stack([np.asarray(c) for c in column], axis=1)
    for column in zip(*curves, strict=True)
  )
  return PopulationResult(losses, accuracy, log_loss)


def _member(population: Any, index: int) -> Any:
  return jax.tree.map(lambda leaf: leaf[index], population)
