"""Job `export`: a trained network as programs that others run.

Leaves in the work directory `model.stablehlo` with `load.py`, `model.onnx`,
`model.tflite`, `model_int8.tflite` with the C++ sources of a microcontroller
(`fbnax.jobs.export.device`), `weights.safetensors` with timm's names where
these exist, `model.json`, the model card, and `README.md`, the same for people
and for a hub (`fbnax.jobs.export.hub_card`). Every program is run here and
compared with the network, or judged beside it, and the StableHLO one is timed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fbnax import __version__, costs
from fbnax.base import files, json_values
from fbnax.data import Dataset
from fbnax.jobs.export import (
  c_array,
  device,
  hub_card,
  onnx_files,
  tflite_files,
  tflite_int8,
)
from fbnax.jobs.export import programs as exporting
from fbnax.jobs.export.config import ExportConfig
from fbnax.jobs.export.result import (
  DeviceChecks,
  ExportedProgram,
  ExportLatency,
  ExportResult,
)
from fbnax.jobs.runtime import classes, inputs
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import folded, save_weights, timing
from fbnax.report.schema import as_json
from fbnax.spaces import Architecture
from fbnax.training import model_files
from fbnax.training.progress import Progress

_BATCHES = (1, 7)
_TOLERANCE = {
  "stablehlo": 1e-3,
  "onnx": 1e-3,
  "tflite": 1e-5,
}  # Of the largest logit.


class Reference(NamedTuple):
  """What programs are compared with.

  Attributes:
    images: `[B, H, W, C]`, as programs take them.
    logits: of the network, by batch.
  """

  images: np.ndarray
  logits: Mapping[int, np.ndarray]


def prepare(config: ExportConfig) -> None:
  """Raises a ValueError where no model is named, or a package is lacking."""
  if not config.model:
    raise ValueError("config.model is empty; give a model's directory")
  for key, extra, missing in (
    ("onnx", "onnx", onnx_files.missing),
    ("tflite", "tflite", tflite_files.missing),
    ("int8", "tflite", tflite_int8.missing),
  ):
    if getattr(config, key) and (name := missing()):
      raise ValueError(
        f"config.{key} needs the package {name}: pip install"
        f" 'fbnax[{extra}]', or --config.{key}=False"
      )


def run(
  config: ExportConfig, work: WorkDir, progress: Progress
) -> ExportResult:
  """Writes the programs of `config.model`; compares and times them."""
  del progress
  saved = model_files.load(config.model)
  side = saved.card["preprocessing"]["resolution"]
  shape = (side, side, saved.module.architecture.input_channels)
  result = _programs(config, saved, shape, work)
  if result.device is not None and result.device.drop > config.max_drop:
    print(
      f"warning: int8 costs {100 * result.device.drop:.1f} points of test"
      f" accuracy; config.max_drop is {100 * config.max_drop:g}"
    )
  weights = _weights(saved, work.path)
  origin = _run_of(config.model)
  card = json_values.plain(
    _card(config, saved, shape, result, weights, origin), "card"
  )
  files.write_atomically(
    work.path / hub_card.FILE,
    hub_card.text(Path(config.model).absolute().name, card, _dataset(origin)),
  )
  files.write_atomically(
    work.path / model_files.CARD,
    json_values.to_json(card, indent=2) + "\n",
  )
  return result


def lines(result: ExportResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  for name, program in result.programs.items():
    line = f"{folder / program.file}: {program.bytes:,} bytes"
    if program.difference is not None:
      line += (
        f", logits of {name} within {program.difference:.1e} of the network's"
      )
    yield line
  if result.device is not None:
    yield from _device_lines(result.device)
  latency = result.latency
  budget = latency.budget_ms
  yield (
    f"{latency.ms:.2f} ms for one image on {latency.device}"
    + ("" if budget is None else f"; the budget is {budget:g} ms")
  )


def _device_lines(checks: DeviceChecks) -> Iterator[str]:
  yield (
    f"int8: accuracy {checks.int8_accuracy:.4f} on {checks.images} test"
    f" images, {checks.float_accuracy:.4f} of the network; the same class for"
    f" {checks.same_class:.4f} of them"
  )
  if checks.onnx_accuracy is not None:
    yield f"int8 ONNX: accuracy {checks.onnx_accuracy:.4f}"
  if checks.arena is None:
    yield (
      "not run by the microcontroller's interpreter, which is not installed:"
      " pip install 'fbnax[tflm]'"
    )
    return
  yield (
    f"the microcontroller's interpreter takes {checks.arena:,} bytes, and"
    f" {checks.loading_arena:,} to load (64 bits, reference kernels); its"
    f" logits are within {checks.micro_step} steps"
  )


def _programs(
  config: ExportConfig,
  saved: model_files.SavedModel,
  shape: tuple[int, int, int],
  work: WorkDir,
) -> ExportResult:
  """Makes each program, says how it compares and what it takes; writes all.

  They are written when all are made, so that one that cannot be made leaves
  nothing.
  """
  dtype = _dtype(config)
  steps = folded.fold(saved.module.architecture, saved.variables)
  if config.normalize:
    pixels = saved.card["preprocessing"]
    steps = exporting.normalizing(steps, pixels["mean"], pixels["std"])
  reference = _reference(config, saved, shape)
  programs: dict[str, ExportedProgram] = {}
  contents: dict[str, str | bytes] = {}
  with work.phase("stablehlo"):
    content = exporting.stablehlo(steps, shape, dtype, config.platforms)
    # Made on every backend: it says whether the program can be read.
    call = exporting.run_stablehlo(content)
    if jax.default_backend() not in _backends(config):
      call = jax.jit(exporting.function(steps))
    contents["model.stablehlo"] = content
    programs["stablehlo"] = _compared(
      "stablehlo", "model.stablehlo", content, call, reference
    )
    contents["load.py"] = exporting.loader(shape, dtype)
  if config.onnx:
    with work.phase("onnx"):
      model = onnx_files.convert(steps, shape, dtype)
      contents["model.onnx"] = model
      programs["onnx"] = _compared(
        "onnx",
        "model.onnx",
        model,
        lambda images: onnx_files.run(model, images),
        reference,
      )
  if config.tflite:
    with work.phase("tflite"):
      plain = folded.fold(saved.module.architecture, saved.variables)
      model = tflite_files.convert(plain, shape)
      contents["model.tflite"] = model
      programs["tflite"] = _compared(
        "tflite",
        "model.tflite",
        model,
        functools.partial(tflite_files.run, model),
        reference._replace(images=_normal(reference.images, saved, config)),
      )
  checks = None
  if config.int8:
    with work.phase("int8"):
      made = device.make(
        saved,
        _data(config, saved),
        config.calibration_images,
        config.seed,
        _onnx(config, saved, contents),
      )
      checks = made.checks
      contents["model_int8.tflite"] = made.content
      contents |= c_array.sources(
        made.content, shape, saved.class_names, checks.loading_arena
      )
      programs["int8"] = ExportedProgram("model_int8.tflite", len(made.content))
      if made.onnx is not None:
        contents["model_int8.onnx"] = made.onnx
        programs["onnx_int8"] = ExportedProgram(
          "model_int8.onnx", len(made.onnx)
        )
  with work.phase("latency"):
    entry = timing.measure_function(
      call, reference.images[:1], timing.TimingSettings(repeats=config.repeats)
    )
  for file, text in contents.items():
    files.write_atomically(work.path / file, text)
  return ExportResult(
    programs=programs,
    latency=ExportLatency(
      device=timing.device(),
      ms=entry.ms,
      spread=entry.spread,
      budget_ms=config.budget_ms or None,
    ),
    device=checks,
  )


def _data(config: ExportConfig, saved: model_files.SavedModel) -> Dataset:
  """The images that calibrate and judge, of the model's classes."""
  dataset = inputs.dataset(config, saved.bits)
  classes.check(config.model, saved, dataset)
  return dataset


