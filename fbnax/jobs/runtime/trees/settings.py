"""What the jobs with trees read from a config: hierarchy, loss, class names.

`config.head` of a family is `linear`, or `nbdt`: then its members decide by the
trees that `config.tree` describes.

Symbols: `N` images, `D` features, `K` classes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fbnax import nbdt
from fbnax.base import text
from fbnax.base.names import normalized
from fbnax.data import Dataset
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.inputs import DataConfig, TrainingConfig
from fbnax.jobs.runtime.sections import TreeKeys
from fbnax.nbdt import schedules
from fbnax.nbdt.induce import check_names
from fbnax.nbdt.naming import distinct_names
from fbnax.nbdt.supervision import LOSSES
from fbnax.training import model_files
from fbnax.training.outputs import Outputs

HEADS = ("linear", "nbdt")
# Hierarchies that a config names; all else is a file.
KINDS = ("induced", "wordnet", "information_gain", "oblique", "random")
# Of the features a data-dependent hierarchy is grown on, enough for any.
_MOST_FEATURES = 4000


class NamedDataConfig(DataConfig, Protocol):
  """A config that may name the classes of its data."""

  @property
  def class_names(self) -> str:
    """Names, or a file of them; empty for the data's own."""


class FamilyConfig(TrainingConfig, Protocol):
  """A config of members that may decide by trees."""

  @property
  def head(self) -> str:
    """One of `HEADS`."""

  @property
  def tree(self) -> TreeKeys:
    """Their trees."""


def needs_features(kind: str) -> bool:
  """Whether a kind of hierarchy is grown on features and labels."""
  return kind in ("information_gain", "oblique")


def check(tree: TreeKeys, epochs: int) -> None:
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
  try:
    check_names(tree.linkage, tree.metric)
  except ValueError as error:
    raise ValueError(f"config.tree.{error}") from None


def has_trees(config: FamilyConfig) -> bool:
  """Whether the members of a family are to decide by trees.

  Raises:
    ValueError: `config.head` or `config.tree` is not legal.
  """
  if config.head not in HEADS:
    raise ValueError(
      f"config.head is {config.head!r}; legal: {', '.join(HEADS)}"
    )
  if config.head == "linear":
    return False
  tree = config.tree
  if tree.loss == "none":
    raise ValueError(
      "config.tree.loss is 'none' with config.head 'nbdt'; legal: "
      f"{', '.join(LOSSES)}"
    )
  if needs_features(tree.hierarchy):
    raise ValueError(
      f"config.tree.hierarchy is {tree.hierarchy!r}; legal for members: "
      f"induced, wordnet, random, or a file"
    )
  check(tree, tree.finetune_epochs or config.training.epochs)
  return True


def supervision(tree: TreeKeys) -> nbdt.Supervision:
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
    published = nbdt.published(tree.loss, tree.schedule, tree.size)
    return dataclasses.replace(
      published,
      omega=published.omega if tree.omega == -1 else tree.omega,
      beta=published.beta if tree.beta == -1 else tree.beta,
    )
  except ValueError as error:
    raise ValueError(f"config.tree: {error}") from None


def updates(tree: TreeKeys, epochs: int) -> tuple[int, ...]:
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
    ends = schedules.updates(tree.start, tree.end or epochs, tree.period)
  except ValueError as error:
    raise ValueError(f"config.tree: {error}") from None
  if ends[-1] >= epochs:
    raise ValueError(
      f"config.tree.end is {tree.end}; legal: hierarchies before the last of "
      f"{epochs} epochs, found one after epoch {ends[-1]}"
    )
  return ends


def hierarchy(
  tree: TreeKeys,
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
    made = nbdt.induce(
      weights, tree.linkage, tree.normalize, tree.metric, num_classes=classes
    )
  elif kind == "random":
    made = nbdt.random_hierarchy(classes, seed)
  elif kind == "wordnet":
    # Without its labels: two nouns may be one word, which naming tells apart.
    made = dataclasses.replace(nbdt.wordnet_hierarchy(class_names), labels=None)
  elif needs_features(kind):
    assert outputs is not None
    chosen = np.random.default_rng(seed).permutation(len(outputs.labels))
    chosen = chosen[:_MOST_FEATURES]
    features, labels = outputs.features[chosen], outputs.labels[chosen]
    if kind == "oblique":
      made = nbdt.oblique(features, labels, classes, seed)
    else:
      made = nbdt.information_gain(features, labels, classes)
  else:
    made = _read(tree, class_names)
  return nbdt.name_nodes(made, distinct_names(class_names))


def check_file(tree: TreeKeys, class_names: Sequence[str]) -> None:
  """Refuses a hierarchy's file before anything is trained.

  Args:
    tree: the section; nothing is checked where it names no file.
    class_names: of the `K` classes.

  Raises:
    ValueError: as `hierarchy`.
  """
  if tree.hierarchy not in KINDS:
    _read(tree, class_names)


def _read(tree: TreeKeys, class_names: Sequence[str]) -> nbdt.Hierarchy:
  """The hierarchy of a file, its classes in the data's order."""
  try:
    return nbdt.Hierarchy.load(
      tree.hierarchy,
      tree.wnids or None,
      class_names=distinct_names(class_names),
    )
  except ValueError as error:
    raise ValueError(f"config.tree.hierarchy: {error}") from None


def dataset(config: NamedDataConfig, model: str = "") -> Dataset:
  """The data set of `config.data`, with the names of `config.class_names`.

  Args:
    config: of the job.
    model: directory of a finished model that is shown the images.

  Raises:
    ValueError: as `inputs.dataset`, or another number of names.
  """
  # Images are shown to a finished model as it was trained on them.
  bits = model_files.load(model).bits if model else None
  loaded = inputs.dataset(config, bits)
  names = named(config.class_names, loaded.class_names, "config.class_names")
  numbered = loaded.numbered and not config.class_names
  return dataclasses.replace(loaded, class_names=names, numbered=numbered)


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
    listed = text.read_names(words)
  else:
    listed = [part.strip() for part in words.split(",")]
    where += "" if "," in words else " is no file, and"
  if len(listed) != len(names):
    raise ValueError(f"{where} has {len(listed)} names; {legal}")
  if "" in listed:
    raise ValueError(f"{where}: name {listed.index('') + 1} is empty; {legal}")
  check_forms(listed, where)
  return tuple(listed)


def check_forms(names: Sequence[str], where: str) -> None:
  """Refuses names that look the same and are not.

  Args:
    names: of classes.
    where: for the message.

  Raises:
    ValueError: two are one name in two Unicode forms.
  """
  forms: dict[str, str] = {}
  for name in names:
    first = forms.setdefault(normalized(name), name)
    if first != name:
      raise ValueError(
        f"{where} has {first!a} and {name!a}, which are the same to "
        "the eye; legal: names that differ after Unicode normalisation"
      )
