"""What the jobs with trees read from `config.tree`.

Symbols: `N` images, `D` features, `K` classes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fbnax import nbdt
from fbnax.base import text
from fbnax.base.names import normalized
from fbnax.data import Dataset
from fbnax.jobs import inputs
from fbnax.jobs.training import Supervised
from fbnax.models.classifier import final_weights
from fbnax.nbdt import schedules
from fbnax.nbdt.naming import distinct_names
from fbnax.nbdt.supervision import LOSSES
from fbnax.training.outputs import Outputs

# Hierarchies that a config names; all else is a file.
KINDS = ("induced", "wordnet", "information_gain", "oblique", "random")
# Of the features a data-dependent hierarchy is grown on, enough for any.
_MOST_FEATURES = 4000


def needs_features(kind: str) -> bool:
  """Whether a kind of hierarchy is grown on features and labels."""
  return kind in ("information_gain", "oblique")


def check(tree: Any, epochs: int) -> None:
  """Refuses a `config.tree` before anything is trained.

  Args:
    tree: the section.
    epochs: of the training that it supervises.

  Raises:
    ValueError: a key that is none of what is legal, or a file that is none.
    OSError: a file cannot be read.
  """
  if tree.hierarchy not in KINDS and not Path(tree.hierarchy).is_file():
    raise ValueError(
      f"config.tree.hierarchy is {tree.hierarchy!r}; legal: "
      f"{', '.join(KINDS)}, or a file of node-link JSON"
    )
  if tree.hierarchy not in KINDS:
    nbdt.Hierarchy.load(tree.hierarchy, tree.wnids or None)
  if tree.loss != "none":
    supervision(tree)
  updates(tree, epochs)
  if tree.finetune_epochs < 0:
    raise ValueError(
      f"config.tree.finetune_epochs is {tree.finetune_epochs}; legal: 0 to "
      f"train from random weights, or more"
    )


def supervision(tree: Any) -> nbdt.Supervision:
  """The objective that `config.tree` describes.

  Raises:
    ValueError: an unknown loss, schedule or size, or a negative weight other
      than -1, which stands for the published one.
  """
  try:
    if tree.loss not in LOSSES:
      raise ValueError(
        f"loss is {tree.loss!r}; legal: none, {', '.join(LOSSES)}"
      )
    found = nbdt.published(tree.loss, tree.schedule, tree.size)
    return dataclasses.replace(
      found,
      omega=found.omega if tree.omega == -1 else tree.omega,
      beta=found.beta if tree.beta == -1 else tree.beta,
    )
  except ValueError as error:
    raise ValueError(f"config.tree: {error}") from None


def updates(tree: Any, epochs: int) -> tuple[int, ...]:
  """Epochs after which the hierarchy is induced anew; () for one from before.

  Raises:
    ValueError: they do not fit each other, or the training.
  """
  if not tree.period:
    if tree.start or tree.end:
      raise ValueError(
        f"config.tree.start is {tree.start} and config.tree.end {tree.end} "
        f"without config.tree.period; legal: 0"
      )
    return ()
  if tree.hierarchy != "induced":
    raise ValueError(
      f"config.tree.period is {tree.period} with config.tree.hierarchy "
      f"{tree.hierarchy!r}; legal: with induced, which training changes"
    )
  try:
    found = schedules.updates(tree.start, tree.end or epochs, tree.period)
  except ValueError as error:
    raise ValueError(f"config.tree: {error}") from None
  if found[-1] >= epochs:
    raise ValueError(
      f"config.tree.end is {tree.end}; legal: hierarchies before the last of "
      f"{epochs} epochs, found one after epoch {found[-1]}"
    )
  return found


def hierarchy(
  tree: Any,
  class_names: Sequence[str],
  weights: Any,
  outputs: Outputs | None = None,
  seed: int = 0,
) -> nbdt.Hierarchy:
  """The hierarchy that `config.tree` asks for, its nodes named.

  Args:
    tree: the section.
    class_names: of the `K` classes.
    weights: of a trained network's last layer, `f32[K, D]`.
    outputs: its features and labels of training images, where they are needed.
    seed: of what is random.

  Raises:
    ValueError: there is none: another data set's file, classes that WordNet
      does not know.
  """
  kind, classes = tree.hierarchy, len(class_names)
  if kind == "induced":
    found = nbdt.induce(
      weights, tree.linkage, tree.normalize, tree.metric, num_classes=classes
    )
  elif kind == "random":
    found = nbdt.random_hierarchy(classes, seed)
  elif kind == "wordnet":
    found = nbdt.wordnet_hierarchy(class_names)
  elif needs_features(kind):
    assert outputs is not None
    some = np.random.default_rng(seed).permutation(len(outputs.labels))
    some = some[:_MOST_FEATURES]
    features, labels = outputs.features[some], outputs.labels[some]
    if kind == "oblique":
      found = nbdt.oblique(features, labels, classes, seed)
    else:
      found = nbdt.information_gain(features, labels, classes)
  else:
    found = nbdt.Hierarchy.load(kind, tree.wnids or None)
    if found.num_classes != classes:
      raise ValueError(
        f"config.tree.hierarchy={kind!r} has {found.num_classes} classes; "
        f"legal: {classes}, as the data set"
      )
  return nbdt.name_nodes(found, distinct_names(class_names))


def dataset(config: Any) -> Dataset:
  """The data set of `config.data`, with the names of `config.class_names`.

  Raises:
    ValueError: as `inputs.dataset`, or another number of names.
  """
  found = inputs.dataset(config)
  names = named(config.class_names, found.class_names, "config.class_names")
  return dataclasses.replace(found, class_names=names)


def named(words: str, names: Sequence[str], key: str) -> tuple[str, ...]:
  """The classes' names: those that a config gives, else the data's own.

  Args:
    words: `cat,dog,...`, or a file with a name on each line; none where empty.
    names: the data's own.
    key: of the config, for messages.

  Raises:
    ValueError: another number of names, an empty one, two that look the same
      and are not, or a file that is no text in UTF-8.
    OSError: the file cannot be read.
  """
  if not words:
    return tuple(names)
  where, legal = f"{key}={words!r}", f"legal: {len(names)} names, one a class"
  legal += ", separated by commas, or a file with one on each line"
  if os.path.isdir(words):
    raise ValueError(f"{where} is a folder; {legal}")
  if os.path.isfile(words):
    found = text.read_names(words)
  else:
    found = [part.strip() for part in words.split(",")]
    where += "" if "," in words else " is no file, and"
  if len(found) != len(names):
    raise ValueError(f"{where} has {len(found)} names; {legal}")
  if "" in found:
    raise ValueError(f"{where}: name {found.index('') + 1} is empty; {legal}")
  forms: dict[str, str] = {}
  for name in found:
    first = forms.setdefault(normalized(name), name)
    if first != name:
      raise ValueError(
        f"{where} has {first!a} and {name!a}, which are the same to "
        "the eye; legal: names that differ after Unicode normalisation"
      )
  return tuple(found)


def supervised(
  tree: Any,
  found: nbdt.Hierarchy | None,
  class_names: Sequence[str],
  directory: Path,
  epochs: int,
) -> Supervised:
  """How a network is trained with the tree loss.

  Args:
    tree: the section.
    found: the hierarchy; None where training makes its own.
    class_names: of the `K` classes.
    directory: for the hierarchies that training makes.
    epochs: of the training.
  """
  objective = supervision(tree)
  when = updates(tree, epochs)
  if not when:
    assert found is not None
    return Supervised(objective, nbdt.given(found))

  def renew(epoch: int, variables: Any) -> nbdt.Given:
    path = made_at(directory, epoch)
    if not path.exists():
      made = hierarchy(tree, class_names, final_weights(variables))
      directory.mkdir(parents=True, exist_ok=True)
      made.save(path)
    return nbdt.given(nbdt.Hierarchy.load(path))

  # Any tree will do as long as it counts for nothing.
  blank = nbdt.induce(np.eye(len(class_names)))
  return Supervised(objective, nbdt.given(blank, active=False), when, renew)


def made_at(directory: Path, epoch: int) -> Path:
  """The file of a hierarchy that was made after an epoch of training."""
  return directory / f"epoch_{epoch:04d}.json"
