"""Candidates trained per hour, in a population and one by one.

  python -m tests.benchmarks.population [shapes ...] [--json=FILE] [--quick]

The space `small` with its recipes, on images of the shapes of `digits` (8
pixels, grey) and of `cifar10` (32 pixels, colours), through the evaluator that
a search has: populations of 1, 4 and 16, on an accelerator of 64 as well. One
by one is each candidate as a network of its own size, which is compiled for
itself; that is the peer, with and without its compilation. An hour's candidates
are told for trainings of so many epochs of so many images; they are scaled from
fewer of both.

A new program for another candidate fails, and so does a member whose loss is
another than in a population of one.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, models, spaces
from fbnax.search.evaluators import Candidate, by_training
from fbnax.spaces import SearchSpace
from fbnax.training import loop, recipes, step
from fbnax.training.model import Model
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

CLASSES = 10
SIZES, ACCELERATED = (1, 4, 16), (1, 4, 16, 64)
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
  evaluate = by_training(
    space,
    CLASSES,
    shape.channels,
    lambda _: settings(shape),
    train,
    feed(shape, 64, 1),
    size,
  )
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


def _moments(
  evaluate: Any, candidates: list[Candidate]
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


def measure(name: str, shape: Shape, sizes: Any) -> Iterator[measuring.Row]:
  """All sizes of populations on one shape of images."""
  space = searched(shape)
  genotypes = np.asarray(space.sample(jax.random.key(0), max(sizes)))
  candidates = [
    Candidate(i, tuple(g.tolist()), i) for i, g in enumerate(genotypes)
  ]
  train = feed(shape, shape.timed, 0)
  singles = [alone(space, shape, c, train) for c in candidates[:COMPARED]]
  compiled = statistics.mean(s.compilation for s in singles)
  trained = statistics.mean(s.seconds(shape) for s in singles)
  what = f"`small`, {name} shapes"
  told = f"{shape.epochs} epochs of {shape.images:,} images"
  losses: dict[int, float] = {}
  rates = {}
  for size in sizes:
    chosen = candidates[: max(size, COMPARED)]
    found = together(space, shape, chosen, train, size)
    # Every population has the same answer for the same candidate.
    for key, loss in found.losses.items():
      expected = losses.setdefault(key, loss)
      np.testing.assert_allclose(loss, expected, rtol=2e-3, atol=2e-3)
    rates[size] = 3600 / found.seconds(shape)
    yield measuring.Row(
      f"{what}: candidates trained, population of {size}",
      rates[size],
      "candidates/h",
      peer="one by one, each compiled",
      peer_value=3600 / (trained + compiled),
      notes=f"{told}; {found.compilation:.0f} s of compilation once, "
      f"{compiled:.0f} s for each alone",
      main=True,
      details=found._asdict(),
    )
    if size == COMPARED:
      low, middle, high = np.quantile(found.epochs, (0.25, 0.5, 0.75))
      yield measuring.Row(
        f"{what}: an epoch of {shape.timed} images, population of {size}",
        float(middle),
        "s",
        float(low),
        float(high),
        peer="as a network of its own size",
        peer_value=statistics.mean(
          statistics.median(s.epochs) for s in singles
        ),
        notes=f"for each of {COMPARED} candidates",
        main=True,
        details={"alone": [s._asdict() for s in singles]},
      )
  macs = [costs.count(space.architecture(g), CLASSES).macs for g in genotypes]
  # Masks compute the largest value of every decision.
  widest = space.architecture(np.asarray(space.choices) - 1)
  largest = max(costs.count(widest, CLASSES).macs, *macs)
  yield measuring.Row(
    f"{what}: useful MACs of the masked network",
    100 * statistics.mean(macs) / largest,
    "%",
    100 * min(macs) / largest,
    100 * max(macs) / largest,
    notes=f"mean (least to most) of {len(macs)} random candidates; the "
    f"largest has {largest / 1e6:.2f} M",
    main=True,
  )
  best = max(rates, key=lambda size: rates[size])
  yield measuring.Row(
    f"{what}: population of {best}, the best, over one of {sizes[0]}",
    rates[best] / rates[sizes[0]],
    notes="candidates per hour",
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """All shapes, or those that are asked for."""
  sizes = SIZES if jax.default_backend() == "cpu" else ACCELERATED
  for name in given.parts[:1] if given.quick else given.parts:
    shape = SHAPES[name]
    if given.quick:
      shape, sizes = shape._replace(timed=128), (1, 4)
    yield from measure(name, shape, sizes)


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(SHAPES))
