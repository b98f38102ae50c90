"""Job `export`: a trained network as programs that others run.

Leaves in the work directory `model.stablehlo` with `load.py`, `model.onnx`,
`weights.safetensors` with timm's names where these exist, and `model.json`, the
model card. Every program is run here and compared with the network, and the
StableHLO one is timed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from fbnax import __version__, costs
from fbnax.base import files, json_values
from fbnax.jobs.export import onnx_files
from fbnax.jobs.export import programs as exporting
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.models import folded, save_weights, timing
from fbnax.spaces import Architecture
from fbnax.training import model_files

SCHEMA_VERSION = 1
_BATCHES = (1, 7)
_TOLERANCE = {"stablehlo": 1e-3, "onnx": 1e-3}  # Of the largest logit.


def run(config: Any, workdir: str) -> None:
  """Writes the programs of `config.model`; compares and times them."""
  if not config.model:
    raise ValueError("config.model is empty; give a model's directory")
  if config.onnx and (name := onnx_files.missing()):
    raise ValueError(
      f"config.onnx needs the package {name}: pip install 'fbnax[onnx]', or"
      " --config.onnx=False"
    )
  if config.budget_ms < 0:
    raise ValueError(
      f"config.budget_ms is {config.budget_ms!r}; legal: 0 for none, or more"
    )
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    saved = model_files.load(config.model)
    side = saved.card["preprocessing"]["resolution"]
    shape = (side, side, saved.module.architecture.input_channels)
    dtype = np.uint8 if config.normalize else np.float32
    found = _programs(config, saved, shape, dtype, work)
    card = _card(config, saved, shape, dtype, found)
    files.write_atomically(
      work.path / model_files.CARD,
      json_values.to_json(json_values.plain(card, "card"), indent=2) + "\n",
    )
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "export",
        "config": config.to_dict(),
        "programs": found["programs"],
        "latency": found["latency"],
        "times": work.spent(),
      }
    )
  for name, program in found["programs"].items():
    print(
      f"{work.path / program['file']}: {program['bytes']:,} bytes, logits of"
      f" {name} within {program['difference']:.1e} of the network's"
    )
  latency = found["latency"]
  budget = latency["budget_ms"]
  print(
    f"{latency['ms']:.2f} ms for one image on {latency['device']}"
    + ("" if budget is None else f"; the budget is {budget:g} ms")
  )


def _programs(
  config: Any,
  saved: model_files.SavedModel,
  shape: tuple[int, int, int],
  dtype: Any,
  work: WorkDir,
) -> dict[str, Any]:
  """Makes each program, says how it compares and what it takes; writes all.

  They are written when all are made, so that one that cannot be made leaves
  nothing.
  """
  network = saved.module.architecture
  given = saved.card["preprocessing"]
  mean, std = np.asarray(given["mean"]), np.asarray(given["std"])
  steps = folded.fold(network, saved.variables)
  if config.normalize:
    steps = exporting.normalizing(steps, given["mean"], given["std"])
  apply = jax.jit(lambda x: saved.module.apply(saved.variables, x, train=False))
  pixels = np.random.default_rng(0).integers(
    0, 256, (max(_BATCHES), *shape), np.uint8
  )
  normal = ((pixels / 255.0 - mean) / std).astype(np.float32)
  images = pixels if config.normalize else normal
  wanted = {n: np.asarray(apply(normal[:n])) for n in _BATCHES}
  if not all(np.isfinite(logits).all() for logits in wanted.values()):
    raise ValueError(
      f"{config.model} gives logits that are not finite on random images;"
      " legal: a model that can be used"
    )
  programs: dict[str, Any] = {}
  contents: dict[str, str | bytes] = {}

  def add(kind: str, file: str, content: bytes, call: Any) -> None:
    differences = [
      float(np.abs(np.asarray(call(images[:n])) - wanted[n]).max())
      for n in _BATCHES
    ]
    scale = max(float(np.abs(w).max()) for w in wanted.values())
    if not max(differences) <= _TOLERANCE[kind] * max(scale, 1.0):
      raise RuntimeError(
        f"{file}: logits differ from the network's by {max(differences)}"
      )
    contents[file] = content
    programs[kind] = {
      "file": file,
      "bytes": len(content),
      "difference": max(differences),
      "largest_logit": scale,
    }

  with work.phase("stablehlo"):
    program = exporting.stablehlo(steps, shape, dtype, config.platforms)
    here = exporting.run_stablehlo(program)
    call = here if jax.default_backend() in _backends(config) else None
    if call is None:
      call = jax.jit(exporting.function(steps))
    add("stablehlo", "model.stablehlo", program, call)
    contents["load.py"] = exporting.loader(shape, dtype)
  if config.onnx:
    with work.phase("onnx"):
      model = onnx_files.convert(steps, shape, dtype)
      add("onnx", "model.onnx", model, lambda x: onnx_files.run(model, x))
  with work.phase("latency"):
    entry = timing.measure_function(
      call, images[:1], timing.Settings(repeats=config.repeats)
    )
  latency = {
    "device": timing.device(),
    "ms": entry.ms,
    "spread": entry.spread,
    "batch_size": 1,
    "budget_ms": config.budget_ms or None,
  }
  for file, content in contents.items():
    files.write_atomically(work.path / file, content)
  weights = _weights(saved, network, work.path)
  return {"programs": programs, "weights": weights, "latency": latency}


def _backends(config: Any) -> set[str]:
  """What `jax.default_backend` says on each platform."""
  return {{"cuda": "gpu"}.get(p, p) for p in config.platforms}


def _weights(
  saved: model_files.SavedModel, network: Any, directory: Path
) -> str | None:
  """Writes the weights under timm's names; None where it has no such net."""
  if not isinstance(network, Architecture):
    return None
  try:
    save_weights(directory / "weights.safetensors", network, saved.variables)
  except ValueError as error:
    print(f"no weights.safetensors: {error}")
    return None
  return "weights.safetensors"


def _card(
  config: Any,
  saved: model_files.SavedModel,
  shape: tuple[int, int, int],
  dtype: Any,
  found: dict[str, Any],
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
    "budget": _budget(config.model),
    "licence": config.licence or card.get("licence", ""),
    "input": {
      "shape": ["batch", *shape],
      "dtype": np.dtype(dtype).name,
      "normalized": not config.normalize,
    },
    "programs": found["programs"],
    "weights": found["weights"],
    "platforms": list(config.platforms),
    "latency": found["latency"],
    "fbnax_version": __version__,
  }


def _budget(model: str) -> Any:
  """What the member was searched under, where its run says so."""
  directory = Path(model).absolute()
  try:
    run = directory.parents[1]
    result = json_values.read(files.inside(run, run / "result.json"))
    members = list(result.get("members", []))
  except (OSError, ValueError, IndexError, AttributeError, TypeError):
    return None
  known = [m for m in members if isinstance(m, dict)]
  named = [m for m in known if m.get("name") == directory.name]
  return named[0].get("budget") if named else None
