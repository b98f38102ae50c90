"""A training step of the `fbnetv2_f` supernet, and PyTorch's beside it.

  python -m tests.benchmarks.supernet_step [result.json]

The macro-architecture of Table 3.8 at 64 x 64 pixels, batch 8, with 8 channel
options in each layer, 17 layers of 8 block types and a skip: Gumbel softmax,
forward, backward and SGD. The peer is a plain PyTorch module of the same layers
that computes each type by itself; it is left out where PyTorch is not
installed (extra `torch`). Both take all cores. The compilation cache is off, so
what compiling takes is seen.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.search import dnas, dnas_step
from fbnax.search.dnas_state import Plan
from fbnax.search.penalties import Penalty
from fbnax.search.prices import Price
from fbnax.spaces import fbnetv2
from fbnax.training.loop import Examples
from fbnax.training.model import Model
from fbnax.training.recipes import Settings

SIDE, BATCH, CLASSES, OPTIONS, RUNS = 64, 8, 100, 8, 7


def space() -> spaces.SearchSpace:
  """The space with c/8, 2c/8, ..., c channels in each layer."""
  rows = []
  for row in fbnetv2.F:
    widest = int(row.channels[1])
    step = widest // OPTIONS
    rows.append(dataclasses.replace(row, channels=(step, widest, step)))
  return fbnetv2.masked_space(
    "fbnetv2_f_8", tuple(rows), (SIDE,), head_channels=1984
  )


def ours(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
  """Times of the weight step that a search runs."""
  jax.config.update("jax_enable_compilation_cache", False)
  settings = Settings(
    epochs=90,
    batch_size=BATCH,
    resolution=SIDE,
    mean=(0.5,) * 3,
    std=(0.25,) * 3,
  )
  feed = Examples(jnp.asarray(images), jnp.asarray(labels))
  problem = dnas.problem(
    Model(models.Supernet(space(), CLASSES, subsample=True)),
    settings,
    Price(space(), CLASSES),
    Penalty(reference=1e7),
    Plan(),
    feed,
    feed,
  )
  start = time.perf_counter()
  state = jax.block_until_ready(dnas.start(problem, 0, 3, SIDE))
  begun = time.perf_counter()
  lowered = dnas_step.run_step.lower(problem, 0, state, *feed)
  traced = time.perf_counter()
  compiled = lowered.compile()
  done = time.perf_counter()
  memory = compiled.memory_analysis()
  state = jax.block_until_ready(compiled(state, *feed))
  times, processor = [], []
  for _ in range(RUNS):
    before, used = time.perf_counter(), time.process_time()
    state = jax.block_until_ready(compiled(state, *feed))
    times.append(time.perf_counter() - before)
    processor.append(time.process_time() - used)
  assert int(state.failed) < 0, "the loss is no number"
  return {
    "what": "fbnax",
    "params": sum(x.size for x in jax.tree.leaves(state.variables["params"])),
    "start_s": begun - start,
    "trace_s": traced - begun,
    "compile_s": done - traced,
    "step_s": statistics.median(times),
    "step_best_s": min(times),
    "step_cpu_s": statistics.median(processor),
    "temporary_mb": memory.temp_size_in_bytes / 1e6 if memory else None,
  }


def peer(images: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
  """Times of the same in PyTorch; None without it."""
  try:
    from tests.benchmarks import supernet_torch
  except ImportError:
    return None
  step, params = supernet_torch.make_step(images, labels, CLASSES, OPTIONS)
  step()
  times, processor = [], []
  for _ in range(RUNS):
    before, used = time.perf_counter(), time.process_time()
    step()
    times.append(time.perf_counter() - before)
    processor.append(time.process_time() - used)
  return {
    "what": "PyTorch",
    "params": params,
    "step_s": statistics.median(times),
    "step_best_s": min(times),
    "step_cpu_s": statistics.median(processor),
  }


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  random = np.random.default_rng(0)
  images = random.integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype(np.uint8)
  labels = random.integers(0, CLASSES, BATCH).astype(np.int32)
  rows = [r for r in (ours(images, labels), peer(images, labels)) if r]
  print(
    f"{'':8} {'parameters':>11} {'start':>7} {'trace':>7} {'compile':>8} "
    f"{'step':>7} {'best':>7} {'CPU':>7}   (seconds)"
  )
  for row in rows:
    print(
      f"{row['what']:8} {row['params']:11,} {row.get('start_s', 0):7.1f} "
      f"{row.get('trace_s', 0):7.1f} {row.get('compile_s', 0):8.1f} "
      f"{row['step_s']:7.3f} {row['step_best_s']:7.3f} {row['step_cpu_s']:7.3f}"
    )
  if arguments:
    Path(arguments[0]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
