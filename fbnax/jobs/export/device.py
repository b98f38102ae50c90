"""An int8 file of a trained network for a microcontroller, and what it can.

It is calibrated on training images and judged on the test images before it is
written: its accuracy in LiteRT beside the network's, and how far the
microcontroller's interpreter is from LiteRT with the same kernels (extra
`tflm`), whose arena is measured, too.

Symbols: `N` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.data import AnySplit, Dataset
from fbnax.jobs.export import (
  onnx_files,
  onnx_int8,
  tflite_files,
  tflite_int8,
)
from fbnax.jobs.export.predicting_files import FACTS, LABELS
from fbnax.jobs.export.result import DeviceChecks
from fbnax.models import folded
from fbnax.training import augment, loop, model_files
from fbnax.training.model import Model
from fbnax.training.programs import Examples
from fbnax.training.recipes import Settings

_BATCH = 64
_MICRO_IMAGES = 64  # Its kernels take about a second for a large network.
_STDERR = 2
_STEP = 16  # Bytes.
_ARENA = re.compile(r"Arena allocation total (\d+) bytes")


class DeviceFile(NamedTuple):
  """What is exported for a device.

  Attributes:
    content: the int8 file.
    checks: what it can.
    onnx: the int8 form of an ONNX file; None without one.
  """

  content: bytes
  checks: DeviceChecks
  onnx: bytes | None = None


class OnnxFile(NamedTuple):
  """A float ONNX file.

  Attributes:
    content: the file.
    prepare: makes its input of pixels from 0 to 255, `f32[N, H, W, C]`.
  """

  content: bytes
  prepare: Callable[[np.ndarray], np.ndarray]


def make(
  saved: model_files.SavedModel,
  dataset: Dataset,
  calibration_images: int,
  seed: int = 0,
  onnx: OnnxFile | None = None,
) -> DeviceFile:
  """The int8 file of a model, calibrated and judged.

  Args:
    saved: the model.
    dataset: whose training images calibrate, and whose test images judge.
    calibration_images: how many of the former; all where there are fewer.
    seed: of their choice.
    onnx: a float file that is quantized by the same images, too.

  Raises:
    ValueError: there are no images to calibrate on or to judge by, or the
      network cannot be quantized.
    RuntimeError: LiteRT and the microcontroller's interpreter disagree.
  """
  for name, split in (("training", dataset.train), ("test", dataset.test)):
    if not len(split):
      raise ValueError(
        f"{dataset.source} has no {name} images; legal: some, which calibrate"
        " and judge the int8 file"
      )
  given = saved.card["preprocessing"]
  steps = folded.fold(saved.module.architecture, saved.variables)
  network = tflite_int8.of_pixels(steps, given["mean"], given["std"])
  count = min(calibration_images, len(dataset.train))
  rows = np.random.default_rng(seed).permutation(len(dataset.train))[:count]
  images, _ = _pixels(saved, dataset.train.take(np.sort(rows)))
  content = tflite_int8.quantize(
    network.steps,
    images - network.zero,
    (-float(network.zero), 255.0 - network.zero),
  )
  facts = {
    **given,
    "channels": saved.module.architecture.input_channels,
    "zero": network.zero,
    "temperature": saved.calibration.by,
  }
  content = tflite_files.with_metadata(
    content,
    {LABELS: "\n".join(saved.class_names), FACTS: json.dumps(facts)},
  )
  tested, labels = _pixels(saved, dataset.test)
  checks = _checks(saved, dataset, content, network.zero, tested, labels)
  if onnx is None:
    return DeviceFile(content, checks)
  quantized = onnx_int8.quantize(onnx.content, onnx.prepare(images))
  said = [
    onnx_files.run(quantized, onnx.prepare(tested[i : i + _BATCH])).argmax(-1)
    for i in range(0, len(tested), _BATCH)
  ]
  accuracy = float((np.concatenate(said) == labels).mean())
  checks = dataclasses.replace(checks, onnx_accuracy=accuracy)
  return DeviceFile(content, checks, quantized)


def _checks(
  saved: model_files.SavedModel,
  dataset: Dataset,
  content: bytes,
  zero: int,
  images: np.ndarray,
  labels: np.ndarray,
) -> DeviceChecks:
  measured = loop.measure_logits(
    Model(saved.module),
    saved.settings(),
    saved.variables,
    loop.place(dataset.test),
  )
  integers = tflite_int8.as_integers(content, images, zero)
  fast = tflite_int8.run(content, integers)
  some = integers[:_MICRO_IMAGES]
  step = arena = loading = None
  if tflite_int8.has_micro():
    reference = tflite_int8.run(content, some, reference=True).integers
    micro = tflite_int8.run_micro(content, some).integers
    step = int(np.abs(reference.astype(int) - micro.astype(int)).max())
    if step > 1:
      raise RuntimeError(
        f"model_int8.tflite: the microcontroller's interpreter is {step} steps"
        " from LiteRT with the same kernels"
      )
    arena = arena_bytes(content)
    loading = loading_arena(content, arena)
  return DeviceChecks(
    images=len(labels),
    float_accuracy=float(measured.metrics.accuracy),
    int8_accuracy=float((fast.integers.argmax(-1) == labels).mean()),
    same_class=float(
      (fast.integers.argmax(-1) == measured.logits.argmax(-1)).mean()
    ),
    micro_step=step,
    arena=arena,
    loading_arena=loading,
    tensor_types=tuple(sorted(tflite_int8.tensor_types(content))),
  )


def _pixels(
  saved: model_files.SavedModel, split: AnySplit
) -> tuple[np.ndarray, np.ndarray]:
  """Images as the model sees them, from 0 to 255, `f32[N, H, W, C]`; labels."""
  settings = saved.settings(_BATCH)
  mean, std = (np.asarray(v, np.float32) for v in (settings.mean, settings.std))
  images, labels = [], []
  for batch in _batches(settings, split):
    normal = np.asarray(augment.prepare(jnp.asarray(batch.images), settings))
    images.append(np.round(255.0 * (normal * std + mean)))
    labels.append(np.asarray(batch.labels))
  count = len(split)
  return np.concatenate(images)[:count], np.concatenate(labels)[:count]


def _batches(settings: Settings, split: AnySplit) -> Iterator[Examples]:
  feed = loop.place(split)
  if isinstance(feed, Examples):
    for start in range(0, len(feed.labels), _BATCH):
      yield Examples(*(leaf[start : start + _BATCH] for leaf in feed))
    return
  count = -(-len(split) // _BATCH)
  yield from itertools.islice(
    loop.batches(settings, split, _BATCH, train=False), count
  )


def arena_bytes(content: bytes) -> int:
  """What the microcontroller's interpreter takes of its arena, bytes.

  Of the reference kernels on a machine of 64 bits: pointers of 32 bits take
  less, optimized kernels more.

  Raises:
    ValueError: it does not load the file, or does not tell.
  """
  from tflite_micro import runtime

  with _captured_errors() as said:
    runner = runtime.Interpreter.from_bytes(
      content,
      arena_size=tflite_int8.LARGEST_ARENA,
      intrepreter_config=runtime.InterpreterConfig.kAllocationRecording,
    )
    runner.print_allocations()
  match = _ARENA.search("".join(said))
  if match is None:
    raise ValueError("the microcontroller's interpreter tells no arena")
  return int(match[1])


def loading_arena(content: bytes, allocated: int) -> int:
  """The smallest arena that the file loads in, to 16 bytes.

  While it plans its memory the interpreter needs some that it gives back, so
  that a small network needs more than what it has in the end.

  Args:
    content: an int8 file.
    allocated: of `arena_bytes`.
  """
  from tflite_micro import runtime

  def loads(size: int) -> bool:
    with _captured_errors():
      try:
        runtime.Interpreter.from_bytes(content, arena_size=size)
      except Exception:
        return False
    return True

  step = _STEP
  while not loads(allocated + step):
    step *= 2
  low, high = allocated // _STEP - 1, -(-(allocated + step) // _STEP)
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (low, middle) if loads(middle * _STEP) else (middle, high)
  return high * _STEP


@contextlib.contextmanager
def _captured_errors() -> Iterator[list[str]]:
  """What is written to the standard error of the process, by C++ too."""
  said: list[str] = []
  with tempfile.TemporaryFile() as file:
    kept = os.dup(_STDERR)
    os.dup2(file.fileno(), _STDERR)
    try:
      yield said
    finally:
      os.dup2(kept, _STDERR)
      os.close(kept)
      file.seek(0)
      said.append(file.read().decode(errors="replace"))
