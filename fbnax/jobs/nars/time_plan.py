"""Epochs that fit into `config.minutes`, from measured steps.

A few steps of the supernet's training are taken before it begins, on weights
that are thrown away: the first of each program compiles it, and the rest tell
what a step takes on this machine. The programs are those of the training, so
that nothing is compiled for the plan alone. What a run has planned it keeps:
one that is started again trains as many epochs.

The time that is left after compilation and search goes to the training that all
networks share, and a smaller part to the members.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.base.cost_kinds import COST_KINDS
from fbnax.data import Dataset
from fbnax.jobs.nars import supernet
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.supernet import PretrainedNetwork
from fbnax.jobs.runtime.estimates import FORWARD
from fbnax.jobs.runtime.training import Teacher, taught
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import Network
from fbnax.search.evaluators.shared import boxes_of
from fbnax.spaces import SearchSpace
from fbnax.training import loop, mesh, shared, step
from fbnax.training.agreeing import by_first
from fbnax.training.recipes import as_numbers
from fbnax.training.step import Member

_PLAN = f"{supernet.NAME}/plan.json"
_WARM, _APART = 12, 2  # Steps that compile; of them those that are timed.
_SHARED = 0.75  # Of the time for training, the rest being the members'.
_MOST_SHARED, _MOST_MEMBER = 30, 10  # Epochs.
_PROGRAM = 25.0  # Seconds to compile a program of the search or of a member.
_HEAD = 0.25  # Of the epochs, most in which the classifier alone moves.


class Pace(NamedTuple):
  """What a run's parts take.

  Attributes:
    spent: seconds that are behind, compilation of the supernet's programs among
      them.
    step: seconds of a step of the supernet.
    largest: seconds of a step of its largest network alone.
    steps: of an epoch of the supernet.
    member_steps: of an epoch of a member.
    search: seconds of the search, with its compilation.
  """

  spent: float
  step: float
  largest: float
  steps: int
  member_steps: int
  search: float


def epochs_within(
  minutes: float, pace: Pace, shares: tuple[float, ...]
) -> tuple[int, int]:
  """Epochs of the supernet and of each member.

  Args:
    minutes: of the whole run.
    pace: what its parts take.
    shares: of the largest network's MACs, of each member.

  Raises:
    ValueError: the minutes are too few for one epoch; what would be enough is
      told.
  """
  fixed = pace.spent + pace.search + _PROGRAM * len(shares)
  # A member's step has a forward pass of the network that teaches it.
  member = pace.largest * (sum(shares) + FORWARD * len(shares))
  shared_epoch = pace.step * pace.steps
  member_epoch = member * pace.member_steps
  left = 60 * minutes - fixed
  if left < shared_epoch:
    enough = math.ceil((fixed + shared_epoch) / 60)
    raise ValueError(
      f"config.minutes is {minutes:g}, too few for one epoch on this machine;"
      f" legal: {enough} or more, or 0 for config.shared.epochs"
    )
  most = int(_SHARED * left / shared_epoch)
  shared_epochs = min(max(most, 1), _MOST_SHARED)
  left -= shared_epochs * shared_epoch
  return shared_epochs, min(max(int(left / member_epoch), 0), _MOST_MEMBER)


def planned(
  config: NarsConfig,
  work: WorkDir,
  dataset: Dataset,
  pretrained_network: PretrainedNetwork,
  train: data.AnySplit,
  validation: data.AnySplit,
  teacher: Teacher | None,
) -> NarsConfig:
  """The config with the epochs that fit into its minutes.

  Raises:
    ValueError: see `epochs_within`.
  """
  if not config.minutes:
    return config

  def make() -> dict[str, int]:
    pace = _pace(
      config, work, dataset, pretrained_network, train, validation, teacher
    )

    def fit() -> tuple[dict[str, int], dict[str, np.ndarray]]:
      planned = within(config, pace)
      epochs = planned.shared.epochs, planned.training.epochs
      return dict(zip(("shared", "members"), epochs, strict=True)), {}

    # Each process has measured other seconds, and all must train alike.
    epochs: dict[str, int] = by_first(fit)[0]
    return epochs

  plan = work.kept(_PLAN, make)
  print(
    f"epochs that fit into {config.minutes:g} minutes: {plan['shared']} of the"
    f" supernet, {plan['members']} of each member"
  )
  return _with_epochs(config, plan["shared"], plan["members"])


def within(config: NarsConfig, pace: Pace) -> NarsConfig:
  """The config with the epochs of `epochs_within`."""
  shares = tuple(config.budgets.share)
  if not shares:  # Of other budgets what members cost is not known before.
    shares = (1.0,) * max(
      len(getattr(config.budgets, name)) for name in COST_KINDS
    )
  return _with_epochs(config, *epochs_within(config.minutes, pace, shares))


def compiling_seconds(
  space: SearchSpace, classes: int, program: float = _PROGRAM
) -> float:
  """To compile the programs of the search by shared weights.

  Args:
    space: that is searched.
    classes: of the classifier.
    program: seconds of a program that trains.
  """
  # For each box one that computes BN's statistics, and one that measures.
  return 2 * FORWARD * program * len(boxes_of(space, classes))


def search_seconds(
  config: NarsConfig, validation: int, largest: float
) -> float:
  """Of the search by shared weights, without compilation.

  Args:
    config: of the run.
    validation: images that candidates are measured on.
    largest: seconds of a training step of the largest network.
  """
  batches = (config.shared.images + validation) / config.training.batch_size
  candidates = config.search.candidates * config.search.rounds
  # Forward passes, of candidates that are half as large on average.
  return candidates * batches * FORWARD * largest / 2


def _with_epochs(config: NarsConfig, shared: int, members: int) -> NarsConfig:
  # Of few epochs the classifier alone must not have all.
  head = min(config.shared.head_epochs, _HEAD * shared)
  return dataclasses.replace(
    config,
    shared=dataclasses.replace(config.shared, epochs=shared, head_epochs=head),
    training=dataclasses.replace(config.training, epochs=members),
  )


def _pace(
  config: NarsConfig,
  work: WorkDir,
  dataset: Dataset,
  pretrained_network: PretrainedNetwork,
  train: data.AnySplit,
  validation: data.AnySplit,
  teacher: Teacher | None,
) -> Pace:
  """Takes steps of the supernet, and of its largest network alone."""
  start = time.monotonic()
  settings = supernet.training_settings(config, dataset, pretrained_network)
  _, space, architecture, _ = pretrained_network
  module = Network(architecture, dataset.num_classes)
  model = taught(module, teacher)
  sharing = supernet.sharing_of(config)
  variables = supernet.sorted_variables(config, architecture, dataset)
  member = Member(as_numbers(space.recipe_table), None, jax.random.key(0))
  batch = min(settings.batch_size, len(train))
  images = loop.first_batch(settings, train, batch)
  settings = loop.step_settings(settings, train)
  steps = step.steps_per_epoch(len(train), settings)
  # Over all of the training, in which a strategy may change.
  places = np.linspace(0, settings.epochs * steps - 1, _WARM).astype(int)
  state = step.start(jax.tree.map(jnp.array, variables))
  weights = None if teacher is None else teacher.variables
  state, member, weights = mesh.put(settings.mesh, (state, member, weights))

  def seconds(take: loop.TakeStep, places: np.ndarray) -> list[float]:
    nonlocal state
    times = []
    for at in places.tolist():
      begin = time.monotonic()
      state, metrics = take(settings, steps, at, state, member, images, weights)
      jax.block_until_ready((state, metrics))
      times.append(time.monotonic() - begin)
    return times

  everyone = shared.step_of(model, space, sharing, settings, config.seed)
  seconds(everyone, places)
  # Progressive without random networks is the largest one by itself.
  single = dataclasses.replace(sharing, strategy="progressive", subnets=0)
  alone = shared.step_of(model, space, single, settings, config.seed)
  # Places whose programs are there.
  pace = seconds(everyone, places[::_APART])
  largest = seconds(alone, places[::_APART])
  largest_step = float(np.median(largest))
  return Pace(
    spent=sum(work.times().values()) + time.monotonic() - start,
    step=float(np.mean(pace)),
    largest=largest_step,
    steps=steps,
    member_steps=step.steps_per_epoch(len(dataset.train), settings),
    search=search_seconds(config, len(validation), largest_step)
    + compiling_seconds(space, dataset.num_classes),
  )
