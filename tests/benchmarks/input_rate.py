"""Images that reach a training step per second, and those that it takes.

  python -m tests.benchmarks.input_rate [--json=FILE] [--quick]

Streaming: photographs of 400 x 300 pixels as JPEG, made here in a temporary
folder, are decoded, cropped at random and resized to 128 pixels by
`fbnax.data.stream`, by as many threads as suit it. One peer is PyTorch's
`DataLoader` with Pillow, which decodes, crops by the same rule, resizes and
mirrors, with the workers that suit it, where PyTorch is installed; the other is
what takes the images, a training step of `fbnetv2_f1` at that size: a ratio
below 1 says that the input is the faster. Both share the cores.

Device-resident: an epoch of 32 x 32 images as one scan of gathering, cropping,
mirroring and normalising, beside a training step of the seven-block network.

Batches of wrong shapes, or images that never come, fail.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fbnax import data, models
from fbnax.training import augment
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring, network_step

SIDE, BATCH, PHOTOGRAPHS, CLASSES = 128, 32, 256, 4
SIZE = 400, 300  # Width and height of a photograph.
# Of the photographs in one timing: many times what is read ahead.
PASSES = 4
RESIDENT = 32, 64, 8192  # Side, batch and images on the device.
RUNS = 5


def photographs(folder: Path, count: int) -> list[Path]:
  """Smooth random pictures with some noise, as a camera's files."""
  random = np.random.default_rng(0)
  files = []
  for index in range(count):
    coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    noise = random.integers(-8, 9, (SIZE[1], SIZE[0], 3))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    path = folder / f"class{index % CLASSES}" / f"{index:04}.jpg"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)
    files.append(path)
  return files


def streamed(
  folder: Path, count: int, side: int, runs: int
) -> tuple[measuring.Timing, int]:
  """Times of `count` images by our stream, and the threads that suit it."""
  split = data.load("folder", path=folder, in_memory_bytes=0).train
  found = {}
  for workers in sorted({0, 2, 2 * measuring.cores(), 8}):
    stream = data.stream(
      split,
      batch_size=BATCH,
      resolution=side,
      seed=0,
      train=True,
      workers=workers,
      flip=True,
    )
    seen: set[int] = set()

    def epoch(_: int, stream: Any = stream, seen: set[int] = seen) -> None:
      for _ in range(count // BATCH):
        images, labels = next(stream)
        assert images.shape == (BATCH, side, side, 3), images.shape
        seen.update(labels.tolist())

    timing, _ = measuring.timed(epoch, runs)
    assert seen == set(range(CLASSES)), seen
    found[workers] = timing
  best = min(found, key=lambda workers: found[workers].median)
  return found[best], best


def torch_rate(
  files: list[Path], passes: int, side: int, runs: int
) -> float | None:
  """Images per second of PyTorch's loader at its best; None without it."""
  try:
    from tests.benchmarks import input_torch
  except ImportError:
    return None
  count = passes * len(files) // BATCH * BATCH
  best = np.inf
  for workers in sorted({0, 1, measuring.cores()}):
    epoch = input_torch.make_epoch(passes * files, side, BATCH, workers)
    timing, seen = measuring.timed(lambda _, epoch=epoch: epoch(), runs)
    assert seen == count, seen
    best = min(best, timing.median)
  return count / best


def step_rate(name: str, quick: bool) -> float:
  """Images per second that a training step takes, those on the device."""
  make, batch = network_step.NETWORKS[name]
  architecture = make()
  side = architecture.resolution
  random = np.random.default_rng(0)
  images = jnp.asarray(random.normal(size=(batch, side, side, 3)), jnp.float32)
  labels = jnp.asarray(random.integers(0, 10, batch), jnp.int32)
  network = models.Network(architecture, network_step.CLASSES)
  variables = jax.jit(
    lambda key: models.initialize(network, key, images[:1], train=False)
  )(jax.random.key(0))
  step, _ = network_step.ours(network, variables, images, labels)
  timing, losses = network_step.timed(step, 2 if quick else RUNS, 3)
  assert np.isfinite(losses).all(), losses
  return batch / timing.median


def resident(side: int, batch: int, count: int, runs: int) -> measuring.Timing:
  """Times of an epoch's input alone, as one program."""
  random = np.random.default_rng(0)
  images = jnp.asarray(
    random.integers(0, 256, (count, side, side, 3), np.uint8)
  )
  settings = Settings(
    epochs=1,
    batch_size=batch,
    resolution=side,
    mean=(0.5,) * 3,
    std=(0.25,) * 3,
    flip=True,
    crop_padding=side // 8,
  )

  @jax.jit
  def epoch(key: jax.Array, images: jax.Array) -> jax.Array:
    order = jax.random.permutation(key, count).reshape(-1, batch)

    def body(_: None, part: Any) -> tuple[None, jax.Array]:
      rows, key = part
      x = augment.distort(key, images[rows], settings)
      return None, augment.prepare(x, settings)  # Kept: nothing is left out.

    return jax.lax.scan(body, None, (order, jax.random.split(key, len(order))))[
      1
    ]

  keys = jax.random.split(jax.random.key(0), runs + 1)
  timing, found = measuring.timed(lambda i: epoch(keys[i], images), runs)
  assert found.shape == (count // batch, batch, side, side, 3), found.shape
  assert float(jnp.abs(found).max()) <= 2.0 + 1e-6
  return timing


def run(given: Any) -> Iterator[measuring.Row]:
  """Both ways of input, each beside what takes its images."""
  side, runs = (32, 1) if given.quick else (SIDE, RUNS)
  many, passes = (2 * BATCH, 1) if given.quick else (PHOTOGRAPHS, PASSES)
  with tempfile.TemporaryDirectory() as folder:
    files = photographs(Path(folder), many)
    count = passes * many
    timing, workers = streamed(Path(folder), count, side, runs)
    theirs = torch_rate(files, passes, side, runs)
  what = f"streamed JPEGs of {SIZE[0]} x {SIZE[1]} at {side} px"
  peer: dict[str, Any] = {"notes": f"{workers} threads"}
  if theirs is not None:
    peer |= {"peer": "PyTorch's DataLoader, Pillow", "peer_value": theirs}
  yield measuring.rate(what, timing, count, "images/s", main=True, **peer)
  if not given.quick:
    yield measuring.rate(
      f"{what}, and what takes them",
      timing,
      count,
      "images/s",
      peer="a training step of `fbnetv2_f1`",
      peer_value=step_rate("fbnetv2_f1", given.quick),
      main=True,
    )
  side, batch, count = (8, 16, 64) if given.quick else RESIDENT
  timing = resident(side, batch, count, runs)
  rest: dict[str, Any] = {}
  if not given.quick:
    rest = {"peer": "a training step of `seven`"}
    rest["peer_value"] = step_rate("seven", given.quick)
  yield measuring.rate(
    f"images on the device, {side} px, batch {batch}",
    timing,
    count,
    "images/s",
    main=True,
    **rest,
  )


if __name__ == "__main__":
  measuring.main(run, __doc__)