def _onnx(
  config: ExportConfig,
  saved: model_files.SavedModel,
  contents: Mapping[str, str | bytes],
) -> device.OnnxFile | None:
  """The float ONNX file among what is written, and how it takes pixels."""
  content = contents.get("model.onnx")
  if not isinstance(content, bytes):
    return None
  if config.normalize:
    return device.OnnxFile(content, lambda pixels: pixels.astype(np.uint8))
  return device.OnnxFile(content, lambda pixels: _normalized(pixels, saved))


def _normalized(
  pixels: np.ndarray, saved: model_files.SavedModel
) -> np.ndarray:
  given = saved.card["preprocessing"]
  mean, std = (np.asarray(given[name]) for name in ("mean", "std"))
  return ((pixels / 255.0 - mean) / std).astype(np.float32)


def _normal(
  images: np.ndarray, saved: model_files.SavedModel, config: ExportConfig
) -> np.ndarray:
  """Images as the network takes them."""
  return _normalized(images, saved) if config.normalize else images


def _dtype(config: ExportConfig) -> Any:
  """Of a program's images."""
  return np.uint8 if config.normalize else np.float32


def _reference(
  config: ExportConfig,
  saved: model_files.SavedModel,
  shape: tuple[int, int, int],
) -> Reference:
  """The network's logits of random images.

  Raises:
    ValueError: they are not finite.
  """
  preprocessing = saved.card["preprocessing"]
  mean, std = (np.asarray(preprocessing[name]) for name in ("mean", "std"))
  apply = jax.jit(lambda x: saved.module.apply(saved.variables, x, train=False))
  pixels = np.random.default_rng(0).integers(
    0, 256, (max(_BATCHES), *shape), np.uint8
  )
  normal = ((pixels / 255.0 - mean) / std).astype(np.float32)
  logits = {n: np.asarray(apply(normal[:n])) for n in _BATCHES}
  if not all(np.isfinite(values).all() for values in logits.values()):
    raise ValueError(
      f"{config.model} gives logits that are not finite on random images;"
      " legal: a model that can be used"
    )
  return Reference(pixels if config.normalize else normal, logits)


