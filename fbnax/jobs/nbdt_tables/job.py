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

import jax
import numpy as np

from fbnax import nbdt
from fbnax.data import Dataset
from fbnax.jobs.nbdt_tables import cells as table_cells
from fbnax.jobs.nbdt_tables.cells import network_name
from fbnax.jobs.nbdt_tables.config import NbdtTablesConfig
from fbnax.jobs.nbdt_tables.result import Cell, TablesResult, TrainedCell
from fbnax.jobs.nbdt_tables.summary import summarize
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.networks import (
  AnyNetwork,
  at_resolution,
  read_network,
  read_recipe,
)
from fbnax.jobs.runtime.sections import TreeKeys
from fbnax.jobs.runtime.trees import measuring
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.jobs.runtime.trees.unseen import HeldOut, hold_classes_out
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.report import reading, schema
from fbnax.spaces import Recipe
from fbnax.training import loop, model_files, outputs
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings

CASE = "tree.json"


def prepare(config: NbdtTablesConfig) -> None:
  """Refuses what cannot be trained before anything is read."""
  table_cells.plan(config)


def run(
  config: NbdtTablesConfig, work: WorkDir, progress: Progress
) -> TablesResult:
  """Trains all cells with all seeds, or what is left."""
  cells = table_cells.plan(config)
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
    task = TablesTask(
      config,
      work,
      progress,
      network,
      read_recipe(config),
      inputs.settings(config, dataset, network.resolution),
      _place(dataset),
      seen,
    )
  cases: list[TrainedCell] = []
  number = config.tables.seeds * len(cells)
  for i in range(config.tables.seeds):
    for cell in cells:
      with work.phase("training"):
        cases.append(_case(task, cell, config.seed + i))
      print(f"{len(cases)} of {number}: {_line(cases[-1])}")
  return TablesResult(
    dataset=facts,
    network=json.loads(network.to_json()),
    cases=tuple(cases),
    summary=summarize(cases),
  )


def lines(result: TablesResult, folder: Path) -> tuple[str, ...]:
  """What is printed at the end."""
  del folder
  return result.summary.said


@dataclasses.dataclass(frozen=True)
class PlacedImages:
  """A data set on the device, whole or without the unseen classes."""

  dataset: Dataset
  train: loop.Feed
  test: loop.Feed
  unseen: HeldOut | None = None


@dataclasses.dataclass(frozen=True)
class TablesTask:
  """What all trainings of the job share."""

  config: NbdtTablesConfig
  work: WorkDir
  progress: Progress
  network: AnyNetwork
  recipe: Recipe
  settings: Settings
  all_classes: PlacedImages
  seen_classes: PlacedImages | None

  def settings_for(self, images: PlacedImages) -> Settings:
    """The settings with the weights of the classes that are trained on."""
    seen = images.dataset
    weights = inputs.class_weights(
      self.config.training.class_weights, seen.train.labels, seen.class_names
    )
    return dataclasses.replace(self.settings, class_weights=weights)


def _place(dataset: Dataset, unseen: HeldOut | None = None) -> PlacedImages:
  return PlacedImages(
    dataset, loop.place(dataset.train), loop.place(dataset.test), unseen
  )


def _case(task: TablesTask, cell: Cell, seed: int) -> TrainedCell:
  """A cell with a seed, kept for a run that goes on."""
  name = f"{network_name(cell)}-seed{seed}"
  kind = Path(cell.hierarchy).stem
  kept = task.work.kept(
    f"members/{name}/{kind}-{CASE}",
    lambda: schema.as_json(_trained(task, cell, seed, name, kind)),
  )
  return reading.parse(TrainedCell, kept)


def _trained(
  task: TablesTask, cell: Cell, seed: int, name: str, kind: str
) -> TrainedCell:
  """Trains a cell's network if it is not there; measures it under its tree."""
  images = task.seen_classes if cell.unseen else task.all_classes
  assert images is not None
  names, settings = images.dataset.class_names, task.settings_for(images)
  tree = table_cells.tree_section(task.config, cell)
  member, _, hierarchy = tree_training.train(
    tree,
    functools.partial(_hierarchy, task, cell, tree, seed, images),
    names,
    task.work.path / "hierarchies" / name,
    tree_training.fitting(
      task.work.path,
      task.network,
      images.dataset,
      images.train,
      None,
      seed=seed,
      checkpoint_every=task.config.training.checkpoint_every,
      progress=task.progress,
    ),
    name,
    task.recipe,
    settings,
  )
  network = model_files.load(task.work.path / "members" / name)
  _, measured = measuring.measure(network, settings, images.test, hierarchy)
  superclasses = None
  if images.unseen is not None:
    said = outputs.of_split(
      network.module,
      settings,
      network.variables,
      loop.place(images.unseen.images),
    )
    superclasses = measuring.superclasses(said.logits, images.unseen, hierarchy)
  jax.clear_caches()  # Programs of this network; see `train_network`.
  return TrainedCell(
    **vars(dataclasses.replace(cell, hierarchy=kind)),
    seed=seed,
    network=name,
    classes=len(names),
    seconds=member.seconds,
    agree=measured.agree,
    network_log_loss=measured.network_log_loss,
    tree_log_loss=measured.tree_log_loss,
    network_accuracy=measured.network,
    soft_accuracy=measured.soft,
    hard_accuracy=measured.hard,
    superclasses=superclasses,
  )


def _hierarchy(
  task: TablesTask, cell: Cell, tree: TreeKeys, seed: int, images: PlacedImages
) -> nbdt.Hierarchy:
  """A cell's hierarchy, of the plain network of the same seed and classes."""
  kind = Path(cell.hierarchy).stem
  ending = "-unseen" if cell.unseen else ""
  plain = f"{network_name(Cell(unseen=cell.unseen))}-seed{seed}"
  return tree_training.first_hierarchy(
    task.work.path / "hierarchies" / f"{kind}{ending}-seed{seed}.json",
    tree,
    images.dataset.class_names,
    seed,
    lambda: model_files.load(task.work.path / "members" / plain),
    images.train,
    task.settings_for(images),
  )


def _line(case: TrainedCell) -> str:
  line = (
    f"{case.network} under {case.hierarchy}: network "
    f"{case.network_accuracy:.4f}, soft {case.soft_accuracy:.4f}, hard "
    f"{case.hard_accuracy:.4f}"
  )
  if case.superclasses is not None:
    line += (
      f"; superclasses of unseen classes: network "
      f"{case.superclasses.plain:.4f}, tree {case.superclasses.tree:.4f}"
    )
  return line
