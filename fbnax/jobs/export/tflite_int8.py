"""The int8 form of a TensorFlow Lite file, and what runs it.

Weights have a scale for each channel, activations one for each map, chosen on
calibration images, by the package `ai-edge-quantizer`. Images and logits are
int8, too: a pixel `p` from 0 to 255 comes in as `p - 128`, and scale and mean
of the images stand in the first convolution. A zero-padded border is then
a pixel of the mean that all channels share, rounded to a whole number; where a
channel's own mean is further from it than half a level, normalisation remains
an operation of its own.

Symbols: `N` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fbnax.jobs.export import programs, tflite_files
from fbnax.models.folded import FoldedStep

_WHITE, _LOWEST, _MOST, _LEVELS = 255, -128, 127, 255
_MOST_STEPS = 2.0**30  # Of an int32 bias, with room for the sum.
# Of the largest weight of a kernel: less would make a scale of int32 biases
# that they overflow, as BN's scales of 0 do.
_LEAST_WEIGHT = 1e-4
LARGEST_ARENA = 1 << 28


class PixelSteps(NamedTuple):
  """Steps that take pixels less a number.

  Attributes:
    steps: of the network.
    zero: what is taken from pixels from 0 to 255.
  """

  steps: tuple[FoldedStep, ...]
  zero: int


def missing() -> str:
  """Which package is lacking, "" where int8 files can be made and run."""
  if name := tflite_files.missing():
    return name
  if importlib.util.find_spec("ai_edge_quantizer") is None:
    return "ai-edge-quantizer"
  return ""


def has_micro() -> bool:
  """Whether the microcontroller's interpreter (extra `tflm`) is there."""
  return importlib.util.find_spec("tflite_micro") is not None


def of_pixels(
  steps: tuple[FoldedStep, ...], mean: Sequence[float], std: Sequence[float]
) -> PixelSteps:
  """The steps of a network behind the normalisation of pixels.

  Args:
    steps: of a network of normalised images.
    mean: of each channel, where white is 1.
    std: likewise.
  """
  means = _WHITE * np.asarray(mean, np.float64)
  zero = round(float(means.mean()))
  first = steps[0]
  if np.abs(means - zero).max() > 0.5 or first.op != "conv":
    return PixelSteps(programs.normalizing(steps, mean, std), 0)
  scale = 1.0 / (_WHITE * np.asarray(std, np.float64))
  kernel = first.arrays["kernel"].astype(np.float64)
  if first.numbers["groups"] == 1:
    scale = scale[:, None]
    means = means[:, None]
  kernel = kernel * scale
  # Where pixels are, not on the border, whose zeros stay.
  moved = first.arrays["bias"] + (kernel * (zero - means)).sum((0, 1, 2))
  arrays = {
    "kernel": kernel.astype(np.float32),
    "bias": moved.astype(np.float32),
  }
  return PixelSteps((first._replace(arrays=arrays), *steps[1:]), zero)


def quantize(
  steps: tuple[FoldedStep, ...],
  images: np.ndarray,
  limits: tuple[float, float] | None = None,
) -> bytes:
  """The int8 file of a network.

  Args:
    steps: of the network.
    images: for calibration, as the steps take them, `f32[N, H, W, C]`.
    limits: least and largest number that images can have; None for those of
      the calibration images.

  Raises:
    ValueError: there is no image, or an activation is not finite.
  """
  from ai_edge_quantizer import quantizer, recipe

  if not len(images):
    raise ValueError(
      "there are no calibration images; legal: at least 1, of those that the"
      " network was trained on"
    )
  model = tflite_files.convert(
    tuple(map(_floored, steps)), tuple(images.shape[1:])
  )
  with (
    contextlib.redirect_stdout(io.StringIO()),
    contextlib.redirect_stderr(io.StringIO()),
  ):
    maker = quantizer.Quantizer(bytearray(model), recipe.static_wi8_ai8())
    ranges = maker.calibrate(
      {
        tflite_files.SIGNATURE: [
          {tflite_files.IMAGES: image[None]}
          for image in images.astype(np.float32)
        ]
      }
    )
    for name, found in ranges.items():
      if not all(np.isfinite(found[end]).all() for end in ("min", "max")):
        raise ValueError(
          f"the network gives numbers that are not finite ({name}); legal: one"
          " whose weights and statistics are finite"
        )
    _widen(ranges, model)
    if limits is not None:
      of_images = ranges[tflite_files.IMAGES]
      for end, value in zip(("min", "max"), limits, strict=True):
        of_images[end] = np.full_like(of_images[end], value)
    made = maker.quantize(ranges, enable_progress_report=False)
  return tflite_files.pack(tflite_files.unpack(bytes(made.quantized_model)))


