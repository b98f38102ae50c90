"""What compiling the main programs takes, with an empty cache.

  python -m tests.benchmarks.programs [program ...] [--json=FILE] [--quick]

Seconds of tracing, lowering and compiling, as JAX tells them
(`fbnax.jobs.runtime.compile_times`), of a first call with everything that it
needs: an epoch of a network and of a population of four with their validation,
the two steps of a differentiable search, an evolution, costs of genotypes, and
the predictor of two rounds: pretrained, fitted and checked twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, spaces
from fbnax.jobs.runtime import compile_times
from fbnax.search import Budget, dnas, evolve
from fbnax.search.dnas import step as dnas_step
from fbnax.search.evaluators import Candidate
from fbnax.search.nars import predictor
from fbnax.search.nars.pretraining import pretrain
from tests.benchmarks import measuring, sampling_step, trainings

SHAPE = trainings.SHAPES["digits"]._replace(timed=64)


def network() -> None:
  """The middle of `small`, trained by itself."""
  space = trainings.searched(SHAPE)
  middle = tuple(int(n) // 2 for n in space.choices)
  images = trainings.feed(SHAPE, SHAPE.timed, 0)
  trainings.alone(space, SHAPE, Candidate(0, middle, 0), images)


def four() -> None:
  """Four candidates of `small`."""
  space = trainings.searched(SHAPE)
  genotypes = np.asarray(space.sample(jax.random.key(0), 4))
  candidates = [
    Candidate(i, tuple(g.tolist()), i) for i, g in enumerate(genotypes)
  ]
  images = trainings.feed(SHAPE, SHAPE.timed, 0)
  trainings.together(space, SHAPE, candidates, images, 4)


def search() -> None:
  """A step on weights and one on theta."""
  feed, problem = sampling_step.problem("batch", sampling_step.BATCH)
  for kind in (0, 1):
    state = dnas.start(problem, 0, 3, sampling_step.SIDE)
    first = jnp.asarray(kind * problem.weight_steps, jnp.int32)
    state = state._replace(step=first)
    jax.block_until_ready(
      dnas_step.run_steps(problem, kind, state, *feed, first + 1)
    )


def evolution() -> None:
  """Four budgets, scored by the parameters."""
  space = spaces.get("fbnetv3")
  highs = np.linspace(500e6, 800e6, 4)
  result = evolve(
    jax.random.key(0),
    lambda genotypes: costs.batch(space, genotypes).params,
    space,
    Budget(macs=(0.9 * highs, highs)),
    max_generations=2,
  )
  assert np.asarray(result.valid[:, 0]).all()


def predictors() -> None:
  """As the search of digits has it, which trains 36 candidates in all."""
  space = trainings.searched(SHAPE)
  pool = space.sobol(20_000)
  known = costs.batch(space, pool, trainings.CLASSES)
  pretrained, _ = pretrain(jax.random.key(0), space, pool, known)
  accuracies = np.log(np.asarray(known.macs[:36]))
  sizes = predictor.HeadSettings(capacity=36)
  for count in (12, 24):
    trials = (space, pretrained, pool[:count], accuracies[:count])
    predictor.fit(jax.random.key(1), *trials, members=8, settings=sizes)
    found = predictor.cross_validate(jax.random.key(2), *trials, settings=sizes)
    assert np.isfinite(found.rmse)


def labels() -> None:
  """Costs of 1,024 genotypes."""
  space = spaces.get("fbnetv3")
  found = costs.batch(space, space.sample(jax.random.key(0), 1024))
  assert float(found.macs.min()) > 0


PROGRAMS = {
  "costs of genotypes, `fbnetv3`": labels,
  "evolution, `fbnetv3`": evolution,
  "the predictor of two rounds, `small`": predictors,
  "a network, middle of `small`": network,
  "a population of four, `small`": four,
  "differentiable search, `small_dnas`": search,
}


def run(given: Any) -> Iterator[measuring.Row]:
  """All of them, or those that are asked for."""
  measuring.no_cache()
  spans = compile_times.listen()
  for name in given.parts[:1] if given.quick else given.parts:
    jax.clear_caches()
    before, start = spans.total, time.perf_counter()
    with measuring.counted_programs() as programs:
      PROGRAMS[name]()
    assert programs, name
    yield measuring.Row(
      f"compilation: {name}",
      spans.total - before,
      "s",
      notes=f"{sum(programs):.1f} s of it by XLA, {len(programs)} programs, "
      f"of {time.perf_counter() - start:.1f} s in all",
      main=True,
      details={"programs_s": programs},
    )


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(PROGRAMS))
