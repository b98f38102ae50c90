"""Job `train`: one network, any architecture with any recipe."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from fbnax import __version__, data, report
from fbnax.jobs import inputs
from fbnax.jobs.training import Teacher, train_network
from fbnax.jobs.workdir import open_workdir
from fbnax.spaces import Architecture, Recipe, zoo
from fbnax.training import loop, model_files
from fbnax.training.progress import open_progress

SCHEMA_VERSION = 1


def run(config: Any, workdir: str) -> None:
  """Trains `config.architecture` with `config.recipe`; writes the report."""
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with work.phase("data"):
      dataset = inputs.dataset(config)
      train, validation = data.hold_out(
        dataset.train, config.data.validation_fraction, seed=config.seed
      )
      facts = inputs.facts(dataset, train, validation)
    architecture = read_architecture(config.architecture)
    architecture = dataclasses.replace(
      architecture,
      input_channels=dataset.channels,
      resolution=config.resolution or architecture.resolution,
    )
    recipe = read_recipe(config)
    teacher = None
    if config.teacher:
      saved = model_files.load(config.teacher)
      if saved.module.num_classes != dataset.num_classes:
        raise ValueError(
          f"config.teacher has {saved.module.num_classes} classes; "
          f"legal: {dataset.num_classes}, as the data set"
        )
      teacher = Teacher(config.teacher, saved.module, saved.variables)
    settings = inputs.settings(config, dataset, architecture.resolution)
    with open_progress() as progress, work.phase("training"):
      entry, _ = train_network(
        work.path,
        Path(config.architecture).stem,
        architecture,
        recipe,
        settings,
        dataset,
        loop.place(train),
        loop.place(validation),
        teacher=teacher,
        seed=config.seed,
        checkpoint_every=config.training.checkpoint_every,
        progress=progress,
      )
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "train",
        "config": config.to_dict(),
        "dataset": facts,
        "members": [entry],
        "times": {"phases": work.times(), "total": sum(work.times().values())},
      }
    )
    page = report.write(work.path)
  print(
    f"test accuracy {entry['test_accuracy']:.4f}, "
    f"{entry['macs']:,} MACs, {entry['params']:,} parameters; report: {page}"
  )


def read_architecture(name: str) -> Architecture:
  """An architecture of the zoo, a JSON file, or a model's directory.

  Raises:
    ValueError: there is none of that name; the file or the nearest names.
  """
  path = Path(name)
  if path.is_dir():
    return model_files.load(path).module.architecture
  if path.suffix == ".json" or path.exists():
    return Architecture.from_json(_read(path))
  return zoo.get(name)


def read_recipe(config: Any) -> Recipe:
  """The recipe of `config.recipe_file`, or else of `config.recipe`."""
  if config.recipe_file:
    return Recipe.from_json(_read(Path(config.recipe_file)))
  recipe = Recipe(**config.recipe.to_dict())
  recipe.validate()
  return recipe


def _read(path: Path) -> str:
  try:
    text = path.read_text("utf-8")
    content = json.loads(text)
  except FileNotFoundError:
    raise ValueError(f"{path}: no such file") from None
  except ValueError as error:
    raise ValueError(f"{path} is no JSON: {error}") from error
  # An architecture or recipe may stand alone, or in a list of candidates.
  if isinstance(content, dict) and path.name == model_files.CARD:
    return json.dumps(content["architecture"])
  return text
