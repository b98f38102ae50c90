"""Trains networks to decide by a tree: one way for all jobs.

A plain network comes first; its last weights induce the hierarchy, or
`config.tree` says another one (`first_hierarchy`). Then a network of the same
kind is trained, or the plain one fine-tuned, with the tree loss (`train`),
which may make the hierarchy anew after some of its epochs. Both kinds of
hierarchy are kept in files, for a run that goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from fbnax import nbdt
from fbnax.base import records
from fbnax.data import Dataset
from fbnax.jobs.runtime.networks import AnyNetwork
from fbnax.jobs.runtime.sections import TreeKeys
from fbnax.jobs.runtime.training import Supervised, Teacher, train_network
from fbnax.jobs.runtime.trees import explaining, measuring, settings
from fbnax.models.classifier import final_weights
from fbnax.report.schema import MemberRow, MemberTree
from fbnax.spaces import Recipe
from fbnax.training import loop, model_files, outputs
from fbnax.training.model_files import SavedModel
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings

TREE = "tree.json"  # Facts of a member's tree.


# Trains a network of a name with a recipe, settings and further arguments of
# `train_network`; returns what `result.json` says of it, and itself.
Fit = Callable[..., tuple[MemberRow, Teacher]]
PlainNetwork = Teacher | SavedModel


def fitting(
  directory: Path,
  network: AnyNetwork,
  dataset: Dataset,
  train: loop.Feed,
  validation: loop.Feed | None,
  *,
  seed: int,
  checkpoint_every: int,
  progress: Progress,
) -> Fit:
  """Trains networks of one architecture without a teacher; see `train_network`.

  Args:
    directory: the work directory.
    network: what to build.
    dataset: for its classes and its test split.
    train: images to train on.
    validation: images to measure on after each epoch, if any.
    seed: of all that is random.
    checkpoint_every: epochs between checkpoints.
    progress: where to show it.
  """
  return lambda name, recipe, settings, **more: train_network(
    directory,
    name,
    network,
    recipe,
    settings,
    dataset,
    train,
    validation,
    teacher=None,
    seed=seed,
    checkpoint_every=checkpoint_every,
    progress=progress,
    **more,
  )


class TreeNetwork(NamedTuple):
  """A network that was trained to decide by a tree.

  Attributes:
    member: what `result.json` says of the network.
    network: itself.
    hierarchy: that it was trained with at last.
  """

  member: MemberRow
  network: Teacher
  hierarchy: nbdt.Hierarchy


def first_hierarchy(
  path: Path,
  tree: TreeKeys,
  class_names: Sequence[str],
  seed: int,
  plain: Callable[[], PlainNetwork],
  images: loop.Feed | None = None,
  prepared: Settings | None = None,
) -> nbdt.Hierarchy:
  """The hierarchy of a plain network, kept for a run that goes on.

  Args:
    path: of its file.
    tree: the section `config.tree`.
    class_names: of the `K` classes.
    seed: of what is random.
    plain: gives the plain network, where the hierarchy is made.
    images: training images, for hierarchies that are grown on features.
    prepared: how images are prepared for the network.

  Raises:
    ValueError: see `settings.hierarchy`.
  """

  def make() -> nbdt.Hierarchy:
    network, features = plain(), None
    if settings.needs_features(tree.hierarchy):
      assert images is not None
      assert prepared is not None
      features = outputs.of_split(
        network.module, prepared, network.variables, images
      )
    weights = final_weights(network.variables)
    return settings.hierarchy(tree, class_names, weights, features, seed)

  return kept(path, make)


def train(
  tree: TreeKeys,
  hierarchy: Callable[[], nbdt.Hierarchy],
  class_names: Sequence[str],
  directory: Path,
  fit: Fit,
  name: str,
  recipe: Recipe,
  training: Settings,
  plain: PlainNetwork | None = None,
) -> TreeNetwork:
  """Trains a network with the tree loss, or plainly where there is none.

  Args:
    tree: the section `config.tree`.
    hierarchy: gives the one from before the training; called where it is
      trained with, or where the network is trained without any.
    class_names: of the `K` classes.
    directory: for the hierarchies that training makes.
    fit: does the training.
    name: of the network.
    recipe: of the training.
    training: what the recipe does not say.
    plain: what is fine-tuned where `config.tree` says so; None where that is
      no matter.
  """
  if tree.loss == "none":
    return TreeNetwork(*fit(name, recipe, training), hierarchy())
  start = None
  if plain is not None and tree.finetune_epochs:
    training = dataclasses.replace(training, epochs=tree.finetune_epochs)
    recipe = dataclasses.replace(
      recipe, learning_rate=tree.finetune_learning_rate
    )
    start = plain.variables
  updates = settings.updates(tree, training.epochs)
  if not updates:
    first = hierarchy()
    supervised = Supervised(settings.supervision(tree), nbdt.given(first))
  else:
    supervised = renewed(tree, class_names, directory, updates)
  member, network = fit(
    name, recipe, training, supervised=supervised, start_from=start
  )
  last = kept(made_at(directory, updates[-1])) if updates else first
  return TreeNetwork(member, network, last)


def renewed(
  tree: TreeKeys,
  class_names: Sequence[str],
  directory: Path,
  updates: tuple[int, ...],
) -> Supervised:
  """How a network is trained with hierarchies of itself.

  Args:
    tree: the section `config.tree`.
    class_names: of the `K` classes.
    directory: for the hierarchies.
    updates: epochs after which they are made.
  """

  def renew(epoch: int, variables: Any) -> nbdt.Given:
    weights = final_weights(variables)
    return nbdt.given(
      kept(
        made_at(directory, epoch),
        lambda: settings.hierarchy(tree, class_names, weights),
      )
    )

  # Any tree will do as long as it counts for nothing.
  blank = nbdt.given(nbdt.induce(np.eye(len(class_names))), active=False)
  return Supervised(settings.supervision(tree), blank, updates, renew)


def train_member(
  tree: TreeKeys,
  seed: int,
  directory: Path,
  dataset: Dataset,
  name: str,
  recipe: Recipe,
  training: Settings,
  fit: Fit,
) -> tuple[MemberRow, Teacher]:
  """Trains a member of a family plainly, then with its tree; draws the tree.

  Args:
    tree: the section `config.tree`.
    seed: of what is random.
    directory: the work directory; the tree's files go to `members/NAME`.
    dataset: for its classes and its test split.
    name: of the member.
    recipe: of both trainings.
    training: likewise.
    fit: does the training.

  Returns:
    What `result.json` says of the network with the tree, and itself as a
    teacher.
  """
  names = dataset.class_names
  settings.check_file(tree, names)
  plain_member, plain = fit(f"{name}-plain", recipe, training)
  made = directory / "hierarchies" / name
  first = first_hierarchy(
    made / "before.json", tree, names, seed, lambda: plain
  )
  trained = train(
    tree, lambda: first, names, made, fit, name, recipe, training, plain
  )
  facts = _facts(dataset, directory / "members" / name, trained.hierarchy)
  of_tree = MemberTree(
    kind=tree.hierarchy, plain_accuracy=plain_member.test_accuracy, **facts
  )
  return dataclasses.replace(trained.member, tree=of_tree), trained.network


def _facts(
  dataset: Dataset, folder: Path, hierarchy: nbdt.Hierarchy
) -> dict[str, Any]:
  """Accuracies of a member's tree, kept for a run that goes on; draws it."""
  facts: dict[str, Any] | None = records.read(folder / TREE)
  if facts is not None:
    return facts
  saved = model_files.load(folder)
  said, accuracies = measuring.measure(
    saved, saved.settings(), loop.place(dataset.test), hierarchy
  )
  seen = explaining.with_images(said, dataset)
  nodes = explaining.nodes(seen, hierarchy)
  pictures = explaining.draw(
    folder, hierarchy, f"{folder.name}: decisions", seen, nodes
  )
  facts = {
    "network_accuracy": accuracies.network,
    "soft_accuracy": accuracies.soft,
    "hard_accuracy": accuracies.hard,
    "depth": hierarchy.depth,
    "nodes": nodes,
    "pictures": pictures,
  }
  return dict(records.write(folder / TREE, facts))


