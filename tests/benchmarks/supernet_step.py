"""A training step of the `fbnetv2_f` supernet, and PyTorch's beside it.

  python -m tests.benchmarks.supernet_step [--json=FILE] [--quick]

The macro-architecture of Table 3.8 at 64 x 64 pixels, batch 8, with 8 channel
options in each layer, 17 layers of 8 block types and a skip: Gumbel softmax,
forward, backward and SGD. The peer is a plain PyTorch module of the same layers
that computes each type by itself; it is left out where PyTorch is not
installed (extra `torch`). Both take all cores. The compilation cache is off, so
what compiling takes is seen. `--quick` has the first two layers, 32 pixels and
batch 2.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.search import dnas
from fbnax.search.dnas import step as dnas_step
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan
from fbnax.search.prices import Price
from fbnax.spaces import fbnetv2
from fbnax.training.loop import Examples
from fbnax.training.model import Model
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

SIDE, BATCH, CLASSES, OPTIONS, RUNS = 64, 8, 100, 8, 7


def space(side: int, layers: int) -> spaces.SearchSpace:
  """The space with c/8, 2c/8, ..., c channels in each layer."""
  rows = []
  for row in fbnetv2.F[:layers]:
    widest = int(row.channels[1])
    step = widest // OPTIONS
    rows.append(dataclasses.replace(row, channels=(step, widest, step)))
  return fbnetv2.masked_space(
    "fbnetv2_f_8", tuple(rows), (side,), head_channels=1984
  )


def ours(
  images: np.ndarray, labels: np.ndarray, layers: int, runs: int
) -> tuple[measuring.Timing, dict[str, Any]]:
  """Times of the weight step that a search runs, and what it took before."""
  batch, side = images.shape[:2]
  searched = space(side, layers)
  settings = Settings(
    epochs=90,
    batch_size=batch,
    resolution=side,
    mean=(0.5,) * 3,
    std=(0.25,) * 3,
  )
  feed = Examples(jnp.asarray(images), jnp.asarray(labels))
  problem = dnas.problem(
    Model(models.Supernet(searched, CLASSES, subsample=True)),
    settings,
    Price(searched, CLASSES),
    Penalty(reference=1e7),
    SearchPlan(),
    feed,
    feed,
  )
  start = time.perf_counter()
  state = jax.block_until_ready(dnas.start(problem, 0, 3, side))
  begun = time.perf_counter()
  lowered = dnas_step.run_step.lower(problem, 0, state, *feed)
  traced = time.perf_counter()
  compiled = lowered.compile()
  done = time.perf_counter()
  memory = compiled.memory_analysis()

  def step(_: int) -> Any:
    nonlocal state
    state = compiled(state, *feed)
    return state

  timing, state = measuring.timed(step, runs)
  assert int(state.failed) < 0, "the loss is no number"
  return timing, {
    "params": sum(x.size for x in jax.tree.leaves(state.variables["params"])),
    "start_s": begun - start,
    "trace_s": traced - begun,
    "compile_s": done - traced,
    "temporary_mb": memory.temp_size_in_bytes / 1e6 if memory else None,
  }


def peer(
  images: np.ndarray, labels: np.ndarray, layers: int, runs: int
) -> tuple[measuring.Timing, int] | None:
  """Times of the same in PyTorch, and its parameters; None without it."""
  if jax.default_backend() != "cpu":
    return None  # The peer is written for a CPU.
  try:
    from tests.benchmarks import supernet_torch
  except ImportError:
    return None
  step, params = supernet_torch.make_step(
    images, labels, CLASSES, OPTIONS, layers
  )
  return measuring.timed(lambda _: step(), runs)[0], params


def run(given: Any) -> Iterator[measuring.Row]:
  """Our step beside PyTorch's, and what compiling took."""
  measuring.no_cache()
  rows = len(fbnetv2.F)
  batch, side, rows, runs = (
    (2, 32, 2, 2) if given.quick else (BATCH, SIDE, rows, RUNS)
  )
  random = np.random.default_rng(0)
  images = random.integers(0, 256, (batch, side, side, 3)).astype(np.uint8)
  labels = random.integers(0, CLASSES, batch).astype(np.int32)
  timing, told = ours(images, labels, rows, runs)
  theirs = peer(images, labels, rows, runs)
  rest: dict[str, Any] = {}
  notes = f"{told['params'] / 1e6:.1f} M parameters"
  if theirs is not None:
    rest = {"peer": "PyTorch eager", "peer_value": theirs[0].median}
    rest["details"] = told | {"peer": theirs[0].summary()}
    notes += f" (PyTorch's {theirs[1] / 1e6:.1f} M)"
  what = f"step of the `fbnetv2_f` supernet, {side} px, batch {batch}"
  yield measuring.seconds(
    what, timing, notes=notes, main=True, **({"details": told} | rest)
  )
  yield measuring.Row(
    f"{what}: compilation",
    told["compile_s"],
    "s",
    notes=f"after {told['trace_s']:.1f} s of tracing",
    main=True,
  )


if __name__ == "__main__":
  measuring.main(run, __doc__)
