"""Job `nbdt`: a classifier as a tree of decisions, trained to be a good one.

Either a network of the project: the plain one is trained (or given, with
`config.model`), its last weights induce the hierarchy, a second one is trained
or fine-tuned with the tree loss, and both are measured plainly and by the tree.
Or a classifier from elsewhere (`config.foreign.weights`), which is explained as
it is. Then the analyses, the pictures and the report.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import jax
import numpy as np

from fbnax import __version__, report
from fbnax.data import Dataset
from fbnax.jobs.nbdt import foreign
from fbnax.jobs.runtime import classes, inputs
from fbnax.jobs.runtime.networks import (
  AnyNetwork,
  at_resolution,
  read_network,
  read_recipe,
)
from fbnax.jobs.runtime.training import Supervised, Teacher, train_network
from fbnax.jobs.runtime.trees import explaining, measuring
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.jobs.runtime.trees.unseen import Unseen, hold_classes_out
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
    explained = foreign.explained if config.foreign.weights else trained
    facts = explained(config, work)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "nbdt",
        "config": config.to_dict(),
        **facts,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for name, row in facts["accuracies"].items():
    print(
      f"{name}: network {row['network']:.4f}, soft tree {row['soft']:.4f}, "
      f"hard tree {row['hard']:.4f}"
    )
  print(f"tree: {work.path / explaining.PAGE}")
  print(f"report: {page}")


def _check(config: Any) -> None:
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
    whole = tree_settings.dataset(config)
    dataset, unseen = hold_classes_out(config.unseen, whole)
    tree_settings.check_file(config.tree, dataset.class_names)
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
      members.append(_fit(task, PLAIN, task.recipe, task.settings)[0])
    plain = model_files.load(work.path / "members" / PLAIN)
  else:
    plain = model_files.load(config.model)
  made = work.path / "hierarchies"
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
  networks = {PLAIN: plain}
  if config.tree.loss != "none":
    with work.phase("tree training"):
      entry, _, tree = tree_training.train(
        config.tree,
        lambda: first,
        names,
        made,
        functools.partial(_fit, task),
        TREE,
        task.recipe,
        task.settings,
        plain,
      )
      members.append(entry)
    networks[TREE] = model_files.load(work.path / "members" / TREE)
  *_, last = networks.values()
  with work.phase("analyses"):
    test = loop.place(task.dataset.test)
    accuracies = {}
    for name, saved in networks.items():
      said, accuracies[name] = measuring.measure(
        saved, saved.settings(), test, tree
      )
    seen = explaining.with_images(said, task.dataset.test)
    of_unseen = _of_unseen(networks, unseen)
    analyses = explaining.analyse(
      seen,
      tree,
      final_weights(last.variables),
      unseen,
      of_unseen.get(name),
    )
    if unseen is not None and last is not plain:
      analyses["unseen_plain"] = measuring.superclasses(
        of_unseen[PLAIN], unseen, tree
      )
  with work.phase("pictures"):
    pictures = explaining.draw(
      work.path, tree, f"{facts['name']}: decisions", seen, analyses["nodes"]
    )
  return {
    "dataset": facts,
    "hierarchy": {"kind": config.tree.hierarchy} | explaining.described(tree),
    "network": json.loads(task.network.to_json()),
    "accuracies": accuracies,
    "members": members,
    "class_names": list(names),
    "superclass_names": [] if unseen is None else list(unseen.superclasses),
    "pictures": pictures,
    **analyses,
  }


def _network(config: Any, dataset: Dataset) -> tuple[AnyNetwork, Settings]:
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


def _fit(
  task: Task,
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

  logits = {name: get(saved) for name, saved in networks.items()}
  jax.clear_caches()
  return logits
