"""Steps per second of one core of a search by how choice weights are drawn.

  python -m tests.benchmarks.sampling_step [MODE ...] [--json=FILE] [--quick]

The space `small_dnas` at 16 pixels, batches of 32, as the preset `cifar10_cpu`
of `configs/dmasking.py`: one Gumbel draw for the `batch`, one for each
`example`, and a `single_path`. Ten steps in one program, as in a search.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.search import dnas
from fbnax.search.dnas import step as dnas_step
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan
from fbnax.search.prices import Price
from fbnax.training.loop import Examples
from fbnax.training.model import Model
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

SIDE, BATCH, CLASSES, STEPS, RUNS = 16, 32, 10, 10, 3
MODES: dict[str, dict[str, Any]] = {
  "batch": {"sampling": "batch"},
  "example": {"sampling": "example"},
  "single_path": {"relaxation": "single_path"},
}


def problem(mode: str, count: int) -> tuple[Examples, Any]:
  """A search that draws in a way, and `count` images for it."""
  random = np.random.default_rng(0)
  feed = Examples(
    jnp.asarray(random.integers(0, 256, (count, SIDE, SIDE, 3)), jnp.uint8),
    jnp.asarray(random.integers(0, CLASSES, count), jnp.int32),
  )
  space = spaces.get("small_dnas").fix(resolution=SIDE)
  plan = SearchPlan(**MODES[mode], cost_of="theta")
  single = plan.relaxation == "single_path"
  return feed, dnas.problem(
    Model(models.Supernet(space, CLASSES, single_path=single, subsample=True)),
    Settings(
      epochs=plan.epochs,
      batch_size=BATCH,
      resolution=SIDE,
      mean=(0.5,) * 3,
      std=(0.25,) * 3,
    ),
    Price(space, CLASSES),
    Penalty(reference=1e6),
    plan,
    feed,
    feed,
  )


def measure(mode: str, steps: int, runs: int) -> Iterator[measuring.Row]:
  """Steps of both kinds, per second of processor time, after compilation."""
  feed, searched = problem(mode, (runs + 1) * steps * BATCH)
  for kind, name in enumerate(("weight", "theta")):
    state = dnas.start(searched, 0, 3, SIDE)
    first = jnp.asarray(kind * searched.weight_steps, jnp.int32)
    state = state._replace(step=first)

    def some(_: int, kind: int = kind) -> Any:
      nonlocal state
      stop = state.step + steps
      state = dnas_step.run_steps(searched, kind, state, *feed, stop)
      return state

    timing, _ = measuring.timed(some, runs)
    rates = [steps / seconds for seconds in timing.cpu]
    yield measuring.Row(
      f"search of `small_dnas`, drawn by {mode}: {name} steps",
      statistics.median(rates),
      "steps/CPU s",
      min(rates),
      max(rates),
      notes=f"first call {timing.first:.1f} s",
      details=timing.summary(),
    )


def run(given: Any) -> Iterator[measuring.Row]:
  """All modes, or those that are asked for."""
  measuring.one_core()
  for mode in given.parts[:1] if given.quick else given.parts:
    yield from measure(mode, *((1, 1) if given.quick else (STEPS, RUNS)))


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(MODES))
