"""Job `nbdt`: a classifier as a tree of decisions, trained to be a good one.

Either a network of the project: the plain one is trained (or given, with
`config.model`), its last weights induce the hierarchy, a second one is trained
or fine-tuned with the tree loss, and both are measured plainly and by the tree.
Or a classifier from elsewhere (`config.foreign.weights`), which is explained as
it is. Then the analyses and the pictures.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from fbnax import nbdt
from fbnax.data import Dataset
from fbnax.jobs.nbdt import analyses, foreign
from fbnax.jobs.nbdt.config import NbdtConfig
from fbnax.jobs.nbdt.result import AnyMember, NbdtResult, WeightsResult
from fbnax.jobs.runtime import classes, inputs
from fbnax.jobs.runtime.networks import (
  AnyNetwork,
  at_resolution,
  read_network,
  read_recipe,
)
from fbnax.jobs.runtime.trees import explaining, measuring
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.jobs.runtime.trees.unseen import HeldOut, hold_classes_out
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models.classifier import final_weights
from fbnax.report import schema
from fbnax.spaces import Recipe
from fbnax.training import loop, model_files, outputs
from fbnax.training.model_files import SavedModel
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings

PLAIN, TREE = "plain", "tree"


def prepare(config: NbdtConfig) -> None:
  """Refuses a tree before anything is read.

  Raises:
    ValueError: see `trees.settings.check`; or training, of a classifier from
      elsewhere.
  """
  tree = config.tree
  if config.foreign.weights:
    if tree.period or tree_settings.needs_features(tree.hierarchy):
      raise ValueError(
        f"config.tree.hierarchy is {tree.hierarchy!r} and config.tree.period "
        f"{tree.period} with config.foreign.weights, which are not trained; "
        f"legal: induced, wordnet, random or a file, and 0"
      )
    tree_settings.check(tree, 1)
    return
  tree_settings.check(tree, tree.finetune_epochs or config.training.epochs)


def run(
  config: NbdtConfig, work: WorkDir, progress: Progress
) -> NbdtResult | WeightsResult:
  """Trains, measures and explains, or explains what is there."""
  if config.foreign.weights:
    return foreign.explained(config, work)
  with work.phase("data"):
    task = _task(config, work, progress)
  names, made, members = task.dataset.class_names, work.path / "hierarchies", []
  if config.model:
    plain = model_files.load(config.model)
  else:
    with work.phase("plain training"):
      members.append(task.fit(PLAIN, task.recipe, task.settings)[0])
    plain = model_files.load(work.path / "members" / PLAIN)
  networks = {PLAIN: plain}
  with work.phase("hierarchy"):
    first = tree = tree_training.first_hierarchy(
      made / "before.json",
      config.tree,
      names,
      config.seed,
      lambda: plain,
      task.train,
      plain.settings(),
    )
  if config.tree.loss != "none":
    with work.phase("tree training"):
      member, _, tree = tree_training.train(
        config.tree,
        lambda: first,
        names,
        made,
        task.fit,
        TREE,
        task.recipe,
        task.settings,
        plain,
      )
      members.append(member)
    networks[TREE] = model_files.load(work.path / "members" / TREE)
  result = NbdtResult(
    dataset=task.facts,
    network=json.loads(task.network.to_json()),
    hierarchy=analyses.described(config.tree.hierarchy, tree),
    members=tuple(AnyMember(**vars(member)) for member in members),
    class_names=names,
    superclass_names=() if task.unseen is None else task.unseen.superclasses,
  )
  return _explained(task, result, networks, tree)


def _explained(
  task: TreeTask,
  result: NbdtResult,
  networks: dict[str, SavedModel],
  tree: nbdt.Hierarchy,
) -> NbdtResult:
  """The result with all that is measured; the last network is explained."""
  work, unseen = task.work, task.unseen
  with work.phase("analyses"):
    test = loop.place(task.dataset.test)
    accuracies = {}
    for name, saved in networks.items():
      said, accuracies[name] = measuring.measure(
        saved, saved.settings(), test, tree
      )
    seen = explaining.with_images(said, task.dataset)
    unseen_logits = _of_unseen(networks, unseen)
    analysed = analyses.analyse(
      seen,
      tree,
      final_weights(saved.variables),
      unseen,
      unseen_logits.get(name),
    )
    unseen_plain = None
    if unseen is not None and name != PLAIN:
      unseen_plain = measuring.superclasses(unseen_logits[PLAIN], unseen, tree)
  with work.phase("pictures"):
    pictures = explaining.draw(
      work.path, tree, f"{task.facts.name}: decisions", seen, analysed.nodes
    )
  return dataclasses.replace(
    result,
    accuracies=accuracies,
    pictures=pictures,
    unseen_plain=unseen_plain,
    **vars(analysed),
  )


def lines(result: NbdtResult | WeightsResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  for name, row in result.accuracies.items():
    yield (
      f"{name}: network {row.network:.4f}, soft tree {row.soft:.4f}, "
      f"hard tree {row.hard:.4f}"
    )
  yield f"tree: {folder / explaining.PAGE}"


@dataclasses.dataclass(frozen=True)
class TreeTask:
  """What both trainings of the job share."""

  work: WorkDir
  dataset: Dataset
  facts: schema.DatasetFacts
  unseen: HeldOut | None
  train: loop.Feed
  fit: tree_training.Fit
  network: AnyNetwork
  recipe: Recipe
  settings: Settings


def _task(config: NbdtConfig, work: WorkDir, progress: Progress) -> TreeTask:
  whole = tree_settings.dataset(config, config.model)
  dataset, unseen = hold_classes_out(config.unseen, whole)
  tree_settings.check_file(config.tree, dataset.class_names)
  train, validation = inputs.hold_out(config, dataset)
  facts = inputs.facts(dataset, train, validation)
  network, settings = _network(config, dataset)
  placed = loop.place(train)
  fit = tree_training.fitting(
    work.path,
    network,
    dataset,
    placed,
    loop.place(validation),
    seed=config.seed,
    checkpoint_every=config.training.checkpoint_every,
    progress=progress,
  )
  return TreeTask(
    work,
    dataset,
    facts,
    unseen,
    placed,
    fit,
    network,
    read_recipe(config),
    settings,
  )


def _network(
  config: NbdtConfig, dataset: Dataset
) -> tuple[AnyNetwork, Settings]:
  """The network that is trained, and how, for the images at hand."""
  if config.model:
    saved = model_files.load(config.model)
    network = saved.module.architecture
    classes.check(f"config.model={config.model!r}", saved, dataset)
    prepared = saved.settings()
    settings = inputs.settings(
      config,
      dataset,
      prepared.resolution,
      mean=prepared.mean,
      std=prepared.std,
    )
    return network, settings
  network = dataclasses.replace(
    at_resolution(read_network(config.architecture), config.resolution),
    input_channels=dataset.channels,
  )
  return network, inputs.settings(config, dataset, network.resolution)


def _of_unseen(
  networks: dict[str, SavedModel], unseen: HeldOut | None
) -> dict[str, np.ndarray]:
  """Logits of the images of unseen classes by each network."""
  if unseen is None:
    return {}
  held = loop.place(unseen.images)

  def get(saved: SavedModel) -> np.ndarray:
    return outputs.of_split(
      saved.module, saved.settings(), saved.variables, held
    ).logits

  logits = {name: get(saved) for name, saved in networks.items()}
  jax.clear_caches()
  return logits
