"""Job `nbdt_tables`: the tables of chapter 5 of Wan 2022 on a data set.

For each seed a plain network, whose weights induce the hierarchy, and networks
trained alike but for the tree loss: by hierarchy, loss, schedule, and with
hierarchies made in training. With classes held out, the same are asked for the
superclass of images of classes they have not seen.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fbnax import __version__, nbdt, report
from fbnax.base import records
from fbnax.data import Dataset
from fbnax.jobs.nbdt_tables import cells as table_cells
from fbnax.jobs.nbdt_tables.cells import Cell
from fbnax.jobs.nbdt_tables.summary import summarize
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.networks import (
  AnyNetwork,
  at_resolution,
  read_network,
  read_recipe,
)
from fbnax.jobs.runtime.sections import TreeKeys
from fbnax.jobs.runtime.training import Supervised, Teacher, train_network
from fbnax.jobs.runtime.trees import measuring
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.jobs.runtime.trees.unseen import Unseen, hold_classes_out
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.spaces import Recipe
from fbnax.training import loop, model_files, outputs
from fbnax.training.progress import Progress, open_progress
from fbnax.training.recipes import Settings

SCHEMA_VERSION = 1
CASE = "tree.json"


@dataclasses.dataclass(frozen=True)
class Images:
  """A data set on the device, whole or without the unseen classes."""

  dataset: Dataset
  train: loop.Feed
  test: loop.Feed
  unseen: Unseen | None = None


@dataclasses.dataclass(frozen=True)
class Task:
  """What all trainings of the job share."""

  config: Any
  work: WorkDir
  progress: Progress
  network: AnyNetwork
  recipe: Recipe
  settings: Settings
  all_classes: Images
  seen_classes: Images | None


def run(config: Any, workdir: str) -> None:
  """Trains all cells with all seeds, or what is left; writes the report."""
  cells = table_cells.plan(config)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with open_progress() as progress:
      result = tabulate(config, cells, work, progress)
    work.write_result(result)
    page = report.write(work.path)
  for line in result["summary"]["said"]:
    print(line)
  print(f"report: {page}")


def tabulate(
  config: Any, cells: list[Cell], work: WorkDir, progress: Progress
) -> dict[str, Any]:
  """All of the job but the report; returns `result.json`."""
  with work.phase("data"):
    dataset = tree_settings.dataset(config)
    nothing = dataset.train.take(np.arange(0))
    facts = inputs.facts(dataset, dataset.train, nothing)
    network = dataclasses.replace(
      at_resolution(read_network(config.architecture), config.resolution),
      input_channels=dataset.channels,
    )
    seen = None
    if config.unseen.classes:
      seen = _place(*hold_classes_out(config.unseen, dataset))
    for cell in cells:
      images = seen.dataset if cell.unseen and seen else dataset
      section = table_cells.tree_section(config, cell)
      tree_settings.check_file(section, images.class_names)
    task = Task(
      config,
      work,
      progress,
      network,
      read_recipe(config),
      inputs.settings(config, dataset, network.resolution),
      _place(dataset),
      seen,
    )
  seeds = [config.seed + i for i in range(config.tables.seeds)]
  cases = []
  for number, seed in enumerate(seeds):
    for i, cell in enumerate(cells):
      with work.phase("training"):
        cases.append(_case(task, cell, seed))
      done = number * len(cells) + i + 1
      print(f"{done} of {len(seeds) * len(cells)}: {_line(cases[-1])}")
  return {
    "schema_version": SCHEMA_VERSION,
    "fbnax_version": __version__,
    "job": "nbdt_tables",
    "config": config.to_dict(),
    "dataset": facts,
    "network": json.loads(network.to_json()),
    "cases": cases,
    "summary": summarize(cases),
    "times": work.spent(),
  }


def _place(dataset: Dataset, unseen: Unseen | None = None) -> Images:
  return Images(
    dataset, loop.place(dataset.train), loop.place(dataset.test), unseen
  )


def _case(task: Task, cell: Cell, seed: int) -> dict[str, Any]:
  """Trains a cell's network if it is not there; measures it under its tree."""
  name = f"{cell.network}-seed{seed}"
  folder = task.work.path / "members" / name
  kind = Path(cell.hierarchy).stem
  record = folder / f"{kind}-{CASE}"
  kept: dict[str, Any] | None = records.read(record)
  if kept is not None:
    return kept
  images = task.seen_classes if cell.unseen else task.all_classes
  assert images is not None
  names = images.dataset.class_names
  tree = table_cells.tree_section(task.config, cell)
  entry, _, hierarchy = tree_training.train(
    tree,
    functools.partial(_hierarchy, task, cell, tree, seed, images),
    names,
    task.work.path / "hierarchies" / name,
    functools.partial(_fit, task, images, seed),
    name,
    task.recipe,
    task.settings,
  )
  network = model_files.load(folder)
  _, measured = measuring.measure(
    network, task.settings, images.test, hierarchy
  )
  case: dict[str, Any] = {
    "hierarchy": kind,
    "loss": cell.loss,
    "schedule": cell.schedule,
    "updates": list(cell.updates),
    "unseen": cell.unseen,
    "seed": seed,
    "network": name,
    "classes": len(names),
    "seconds": entry["seconds"],
    "agree": measured["agree"],
    "network_log_loss": measured["network_log_loss"],
    "tree_log_loss": measured["tree_log_loss"],
    **measuring.by_inference(measured),
    "superclasses": None,
  }
  if images.unseen is not None:
    of_held = outputs.of_split(
      network.module,
      task.settings,
      network.variables,
      loop.place(images.unseen.images),
    )
    case["superclasses"] = measuring.superclasses(
      of_held.logits, images.unseen, hierarchy
    )
  case = records.write(record, case)
  jax.clear_caches()  # Programs of this network; see `train_network`.
  return case


def _fit(
  task: Task,
  images: Images,
  seed: int,
  name: str,
  recipe: Recipe,
  settings: Settings,
  *,
  supervised: Supervised | None = None,
  start_from: Any = None,
) -> tuple[dict[str, Any], Teacher]:
  return train_network(
    task.work.path,
    name,
    task.network,
    recipe,
    settings,
    images.dataset,
    images.train,
    None,
    teacher=None,
    seed=seed,
    checkpoint_every=task.config.training.checkpoint_every,
    progress=task.progress,
    supervised=supervised,
    start_from=start_from,
  )


def _hierarchy(
  task: Task, cell: Cell, tree: TreeKeys, seed: int, images: Images
) -> nbdt.Hierarchy:
  """A cell's hierarchy, of the plain network of the same seed and classes."""
  kind = Path(cell.hierarchy).stem
  ending = "-unseen" if cell.unseen else ""
  plain = f"{Cell('', unseen=cell.unseen).network}-seed{seed}"
  return tree_training.first_hierarchy(
    task.work.path / "hierarchies" / f"{kind}{ending}-seed{seed}.json",
    tree,
    images.dataset.class_names,
    seed,
    lambda: model_files.load(task.work.path / "members" / plain),
    images.train,
    task.settings,
  )


def _line(case: dict[str, Any]) -> str:
  line = (
    f"{case['network']} under {case['hierarchy']}: network "
    f"{case['network_accuracy']:.4f}, soft {case['soft_accuracy']:.4f}, hard "
    f"{case['hard_accuracy']:.4f}"
  )
  unseen = case["superclasses"]
  if unseen:
    line += (
      f"; superclasses of unseen classes: network {unseen['plain']:.4f}, tree "
      f"{unseen['tree']:.4f}"
    )
  return line