def _widen(ranges: dict[str, Any], model: bytes) -> None:
  """Gives maps that hardly vary a range in which int32 biases do not overflow.

  A bias counts steps of the scale of the map times that of the weights; a map
  that is the same for all images, as behind a ReLU that never opens, would have
  a scale of next to 0.
  """
  from ai_edge_litert import schema_py_generated as schema

  tree = tflite_files.unpack(model)
  (graph,) = tree.subgraphs
  # A padded map has the scale of the map that it was made of.
  padded = {
    o.outputs[0]: o.inputs[0]
    for o in graph.operators
    if tree.operatorCodes[o.opcodeIndex].builtinCode
    == schema.BuiltinOperator.PAD
  }
  for operator in graph.operators:
    if len(operator.inputs) != 3:  # No weights and bias.
      continue
    kernel, bias = (graph.tensors[i] for i in operator.inputs[1:])
    weights, biases = (
      np.frombuffer(tree.buffers[t.buffer].data.tobytes(), np.float32)
      for t in (kernel, bias)
    )
    # Channels are the last axis of a depthwise kernel, the first of others.
    is_depthwise = kernel.shape[0] == 1 and kernel.shape[-1] == len(biases)
    by_channel = weights.reshape(kernel.shape)
    axes = tuple(range(len(kernel.shape)))
    kept = axes[-1] if is_depthwise else 0
    largest = np.abs(by_channel).max(tuple(a for a in axes if a != kept))
    steps = np.abs(biases) / (largest / _MOST)
    least = _LEVELS * float(steps.max()) / _MOST_STEPS
    for place in (operator.inputs[0], padded.get(operator.inputs[0])):
      if place is not None:
        _reach(ranges[_name(graph.tensors[place])], least)


def _reach(found: Any, least: float) -> None:
  """Raises the upper end of a range until it is as wide."""
  low, high = (float(np.min(found["min"])), float(np.max(found["max"])))
  if max(high, 0.0) - min(low, 0.0) < least:
    found["max"] = np.full_like(found["max"], min(low, 0.0) + least)


def _name(tensor: Any) -> str:
  """As the schema's tree has it, of bytes or not."""
  name = tensor.name
  return name.decode() if isinstance(name, bytes) else str(name)


def _floored(step: FoldedStep) -> FoldedStep:
  """A step none of whose channels has weights next to 0 alone."""
  if step.op not in ("conv", "linear"):
    return step
  kernel = step.arrays["kernel"].copy()
  flat = kernel.reshape(-1, kernel.shape[-1])
  least = _LEAST_WEIGHT * max(float(np.abs(flat).max()), 1e-6)
  weak = np.abs(flat).max(0) < least
  flat[0, weak] = least
  return step._replace(arrays={**step.arrays, "kernel": kernel})


class Interpreted(NamedTuple):
  """What an interpreter gave.

  Attributes:
    integers: logits as the file has them, `i8[N, K]`.
    logits: what they stand for, `f32[N, K]`.
  """

  integers: np.ndarray
  logits: np.ndarray


def run(
  model: bytes, images: np.ndarray, *, reference: bool = False
) -> Interpreted:
  """Logits of images by LiteRT.

  Args:
    model: an int8 file.
    images: `i8[N, H, W, C]`, as the file takes them (`as_integers`).
    reference: by the kernels that are written for clearness, which round as
      those of microcontrollers do, not by the fast ones.
  """
  from ai_edge_litert import interpreter

  kinds = interpreter.OpResolverType
  runner = interpreter.Interpreter(
    model_content=model,
    num_threads=1,
    experimental_op_resolver_type=(
      kinds.BUILTIN_REF if reference else kinds.AUTO
    ),
  )
  runner.allocate_tensors()
  (source,), (result,) = runner.get_input_details(), runner.get_output_details()
  integers = []
  for image in images:
    runner.set_tensor(source["index"], image[None])
    runner.invoke()
    integers.append(runner.get_tensor(result["index"])[0].copy())
  stacked = np.stack(integers)
  return Interpreted(stacked, _real(stacked, *result["quantization"]))


def run_micro(model: bytes, images: np.ndarray) -> Interpreted:
  """The same by the microcontroller's own interpreter, with its kernels.

  Raises:
    ValueError: it does not load the file.
  """
  from tflite_micro import runtime

  try:
    runner = runtime.Interpreter.from_bytes(model, arena_size=LARGEST_ARENA)
  except Exception as error:
    raise ValueError(
      f"the microcontroller's interpreter does not load the file: {error}"
    ) from error
  integers = []
  for image in images:
    runner.set_input(image[None], 0)
    runner.invoke()
    integers.append(np.asarray(runner.get_output(0))[0].copy())
  stacked = np.stack(integers)
  details = runner.get_output_details(0)["quantization_parameters"]
  return Interpreted(
    stacked, _real(stacked, details["scales"][0], details["zero_points"][0])
  )


def as_integers(model: bytes, images: np.ndarray, zero: int = 0) -> np.ndarray:
  """Images as an int8 file takes them, `i8[N, H, W, C]`.

  Args:
    model: the file.
    images: `f32[N, H, W, C]`, or pixels from 0 to 255.
    zero: what is taken from pixels.
  """
  scale, offset = quantization(model)[0]
  integers = np.round((images.astype(np.float32) - zero) / scale) + offset
  return np.clip(integers, _LOWEST, -_LOWEST - 1).astype(np.int8)


def quantization(model: bytes) -> tuple[tuple[float, int], tuple[float, int]]:
  """Scale and offset of the images, and of the logits."""
  from ai_edge_litert import interpreter

  runner = interpreter.Interpreter(model_content=model, num_threads=1)
  (source,), (result,) = runner.get_input_details(), runner.get_output_details()
  return source["quantization"], result["quantization"]


def tensor_types(model: bytes) -> set[str]:
  """The types of all tensors of a file."""
  from ai_edge_litert import schema_py_generated as schema

  names = {
    value: name.lower()
    for name, value in vars(schema.TensorType).items()
    if isinstance(value, int)
  }
  return {
    names[tensor.type]
    for graph in tflite_files.unpack(model).subgraphs
    for tensor in graph.tensors
  }


def _real(integers: np.ndarray, scale: float, offset: int) -> np.ndarray:
  return np.asarray(scale * (integers.astype(np.float32) - offset), np.float32)
