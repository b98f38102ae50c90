"""Members of a family that are trained to decide by a tree.

`config.head` is `linear`, or `nbdt`: then each member is trained plainly first,
its last weights induce the hierarchy (or `config.tree` says another one), and
what comes out is a network of the same architecture and recipe that was trained
with the tree loss, with its tree in `members/NAME`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fbnax import data, nbdt
from fbnax.base import records
from fbnax.data import Dataset
from fbnax.jobs.runtime.training import Teacher
from fbnax.jobs.runtime.trees import analyses as nbdt_analyses
from fbnax.jobs.runtime.trees import inputs as nbdt_inputs
from fbnax.jobs.runtime.trees import measure as nbdt_measure
from fbnax.jobs.runtime.trees import pictures as nbdt_pictures
from fbnax.jobs.runtime.trees.analyses import Seen
from fbnax.models.classifier import final_weights
from fbnax.spaces import Recipe
from fbnax.training import loop, model_files, outputs
from fbnax.training.recipes import Settings

HEADS = ("linear", "nbdt")
TREE = "tree.json"
# Trains a network of a name with a recipe, settings and further arguments of
# `train_network`.
Train = Callable[..., tuple[dict[str, Any], Teacher]]


def is_tree(config: Any) -> bool:
  """Whether members are to decide by trees.

  Raises:
    ValueError: `config.head` or `config.tree` is not legal.
  """
  head = config.get("head", "linear")  # Runs of earlier versions have none.
  if head not in HEADS:
    raise ValueError(f"config.head is {head!r}; legal: {', '.join(HEADS)}")
  if head == "linear":
    return False
  if config.tree.loss == "none":
    raise ValueError(
      "config.tree.loss is 'none' with config.head 'nbdt'; legal: soft, hard, "
      "original_soft, original_hard"
    )
  if nbdt_inputs.needs_features(config.tree.hierarchy):
    raise ValueError(
      f"config.tree.hierarchy is {config.tree.hierarchy!r}; legal for members: "
      f"induced, wordnet, random, or a file"
    )
  nbdt_inputs.check(
    config.tree, config.tree.finetune_epochs or config.training.epochs
  )
  return True


def train_with_tree(
  config: Any,
  directory: Path,
  dataset: Dataset,
  name: str,
  recipe: Recipe,
  settings: Settings,
  train: Train,
) -> tuple[dict[str, Any], Teacher]:
  """Trains a member plainly, then with its tree; writes the tree's files.

  Args:
    config: of the job.
    directory: the work directory.
    dataset: for its classes and its test split.
    name: of the member.
    recipe: of both trainings.
    settings: likewise.
    train: does the training.

  Returns:
    The entry of the network with the tree, which has what is known of its tree
    under `tree`, and itself as a teacher.
  """
  given = config.tree
  nbdt_inputs.check_file(given, dataset.class_names)
  plain_entry, plain = train(f"{name}-plain", recipe, settings)
  folder = directory / "members" / name
  made = directory / "hierarchies" / name
  tree = nbdt_inputs.kept(
    made / "before.json",
    lambda: nbdt_inputs.hierarchy(
      given,
      dataset.class_names,
      final_weights(plain.variables),
      seed=config.seed,
    ),
  )
  start = None
  if given.finetune_epochs:
    settings = dataclasses.replace(settings, epochs=given.finetune_epochs)
    recipe = dataclasses.replace(
      recipe, learning_rate=given.finetune_learning_rate
    )
    start = plain.variables
  supervised = nbdt_inputs.supervised(
    given, tree, dataset.class_names, made, settings.epochs
  )
  entry, trained = train(
    name, recipe, settings, supervised=supervised, start_from=start
  )
  if supervised.updates:
    last = nbdt_inputs.made_at(made, supervised.updates[-1])
    tree = nbdt_inputs.kept(last)
  known = _measured(dataset, folder, name, tree, plain_entry)
  return entry | {"tree": known | {"kind": given.hierarchy}}, trained


def _measured(
  dataset: Dataset,
  folder: Path,
  name: str,
  tree: nbdt.Hierarchy,
  plain: dict[str, Any],
) -> dict[str, Any]:
  """Accuracies of the tree, kept for a run that goes on; draws it."""
  known: dict[str, Any] | None = records.read(folder / TREE)
  if known is not None:
    return known
  saved = model_files.load(folder)
  found = outputs.of_split(
    saved.module,
    saved.settings(),
    saved.variables,
    loop.place(dataset.test),
  )
  test = dataset.test
  images = test.images if isinstance(test, data.Split) else None
  seen = Seen(found.logits, found.labels, images, found.features)
  nodes = nbdt_analyses.nodes(seen, tree)
  nbdt_pictures.write(folder, tree, f"{name}: decisions", seen, nodes)
  known = {
    "plain_accuracy": plain["test_accuracy"],
    **{
      f"{k}_accuracy": v
      for k, v in nbdt_measure.accuracies(
        found.logits, found.labels, tree
      ).items()
      if k in ("network", "soft", "hard")
    },
    "depth": tree.depth,
    "nodes": nodes,
    "pictures": nbdt_pictures.listed(folder),
  }
  return dict(records.write(folder / TREE, known))
