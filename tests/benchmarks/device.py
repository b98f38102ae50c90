"""Files for devices: int8 beside the network, flash, and the arena.

  python -m tests.benchmarks.device [space ...] [--json=FILE] [--quick]

Random networks of spaces, with random weights whose BN was recalibrated on
random images, as `configs/export.py --config.int8` writes them: the error of
the float file, how well int8 logits follow the network's, the largest step
between LiteRT's reference kernels and the microcontroller's interpreter, the
bytes of file and arena. Needs the extras `tflite` and `tflm`. A network fails
whose float file is wrong by more than 1e-5 of the largest logit, whose
interpreters differ by more than a step, or which is not int8 throughout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.jobs.export import device, tflite_files, tflite_int8
from fbnax.models import folded
from fbnax.spaces import Architecture, zoo
from tests.benchmarks import measuring

SPACES = ("small", "mnasnet", "fbnetv3", "lite0")
_SIDES = {"mnasnet": 64, "fbnetv3": 96, "lite0": 96}
_CLASSES, _IMAGES, _CALIBRATION = 10, 64, 128
_UPDATES = 50  # Of BN's running statistics, until they are those of images.
_MEAN, _STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def networks(name: str, count: int) -> list[Architecture]:
  """Random ones of a space, or of that around EfficientNet-Lite0."""
  if name == "lite0":
    lite = zoo.get("timm_tf_efficientnet_lite0")
    space = spaces.around(lite, resolutions=(_SIDES[name],))
  else:
    space = spaces.get(name)
  changes = {"resolution": _SIDES[name]} if name in _SIDES else {}
  return [
    dataclasses.replace(space.architecture(g), **changes)
    for g in np.asarray(space.sample(jax.random.key(0), count))
  ]


def steps_of(network: Architecture, images: np.ndarray, seed: int) -> Any:
  """The folded network of random weights, BN's statistics of its images."""
  module = models.Network(network, _CLASSES)

  variables = jax.jit(lambda key: module.init(key, images[:1], train=False))(
    jax.random.key(seed)
  )
  rng = np.random.default_rng(seed)
  # Scales that begin at 0 would hide what their blocks compute.
  params = jax.tree.map(
    lambda x: (
      np.asarray(x)
      if x.ndim > 1
      else np.asarray(x) + rng.random(x.shape, np.float32)
    ),
    variables["params"],
  )
  update = jax.jit(
    lambda variables: module.apply(
      variables, images, train=True, mutable=["batch_stats"]
    )[1]
  )
  variables = {**variables, "params": params}
  for _ in range(_UPDATES):
    variables = {**variables, **update(variables)}
  return folded.fold(network, jax.device_get(variables))


def check(network: Architecture, seed: int) -> dict[str, Any]:
  """What the files of a network are like."""
  side, channels = network.resolution, network.input_channels
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (_CALIBRATION + _IMAGES, 8, 8, channels))
  # Of patches, as images are, and not of noise that a network averages away.
  pixels = np.asarray(
    jax.image.resize(
      coarse.astype(np.float32), (len(coarse), side, side, channels), "linear"
    )
  ).round()
  normal = ((pixels / 255.0 - _MEAN) / _STD).astype(np.float32)
  steps = steps_of(network, normal[:_IMAGES], seed)
  plain = tflite_files.convert(steps, (side, side, channels))
  tested = normal[_CALIBRATION:]
  logits = np.asarray(folded.run(steps, jnp.asarray(tested)))
  largest = float(np.abs(logits).max())
  error = np.abs(tflite_files.run(plain, tested[:8]) - logits[:8]).max()
  made = tflite_int8.of_pixels(steps, _MEAN, _STD)
  content = tflite_int8.quantize(
    made.steps,
    pixels[:_CALIBRATION] - made.zero,
    (-float(made.zero), 255.0 - made.zero),
  )
  integers = tflite_int8.as_integers(content, pixels[_CALIBRATION:], made.zero)
  reference = tflite_int8.run(content, integers, reference=True)
  micro = tflite_int8.run_micro(content, integers[:8]).integers.astype(int)
  step = int(np.abs(reference.integers[:8].astype(int) - micro).max())
  types = tflite_int8.tensor_types(content)
  assert error < 1e-5 * largest, error
  assert step <= 1, step
  assert types == {"int8", "int32"}, types
  return {
    "error": float(error) / largest,
    "correlation": float(
      np.corrcoef(reference.logits.ravel(), logits.ravel())[0, 1]
    ),
    "step": step,
    "flash": len(content),
    "arena": device.arena_bytes(content),
  }


def run(given: Any) -> Iterator[measuring.Row]:
  """A row for each network."""
  for name in given.parts:
    for seed, network in enumerate(networks(name, 1 if given.quick else 5)):
      found = check(network, seed)
      yield measuring.Row(
        f"int8 file of `{name}`, {network.resolution} px, network {seed}",
        found["flash"] / 1e3,
        "kB",
        notes=f"arena {found['arena'] / 1e3:.0f} kB; logits correlate"
        f" {found['correlation']:.4f} with the network's; float error"
        f" {found['error']:.0e}; interpreters {found['step']} steps apart",
      )


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=SPACES)
