"""Where the time to compile a training step goes.

  python -m tests.benchmarks.compiling [network ...] [--json=FILE] [--quick]

Processor seconds of tracing, of lowering, and of XLA in full and in a hurry
(`fbnax.models.hurry`); operations and kernels after XLA's passes, since it
compiles by the kernel, and equal ones once; a step of either program. `--quick`
has `small` at 8 pixels with one step.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.models import hurry
from fbnax.spaces import Architecture, Recipe
from fbnax.training import population, programs, recipes, step
from fbnax.training.loop import Examples
from fbnax.training.model import Member, Model
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring, trainings

CLASSES, RUNS = 10, 9
Step = tuple[tuple[Any, ...], Callable[[], tuple[Any, ...]]]


def _settings(side: int, channels: int, batch: int) -> Settings:
  return Settings(
    epochs=3,
    batch_size=batch,
    resolution=side,
    mean=(0.5,) * channels,
    std=(0.25,) * channels,
  )


def _images(side: int, channels: int, batch: int) -> Examples:
  shape = trainings.Shape(side, channels, batch, batch, 1)
  return trainings.feed(shape, batch, 0)


def network(
  architecture: Architecture, side: int, channels: int, batch: int
) -> Step:
  """A network's step: its static arguments, and what makes the others."""
  architecture = dataclasses.replace(
    architecture, resolution=side, input_channels=channels
  )
  module = models.Network(architecture, CLASSES)
  blank = jnp.zeros((1, side, side, channels))
  variables = hurry.jit_once(
    lambda key: models.initialize(module, key, blank, train=False)
  )(jax.random.key(0))
  member = Member(recipes.as_numbers(Recipe()), None, jax.random.key(1))
  images = _images(side, channels, batch)

  def rest() -> tuple[Any, ...]:
    fresh = jax.tree.map(lambda x: jnp.array(x, copy=True), variables)
    return step.start(fresh), member, images, None

  settings = _settings(side, channels, batch)
  return (Model(module), settings, False, 10), rest


def middle(side: int, channels: int) -> Step:
  """Of the middle of `small`, batch 64."""
  space = spaces.get("small")
  architecture = space.architecture(np.asarray(space.choices) // 2)
  return network(architecture, side, channels, 64)


def four() -> Step:
  """Of four candidates of `small` under masks, digits."""
  shape = trainings.SHAPES["digits"]
  space = trainings.searched(shape)
  genotypes = np.asarray(space.sample(jax.random.key(0), 4))
  members = population.members(
    space, genotypes, [space.recipe(g) for g in genotypes], range(4)
  )
  images = _images(shape.side, shape.channels, 64)

  def rest() -> tuple[Any, ...]:
    state = population.initial(space, CLASSES, shape.channels, members)
    return state, members, images, None

  settings = _settings(shape.side, shape.channels, 64)
  return (Model(models.Supernet(space, CLASSES)), settings, True, 10), rest


NETWORKS: dict[str, Callable[[], Step]] = {
  "small": lambda: middle(8, 1),
  "small-32": lambda: middle(32, 3),
  "four": four,
  "fbnetv3_a": lambda: network(spaces.zoo.get("fbnetv3_a"), 128, 3, 8),
  "lite0": lambda: network(
    spaces.zoo.get("timm_tf_efficientnet_lite0"), 128, 3, 32
  ),
}


def _counted(program: str) -> tuple[int, int]:
  """Operations, and fusions among them, in the text of a compiled program."""
  operations = re.findall(r"^\s+(?:ROOT )?\S+ = ", program, re.MULTILINE)
  return len(operations), program.count(" fusion(")


def _ran(
  compiled: Any, rest: Callable[[], tuple[Any, ...]], runs: int
) -> float:
  """Processor seconds of a step, the median."""
  times = []
  for _ in range(runs + 1):
    arguments = jax.block_until_ready(rest())
    begin = time.process_time()
    jax.block_until_ready(compiled(*arguments))
    times.append(time.process_time() - begin)
  return statistics.median(times[1:])


def run(given: Any) -> Iterator[measuring.Row]:
  """Each network's step, or those that are asked for."""
  measuring.no_cache()
  runs = 1 if given.quick else RUNS
  for name in given.parts[:1] if given.quick else given.parts:
    static, rest = NETWORKS[name]()
    arguments = rest()
    moments = [time.process_time()]
    traced = programs.one_step.trace(*static, *arguments)
    moments.append(time.process_time())
    lowered = traced.lower()
    moments.append(time.process_time())
    full = lowered.compile()
    moments.append(time.process_time())
    hurried = lowered.compile(compiler_options=hurry.options())
    moments.append(time.process_time())
    tracing, lowering, xla, quick = np.diff(moments).tolist()
    operations, kernels = _counted(full.as_text())
    steps = [_ran(compiled, rest, runs) for compiled in (full, hurried)]
    yield measuring.Row(
      f"compilation of a step of {name}, processor time",
      xla,
      "s",
      notes=f"after {tracing:.1f} s of tracing, {lowering:.1f} s of lowering;"
      f" {operations:,} operations, {kernels:,} fusions; in a hurry {quick:.1f}"
      f" s, and a step takes {steps[1] / steps[0]:.1f} times as long",
      details={
        "tracing_s": tracing,
        "lowering_s": lowering,
        "xla_s": xla,
        "xla_in_a_hurry_s": quick,
        "operations": operations,
        "fusions": kernels,
        "step_s": steps[0],
        "step_in_a_hurry_s": steps[1],
      },
    )


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(NETWORKS))