def _compared(
  kind: str,
  file: str,
  content: bytes,
  call: Callable[[Any], Any],
  reference: Reference,
) -> ExportedProgram:
  """A program, which gives the network's logits.

  Raises:
    RuntimeError: it gives others.
  """
  difference = max(
    float(np.abs(np.asarray(call(reference.images[:n])) - logits).max())
    for n, logits in reference.logits.items()
  )
  scale = max(float(np.abs(v).max()) for v in reference.logits.values())
  if not difference <= _TOLERANCE[kind] * max(scale, 1.0):
    raise RuntimeError(
      f"{file}: logits differ from the network's by {difference}"
    )
  return ExportedProgram(file, len(content), difference, scale)


def _backends(config: ExportConfig) -> set[str]:
  """What `jax.default_backend` says on each platform."""
  return {{"cuda": "gpu"}.get(p, p) for p in config.platforms}


def _weights(saved: model_files.SavedModel, directory: Path) -> str | None:
  """Writes the weights under timm's names; None where it has no such net."""
  network = saved.module.architecture
  if not isinstance(network, Architecture):
    return None
  try:
    save_weights(directory / "weights.safetensors", network, saved.variables)
  except ValueError as error:
    print(f"no weights.safetensors: {error}")
    return None
  return "weights.safetensors"


def _card(
  config: ExportConfig,
  saved: model_files.SavedModel,
  shape: tuple[int, int, int],
  result: ExportResult,
  weights: str | None,
  origin: Mapping[str, Any],
) -> dict[str, Any]:
  """The model card of what was exported."""
  card = saved.card
  entry = card.get("entry") or {}
  counted = costs.count(saved.module.architecture, len(card["class_names"]))
  return {
    **{key: value for key, value in card.items() if key != "entry"},
    "recipe": card.get("recipe") or entry.get("recipe"),
    "accuracy": {
      "test_accuracy": entry.get("test_accuracy"),
      "test_log_loss": entry.get("test_log_loss"),
    },
    "costs": {"macs": counted.macs, "params": counted.params},
    "budget": _budget(config.model, origin),
    "licence": config.licence or card.get("licence", ""),
    "input": {
      "shape": ["batch", *shape],
      "dtype": np.dtype(_dtype(config)).name,
      "normalized": not config.normalize,
    },
    "programs": as_json(result.programs),
    "weights": weights,
    "platforms": list(config.platforms),
    "latency": as_json(result.latency),
    **({"int8": as_json(result.device)} if result.device else {}),
    "fbnax_version": __version__,
  }


def _run_of(model: str) -> dict[str, Any]:
  """The result of the run whose member a model is; empty where it is none."""
  try:
    run = Path(model).absolute().parents[1]
    return json_values.read_object(files.inside(run, run / "result.json"))
  except (OSError, ValueError, IndexError):
    return {}


def _budget(model: str, run: Mapping[str, Any]) -> Any:
  """What the member was searched under, where its run says so."""
  members = run.get("members")
  name = Path(model).absolute().name
  for member in members if isinstance(members, list) else ():
    if isinstance(member, dict) and member.get("name") == name:
      return member.get("budget")
  return None


def _dataset(run: Mapping[str, Any]) -> dict[str, Any]:
  """What the run says of its data, as far as it is what it must be."""
  facts = run.get("dataset")
  kinds = {"name": str, "test": int}
  return {
    key: facts[key]
    for key, kind in kinds.items()
    if isinstance(facts, dict) and isinstance(facts.get(key), kind)
  }