def kept(
  path: Path, make: Callable[[], nbdt.Hierarchy] | None = None
) -> nbdt.Hierarchy:
  """A hierarchy that a run makes once, for a run that goes on.

  Its file, for people and their programs, has no place for a digest. A row
  beside the file's folder has one (`fbnax.base.records`) and is what is gone on
  with; the file is where that row is lost.

  Args:
    path: of the hierarchy's file.
    make: makes it where there is none; None where there must be one.

  Raises:
    ValueError: the row is lost, and the file is none of a hierarchy.
  """
  folder = path.parent
  folder.mkdir(parents=True, exist_ok=True)
  rows = records.open_rows(folder.with_name(f"{folder.name}.jsonl"))
  before = path.read_bytes() if path.exists() else None
  row = rows.values.get(path.name)
  if row is not None:
    made = nbdt.Hierarchy.from_children(**row)
  elif before is None and make is not None:
    made = make()
  else:
    made = nbdt.Hierarchy.load(path)
  if row is None:
    row = {"children": made.children, "ids": made.ids, "labels": made.labels}
    rows.add({path.name: row})
  made.save(path)
  if before is not None and before != path.read_bytes():
    logging.warning("%s: not as it was written; it is made again", path)
  return made


def made_at(directory: Path, epoch: int) -> Path:
  """The file of a hierarchy that was made after an epoch of training."""
  return directory / f"epoch_{epoch:04d}.json"
