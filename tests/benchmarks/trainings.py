"""Candidates' trainings: each alone, under masks, in groups; timed."""

from __future__ import annotations

import dataclasses
import statistics
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.search.evaluators import Candidate, Evaluator, grouping
from fbnax.search.evaluators.local import planned, trainer
from fbnax.spaces import SearchSpace
from fbnax.training import loop, recipes, step
from fbnax.training.model import Model
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

CLASSES = 10
COMPARED = 4  # Candidates that are trained as networks of their own.
EPOCHS = 3  # That are trained; all but the first are timed.


class Shape(NamedTuple):
  """Images, and the training that is told.

  Attributes:
    side: pixels.
    channels: of the images.
    timed: images in an epoch here.
    images: in an epoch that is told.
    epochs: that are told.
  """

  side: int
  channels: int
  timed: int
  images: int
  epochs: int


SHAPES = {
  "digits": Shape(8, 1, 512, 1078, 12),
  "cifar10": Shape(32, 3, 256, 45_000, 20),
}


def feed(shape: Shape, count: int, seed: int) -> loop.Examples:
  """Random images and labels."""
  random = np.random.default_rng(seed)
  size = (count, shape.side, shape.side, shape.channels)
  return loop.Examples(
    jnp.asarray(random.integers(0, 256, size, np.uint8)),
    jnp.asarray(random.integers(0, CLASSES, count), jnp.int32),
  )


def searched(shape: Shape) -> SearchSpace:
  """The space `small` for images of a shape."""
  space = spaces.get("small").fix(resolution=shape.side)
  table = dataclasses.replace(space.table, input_channels=shape.channels)
  return dataclasses.replace(space, table=table)


def settings(shape: Shape, epochs: int = EPOCHS) -> Settings:
  """How all are trained."""
  return Settings(
    epochs=epochs,
    batch_size=64,
    resolution=shape.side,
    mean=(0.5,) * shape.channels,
    std=(0.25,) * shape.channels,
  )


class Trained(NamedTuple):
  """Trainings of a kind, a candidate at a time.

  Attributes:
    epochs: seconds of each epoch that was timed, of one candidate.
    start: seconds before its first epoch.
    compilation: seconds that all of them waited for programs.
    losses: log-loss at the end by candidate.
  """

  epochs: list[float]
  start: float
  compilation: float
  losses: dict[int, float]

  def seconds(self, shape: Shape) -> float:
    """Of the training that is told."""
    epoch = statistics.median(self.epochs) * shape.images / shape.timed
    return self.start + shape.epochs * epoch


def alone(
  space: SearchSpace, shape: Shape, candidate: Candidate, train: loop.Examples
) -> Trained:
  """A candidate's training as a network of its own size."""
  genotype = np.asarray(candidate.genotype)
  network = models.Network(space.architecture(genotype), CLASSES)
  member = step.Member(
    recipe=recipes.as_numbers(space.recipe(genotype)),
    choice=None,
    key=jax.random.key(candidate.seed),
  )
  images = jnp.zeros((1, shape.side, shape.side, shape.channels))
  validation = feed(shape, 64, 1)
  initialize = jax.jit(
    lambda key: models.initialize(network, key, images, train=False)
  )

  def fit() -> list[float]:
    moments = [time.perf_counter()]
    loop.fit(
      Model(network),
      settings(shape),
      step.start(initialize(jax.random.key(0))),
      member,
      train,
      epochs=EPOCHS,
      validation=validation,
      on_epoch=lambda *_: moments.append(time.perf_counter()),
    )
    return np.diff(moments).tolist()

  compiling, (first, *epochs) = fit(), fit()
  middle = statistics.median(epochs)
  return Trained(
    epochs, max(first - middle, 0.0), max(compiling[0] - first, 0.0), {}
  )


def together(
  space: SearchSpace,
  shape: Shape,
  candidates: list[Candidate],
  train: loop.Examples,
  size: int,
) -> Trained:
  """Trains candidates in populations of a size."""
  evaluate = _evaluator(space, shape, train, size)
  # Others than those that are timed, for which nothing may be compiled.
  strangers = np.asarray(space.sample(jax.random.key(9), size))
  first = [
    Candidate(-1 - i, tuple(g.tolist()), i) for i, g in enumerate(strangers)
  ]
  compiling = _moments(evaluate, first)[0][0][0]
  with measuring.counted_programs() as programs:
    parts, losses = _moments(evaluate, candidates)
  assert not programs, f"{len(programs)} programs for other candidates"
  epochs = [seconds / size for part in parts for seconds in part[1:]]
  start = statistics.median(part[0] for part in parts)
  middle = statistics.median(epochs)
  return Trained(
    epochs, max(start / size - middle, 0.0), max(compiling - start, 0.0), losses
  )


def plan(shape: Shape) -> grouping.Grouping:
  """Groups for the training that is told, not for the few epochs here."""
  planned = grouping.by_size(COMPARED, CLASSES, shape.images)
  return lambda space, candidates, _: planned(space, candidates, shape.epochs)


def in_groups(
  space: SearchSpace,
  shape: Shape,
  candidates: list[Candidate],
  train: loop.Examples,
) -> Trained:
  """Trains candidates in groups, as a search on a CPU does.

  What compilation each of them waits for is in its start.
  """
  evaluate = _evaluator(space, shape, train, COMPARED, plan(shape))
  parts, losses = _moments(evaluate, candidates)
  count = len(candidates)
  each = [sum(seconds) / count for seconds in zip(*parts, strict=True)]
  first, *epochs = each
  start = max(first - statistics.median(epochs), 0.0)
  return Trained(epochs, start, start * count, losses)


def _evaluator(
  space: SearchSpace,
  shape: Shape,
  train: loop.Examples,
  size: int,
  plan: grouping.Grouping | None = None,
) -> Evaluator:
  trained = trainer(
    space,
    CLASSES,
    shape.channels,
    lambda _: settings(shape),
    train,
    feed(shape, 64, 1),
  )
  return planned(space, trained, plan or grouping.by_masks(size))


def _moments(
  evaluate: Evaluator, candidates: list[Candidate]
) -> tuple[list[list[float]], dict[int, float]]:
  """Seconds of each epoch of each population, and losses by candidate."""
  parts, losses = [], {}
  moments = [time.perf_counter()]
  progress = lambda _: moments.append(time.perf_counter())  # noqa: E731
  for outcomes in evaluate(candidates, EPOCHS, progress):
    parts.append(np.diff(moments).tolist())
    moments[:] = [time.perf_counter()]
    for outcome in outcomes:
      assert outcome.error is None, outcome
      losses[outcome.id] = outcome.log_loss
  return parts, losses
