"""Job `nbdt`: a classifier as a tree of decisions, trained to be a good one.

Either a network of the project: the plain one is trained (or given, with
`config.model`), its last weights induce the hierarchy, a second one is trained
or fine-tuned with the tree loss, and both are measured plainly and by the tree.
Or a classifier from elsewhere (`config.foreign.weights`), which is explained as
it is. Then the analyses, the pictures and the report.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np

from fbnax import __version__, data, nbdt, report
from fbnax.data import Dataset
from fbnax.jobs.nbdt import foreign as nbdt_foreign
from fbnax.jobs.runtime import classes, inputs
from fbnax.jobs.runtime.networks import (
  AnyNetwork,
  at_resolution,
  read_network,
  read_recipe,
)
from fbnax.jobs.runtime.training import Supervised, train_network
from fbnax.jobs.runtime.trees import analyses as nbdt_analyses
from fbnax.jobs.runtime.trees import inputs as nbdt_inputs
from fbnax.jobs.runtime.trees import measure as nbdt_measure
from fbnax.jobs.runtime.trees import pictures as nbdt_pictures
from fbnax.jobs.runtime.trees import unseen as nbdt_unseen
from fbnax.jobs.runtime.trees.analyses import Seen
from fbnax.jobs.runtime.trees.unseen import Unseen
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.models.classifier import final_weights
from fbnax.spaces import Recipe
from fbnax.training import loop, model_files, outputs
from fbnax.training.model_files import SavedModel
from fbnax.training.progress import Progress, open_progress
from fbnax.training.recipes import Settings

SCHEMA_VERSION = 1
PLAIN, TREE = "plain", "tree"


def run(config: Any, workdir: str) -> None:
  """Runs the job, or what is left of it, in the work directory."""
  _check(config)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    foreign = bool(config.foreign.weights)
    found = (nbdt_foreign.explained if foreign else trained)(config, work)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "nbdt",
        "config": config.to_dict(),
        **found,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for name, row in found["accuracies"].items():
    print(
      f"{name}: network {row['network']:.4f}, soft tree {row['soft']:.4f}, "
      f"hard tree {row['hard']:.4f}"
    )
  print(f"tree: {work.path / nbdt_pictures.PAGE}")
  print(f"report: {page}")


def _check(config: Any) -> None:
  given = config.tree
  if config.foreign.weights:
    if given.period or nbdt_inputs.needs_features(given.hierarchy):
      raise ValueError(
        f"config.tree.hierarchy is {given.hierarchy!r} and config.tree.period "
        f"{given.period} with config.foreign.weights, which are not trained; "
        f"legal: induced, wordnet, random or a file, and 0"
      )
    nbdt_inputs.check(given, 1)
    return
  nbdt_inputs.check(given, given.finetune_epochs or config.training.epochs)


@dataclasses.dataclass(frozen=True)
class Task:
  """What both trainings of the job share."""

  config: Any
  work: WorkDir
  progress: Progress
  dataset: Dataset
  train: loop.Feed
  validation: loop.Feed
  network: AnyNetwork
  recipe: Recipe
  settings: Settings


def trained(config: Any, work: WorkDir) -> dict[str, Any]:
  """The part of `result.json` of a network of the project."""
  with work.phase("data"):
    whole = nbdt_inputs.dataset(config)
    dataset, unseen = nbdt_unseen.hold_classes_out(config.unseen, whole)
    nbdt_inputs.check_file(config.tree, dataset.class_names)
    train, validation = inputs.hold_out(config, dataset)
    facts = inputs.facts(dataset, train, validation)
    network, settings = _network(config, dataset)
  with open_progress() as progress:
    task = Task(
      config,
      work,
      progress,
      dataset,
      loop.place(train),
      loop.place(validation),
      network,
      read_recipe(config),
      settings,
    )
    return facts_of(task, facts, unseen)


def facts_of(
  task: Task, facts: dict[str, Any], unseen: Unseen | None
) -> dict[str, Any]:
  """Trains both networks; measures, analyses and draws."""
  config, work, names = task.config, task.work, task.dataset.class_names
  members = []
  if not config.model:
    with work.phase("plain training"):
      members.append(_train(task, PLAIN, task.recipe, task.settings))
    plain = model_files.load(work.path / "members" / PLAIN)
  else:
    plain = model_files.load(config.model)
  with work.phase("hierarchy"):
    tree = _hierarchy(task, plain)
  last = plain
  if config.tree.loss != "none":
    with work.phase("tree training"):
      entry, tree = _train_tree(task, plain, tree)
      members.append(entry)
    last = model_files.load(work.path / "members" / TREE)
  with work.phase("analyses"):
    test = loop.place(task.dataset.test)
    accuracies, outputs_of = {}, {}
    networks = {PLAIN: plain} if last is plain else {PLAIN: plain, TREE: last}
    for name, saved in networks.items():
      found = outputs.of_split(
        saved.module, saved.settings(), saved.variables, test
      )
      outputs_of[name] = found
      accuracies[name] = nbdt_measure.accuracies(
        found.logits, found.labels, tree
      )
    seen = _seen(task, found)
    of_unseen = _of_unseen(networks, unseen)
    analyses = nbdt_analyses.analyse(
      seen,
      tree,
      final_weights(last.variables),
      unseen,
      of_unseen.get(name),
    )
    if unseen is not None and last is not plain:
      analyses["unseen_plain"] = nbdt_measure.superclasses(
        of_unseen[PLAIN], unseen, tree
      )
  with work.phase("pictures"):
    nbdt_pictures.write(
      work.path, tree, f"{facts['name']}: decisions", seen, analyses["nodes"]
    )
  return {
    "dataset": facts,
    "hierarchy": {"kind": config.tree.hierarchy}
    | nbdt_analyses.described(tree),
    "network": json.loads(task.network.to_json()),
    "accuracies": accuracies,
    "members": members,
    "class_names": list(names),
    "superclass_names": [] if unseen is None else list(unseen.superclasses),
    "pictures": nbdt_pictures.listed(work.path),
    **analyses,
  }


def _network(config: Any, dataset: Dataset) -> tuple[AnyNetwork, Settings]:
  """The network that is trained, and how, for the images at hand."""
  if config.model:
    saved = model_files.load(config.model)
    network = saved.module.architecture
    classes.check(f"config.model={config.model!r}", saved, dataset)
    own = saved.settings()
    settings = inputs.settings(
      config, dataset, own.resolution, mean=own.mean, std=own.std
    )
    return network, settings
  network = dataclasses.replace(
    at_resolution(read_network(config.architecture), config.resolution),
    input_channels=dataset.channels,
  )
  return network, inputs.settings(config, dataset, network.resolution)


def _hierarchy(task: Task, plain: SavedModel) -> nbdt.Hierarchy:
  """The hierarchy of the plain network, kept for a run that goes on."""
  path = task.work.path / "hierarchies" / "before.json"

  def make() -> nbdt.Hierarchy:
    found = None
    if nbdt_inputs.needs_features(task.config.tree.hierarchy):
      found = outputs.of_split(
        plain.module, plain.settings(), plain.variables, task.train
      )
    return nbdt_inputs.hierarchy(
      task.config.tree,
      task.dataset.class_names,
      final_weights(plain.variables),
      found,
      task.config.seed,
    )

  return nbdt_inputs.kept(path, make)


def _train_tree(
  task: Task, plain: SavedModel, tree: nbdt.Hierarchy
) -> tuple[dict[str, Any], nbdt.Hierarchy]:
  """The network with the tree loss, and the hierarchy that it ended with."""
  given = task.config.tree
  settings, recipe, start = task.settings, task.recipe, None
  if given.finetune_epochs:
    settings = dataclasses.replace(settings, epochs=given.finetune_epochs)
    recipe = dataclasses.replace(
      recipe, learning_rate=given.finetune_learning_rate
    )
    start = plain.variables
  made = task.work.path / "hierarchies"
  supervised = nbdt_inputs.supervised(
    given, tree, task.dataset.class_names, made, settings.epochs
  )
  entry = _train(task, TREE, recipe, settings, supervised, start)
  if supervised.updates:
    last = nbdt_inputs.made_at(made, supervised.updates[-1])
    tree = nbdt_inputs.kept(last)
  return entry, tree


def _train(
  task: Task,
  name: str,
  recipe: Recipe,
  settings: Settings,
  supervised: Supervised | None = None,
  start_from: Any = None,
) -> dict[str, Any]:
  entry, _ = train_network(
    task.work.path,
    name,
    task.network,
    recipe,
    settings,
    task.dataset,
    task.train,
    task.validation,
    teacher=None,
    seed=task.config.seed,
    checkpoint_every=task.config.training.checkpoint_every,
    progress=task.progress,
    supervised=supervised,
    start_from=start_from,
  )
  return entry


def _seen(task: Task, found: outputs.Outputs) -> Seen:
  """Outputs with the images, where these are in memory."""
  test = task.dataset.test
  images = test.images if isinstance(test, data.Split) else None
  if images is not None and images.shape[-1] not in (1, 3):
    images = images[..., :3]
  return Seen(found.logits, found.labels, images, found.features)


def _of_unseen(
  networks: dict[str, SavedModel], unseen: Unseen | None
) -> dict[str, np.ndarray]:
  """Logits of the images of unseen classes by each network."""
  if unseen is None:
    return {}
  held = loop.place(unseen.images)

  def get(saved: SavedModel) -> np.ndarray:
    return outputs.of_split(
      saved.module, saved.settings(), saved.variables, held
    ).logits

  found = {name: get(saved) for name, saved in networks.items()}
  jax.clear_caches()
  return found
