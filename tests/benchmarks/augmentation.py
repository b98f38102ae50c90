"""Images augmented per second, on one device: `policies.apply` and `erase`.

  python -m tests.benchmarks.augmentation [result.json]

Beside each policy stands one that leaves images as they are, which is what the
copying costs. Medians of single batches. An accelerator's two forms would
differ; the backend's own is timed. An image that a policy does not touch, in
all of its batches, is a fault; a slow one is not.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.training import augment, policies
from fbnax.training.policy_tables import Operation, Policy
from fbnax.training.recipes import Settings

SIZES = ((32, 64), (224, 32))  # Side in pixels, batch.
RUNS = 15
ERASING = Settings(
  epochs=1,
  batch_size=1,
  resolution=1,
  mean=(0.5,) * 3,
  std=(0.25,) * 3,
  erasing=0.25,
)
PROGRAMS = {
  "identity": functools.partial(
    policies.apply, policy=Policy(((Operation("identity"),),))
  ),
  **{
    name: functools.partial(policies.apply, policy=policies.get(name))
    for name in policies.NAMES
  },
  "erasing": functools.partial(augment.erase, settings=ERASING),
}


def photographs(side: int, batch: int) -> jax.Array:
  """Smooth random images, `u8[batch, side, side, 3]`."""
  key = jax.random.key(0)
  coarse = jax.random.uniform(key, (batch, 8, 8, 3), maxval=255.0)
  images = jax.image.resize(coarse, (batch, side, side, 3), "bicubic")
  return jnp.clip(images, 0, 255).astype(jnp.uint8)


def measure(name: str, side: int, batch: int) -> dict:
  """The rate of one program on one size of batch."""
  images = jax.block_until_ready(photographs(side, batch))
  program = jax.jit(PROGRAMS[name])
  keys = list(jax.random.split(jax.random.key(1), RUNS + 1))
  times, touched = [], np.zeros(batch, bool)
  for key in keys:
    start = time.perf_counter()
    found = jax.block_until_ready(program(key, images))
    times.append(time.perf_counter() - start)
    touched |= np.asarray((found != images).any((1, 2, 3)))
  assert touched.all() == (name != "identity"), f"{name}: {touched.mean()}"
  median = statistics.median(times[1:])
  return {
    "program": name,
    "side": side,
    "batch": batch,
    "first_call_s": times[0],
    "median_s": median,
    "images_per_second": batch / median,
    "images_per_second_best": batch / min(times[1:]),
  }


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  rows = [measure(name, *size) for size in SIZES for name in PROGRAMS]
  print(
    f"{'program':21} {'side':>4} {'batch':>5} {'first s':>8} "
    f"{'median ms':>10} {'images/s':>9} {'best':>9}"
  )
  for row in rows:
    print(
      f"{row['program']:21} {row['side']:4} {row['batch']:5} "
      f"{row['first_call_s']:8.2f} {1e3 * row['median_s']:10.2f} "
      f"{row['images_per_second']:9,.0f} "
      f"{row['images_per_second_best']:9,.0f}"
    )
  device = jax.devices()[0]
  print(
    f"on {device.platform} ({device.device_kind}), {os.cpu_count()} cores, "
    f"load {os.getloadavg()[0]:.1f}"
  )
  if arguments:
    Path(arguments[0]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
