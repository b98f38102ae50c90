"""Images augmented per second, on one device: `policies.apply` and `erase`.

  python -m tests.benchmarks.augmentation [--json=FILE] [--quick]

Beside each policy stands one that leaves images as they are, which is what the
copying costs. Medians of single batches. An accelerator's two forms would
differ; the backend's own is timed. An image that a policy does not touch, in
all of its batches, is a fault.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.training import augment, policies
from fbnax.training.policy_tables import Operation, Policy
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

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
# What of an image is looked at instead, where chance may leave it as it is.
SURE = {
  "erasing": functools.partial(
    augment.erase, settings=dataclasses.replace(ERASING, erasing=1.0)
  )
}


def photographs(side: int, batch: int) -> jax.Array:
  """Smooth random images, `u8[batch, side, side, 3]`."""
  key = jax.random.key(0)
  coarse = jax.random.uniform(key, (batch, 8, 8, 3), maxval=255.0)
  images = jax.image.resize(coarse, (batch, side, side, 3), "bicubic")
  return jnp.clip(images, 0, 255).astype(jnp.uint8)


def measure(name: str, side: int, batch: int, runs: int) -> measuring.Row:
  """The rate of one program on one size of batch."""
  images = jax.block_until_ready(photographs(side, batch))
  program = jax.jit(PROGRAMS[name])
  keys = list(jax.random.split(jax.random.key(1), runs + 1))
  timing, _ = measuring.timed(lambda i: program(keys[i], images), runs)
  looked = jax.jit(SURE[name]) if name in SURE else program
  touched = np.zeros(batch, bool)
  for key in keys:
    touched |= np.asarray((looked(key, images) != images).any((1, 2, 3)))
  assert touched.all() == (name != "identity"), f"{name}: {touched.mean()}"
  return measuring.rate(
    f"augmentation {name}, {side} x {side}, batch {batch}",
    timing,
    batch,
    "images/s",
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """All programs at all sizes."""
  for size in SIZES[:1] if given.quick else SIZES:
    for name in PROGRAMS:
      yield measure(name, *size, RUNS)


if __name__ == "__main__":
  measuring.main(run, __doc__)
