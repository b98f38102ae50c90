"""What a training will take, from one step of it on this device.

A step's program is compiled ahead of time, as a run compiles it, and run a few
times: that gives the seconds of compilation, its memory, and the seconds of a
step. The persistent cache of programs is off meanwhile, since a program found
there says nothing about compilation.

Symbols: `P` candidates in a population, `B` images in a batch, `H`, `W`, `C`
their shape.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from fbnax.data import Dataset, Split
from fbnax.models import Network, Supernet, initialize
from fbnax.models.hurry import jit_once
from fbnax.spaces import Architecture, Recipe, SearchSpace
from fbnax.training import loop, population, programs, step
from fbnax.training.recipes import Settings, as_numbers
from fbnax.training.step import Member, Model

# Forward and backward pass are about three times the work of the forward one.
FORWARD = 1 / 3
_RUNS = 5
_WHOLE = ("pixels", "memory", "state", "weights")


class Measured(NamedTuple):
  """One step of a training on this device.

  Attributes:
    pixels: resolution of the step.
    start: seconds to compile and run the program that draws the weights.
    compilation: seconds to compile the step.
    step: seconds of a step, the median of five after one warm-up.
    memory: bytes that the step's program holds at a time.
    state: bytes of what one network's training changes: weights, optimizer,
      averages.
    weights: bytes of one network's variables.
  """

  pixels: int
  start: float
  compilation: float
  step: float
  memory: int
  state: int
  weights: int


def measure_population(
  space: SearchSpace,
  genotypes: np.ndarray,
  settings: Settings,
  dataset: Dataset,
) -> Measured:
  """One step of a population's supernet.

  Args:
    space: the space.
    genotypes: `i32[P, D]`.
    settings: as of the search; their resolution is the step's.
    dataset: for its classes, and the shape of its images.
  """
  classes, channels = dataset.num_classes, dataset.channels
  members = population.members(
    space,
    genotypes,
    [space.recipe(g) for g in genotypes],
    range(len(genotypes)),
  )
  with _without_cache():
    begin = time.monotonic()
    state = population.initial(space, classes, channels, members)
    jax.block_until_ready(state)
    start = time.monotonic() - begin
    model = Model(Supernet(space, classes))
    return _measure(model, settings, state, members, dataset, True, start)


def measure_network(
  architecture: Architecture,
  recipe: Recipe,
  settings: Settings,
  dataset: Dataset,
) -> Measured:
  """One step of a network that is trained by itself, without a teacher.

  Args:
    architecture: of the network.
    recipe: its training's.
    settings: as of the training; their resolution is the step's.
    dataset: for its classes, and the shape of its images.
  """
  module = Network(architecture, dataset.num_classes)
  side, channels = architecture.resolution, architecture.input_channels
  images = np.zeros((1, side, side, channels), np.float32)
  with _without_cache():
    begin = time.monotonic()
    variables = jit_once(lambda k: initialize(module, k, images, train=False))(
      jax.random.key(0)
    )
    jax.block_until_ready(variables)
    start = time.monotonic() - begin
    member = Member(as_numbers(recipe), None, jax.random.key(1))
    state = step.start(variables)
    return _measure(
      Model(module), settings, state, member, dataset, False, start
    )


def at_resolution(measured: Sequence[Measured], pixels: int) -> Measured:
  """Between measured steps: linear in the number of pixels.

  Args:
    measured: at one resolution or at two.
    pixels: the resolution that is sought.
  """
  points = [float(m.pixels**2) for m in measured]
  return between(measured, points, float(pixels**2))._replace(pixels=pixels)


def between(
  measured: Sequence[Measured], points: Sequence[float], point: float
) -> Measured:
  """What was measured at one or two points, linear between them.

  Args:
    measured: in the order of the points.
    points: rising: what the work grows with.
    point: where it is sought, not outside them.
  """
  found: dict[str, Any] = {}
  for name in Measured._fields:
    value = float(
      np.interp(point, points, [getattr(m, name) for m in measured])
    )
    found[name] = round(value) if name in _WHOLE else value
  return Measured(**found)


def images_bytes(dataset: Dataset) -> int:
  """Bytes of the images that stay on the device; 0 where they are streamed."""
  splits = (s for s in (dataset.train, dataset.test) if isinstance(s, Split))
  return sum(s.images.nbytes + s.labels.nbytes for s in splits)


def duration(seconds: float) -> str:
  """`0.8 s`, `42 s`, `6 min`, `3.4 h`, `5 days`: two digits say enough."""
  for unit, size, until in (
    ("s", 1, 90),
    ("min", 60, 90 * 60),
    ("h", 3600, 72 * 3600),
  ):
    if seconds < until:
      return f"{_two_digits(seconds / size)} {unit}"
  return f"{_two_digits(seconds / 86400)} days"


def size(number: float) -> str:
  """Bytes as `12 MB`, in powers of 1000."""
  units = {"GB": 1e9, "MB": 1e6}
  for unit, power in units.items():
    if number >= power:
      return f"{_two_digits(number / power)} {unit}"
  return f"{_two_digits(number / 1e3)} kB"


def _two_digits(value: float) -> str:
  rounded = float(f"{value:.2g}")
  return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _measure(
  model: Model,
  settings: Settings,
  state: Any,
  member: Member,
  dataset: Dataset,
  stacked: bool,
  start: float,
) -> Measured:
  count = len(dataset.train)
  settings = dataclasses.replace(settings, mesh=None)  # Of one device.
  if not isinstance(dataset.train, Split):
    # A stream crops and mirrors where it decodes; see `loop.fit`.
    settings = dataclasses.replace(settings, flip=False, crop_padding=0)
  batch = _batch(dataset, settings)
  steps = step.steps_per_epoch(count, settings)
  members = member.key.shape[0] if stacked else 1
  sizes = [
    sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) // members
    for tree in (state, state.variables)
  ]
  # The program of streamed trainings: the one that an epoch's scan repeats.
  begin = time.monotonic()
  compiled = programs.one_step.lower(
    model, settings, stacked, steps, state, member, batch, None
  ).compile()
  compilation = time.monotonic() - begin
  seconds = []
  for _ in range(_RUNS + 1):
    begin = time.monotonic()
    state, metrics = compiled(state, member, batch, None)
    jax.block_until_ready((state, metrics))
    seconds.append(time.monotonic() - begin)
  return Measured(
    pixels=settings.resolution,
    start=start,
    compilation=compilation,
    step=statistics.median(seconds[1:]),
    memory=_memory(compiled),
    state=sizes[0],
    weights=sizes[1],
  )


def _batch(dataset: Dataset, settings: Settings) -> loop.Examples:
  """Noise of the shape of a batch: what is in it does not matter here."""
  side = settings.resolution
  height, width = (side, side)
  if isinstance(dataset.train, Split):
    height, width = dataset.train.size
  count = min(settings.batch_size, len(dataset.train))
  shape = (count, height, width, dataset.channels)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, shape, np.uint8)
  labels = rng.integers(0, dataset.num_classes, count, np.int32)
  return loop.Examples(jnp.asarray(images), jnp.asarray(labels))


def _memory(compiled: Any) -> int:
  """Bytes of a program's arguments, results and scratch; 0 where not known."""
  found = compiled.memory_analysis()
  if found is None:
    return 0
  return int(
    found.argument_size_in_bytes
    + found.output_size_in_bytes
    + found.temp_size_in_bytes
    - found.alias_size_in_bytes
  )


@contextmanager
def _without_cache() -> Iterator[None]:
  name = "jax_enable_compilation_cache"
  before = getattr(jax.config, name)
  jax.config.update(name, False)
  compilation_cache.reset_cache()  # It remembers whether it is used.
  try:
    yield
  finally:
    jax.config.update(name, before)
    compilation_cache.reset_cache()
