"""Steps per CPU-second of a search by how choice weights are drawn.

  python -m tests.benchmarks.sampling_step [result.json [MODE ...]]

The space `small_dnas` at 16 pixels, batches of 32, as the preset `cifar10_cpu`
of `configs/dmasking.py`: one Gumbel draw for the `batch`, one for each
`example`, and a `single_path`. Ten steps in one program, as in a search.
"""

from __future__ import annotations

import json
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
from fbnax.training.loop import Examples
from fbnax.training.model import Model
from fbnax.training.recipes import Settings

SIDE, BATCH, CLASSES, STEPS = 16, 32, 10, 10
MODES: dict[str, dict[str, Any]] = {
  "batch": {"sampling": "batch"},
  "example": {"sampling": "example"},
  "single_path": {"relaxation": "single_path"},
}


def measure(mode: str) -> dict[str, Any]:
  """Steps of both kinds, per second of processor time, after compilation."""
  random = np.random.default_rng(0)
  count = 2 * STEPS * BATCH
  feed = Examples(
    jnp.asarray(random.integers(0, 256, (count, SIDE, SIDE, 3)), jnp.uint8),
    jnp.asarray(random.integers(0, CLASSES, count), jnp.int32),
  )
  space = spaces.get("small_dnas").fix(resolution=SIDE)
  plan = Plan(**MODES[mode], cost_of="theta")
  single = plan.relaxation == "single_path"
  problem = dnas.problem(
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
  row: dict[str, Any] = {"mode": mode}
  for kind, name in enumerate(("weights", "theta")):
    state = dnas.start(problem, 0, 3, SIDE)
    first = jnp.asarray(kind * problem.weight_steps, jnp.int32)
    state = state._replace(step=first)
    for part in ("compile_s", "steps_per_s"):
      start = time.process_time()
      stop = state.step + STEPS
      state = jax.block_until_ready(
        dnas_step.run_steps(problem, kind, state, *feed, stop)
      )
      seconds = time.process_time() - start
      value = seconds if part == "compile_s" else STEPS / seconds
      row[f"{name}_{part}"] = value
  return row


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  rows = []
  print(
    f"{'mode':12} {'weight steps/s':>15} {'theta steps/s':>14}   first calls, s"
  )
  for mode in arguments[1:] or MODES:
    rows.append(measure(mode))
    row = rows[-1]
    print(
      f"{mode:12} {row['weights_steps_per_s']:15.2f} "
      f"{row['theta_steps_per_s']:14.2f}   {row['weights_compile_s']:.1f}, "
      f"{row['theta_compile_s']:.1f}",
      flush=True,
    )
  if arguments:
    Path(arguments[0]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
