"""Hierarchies to compare induced ones with: random and data-dependent.

Table 5.2 of Wan 2022 names an information-gain hierarchy and an oblique one
(OC1), both "built over neural features", without saying how a decision tree's
splits of samples become a tree over classes. Here a node splits its samples as
such a tree does, by the test with the highest information gain, and each class
goes whole to the side where more than half of its samples are; of the tests,
only those that part the classes count. Each side then begins anew with all
samples of its classes. Classes that no test parts are children of one node.

Symbols: `N` samples, `D` features, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fbnax.nbdt import splits
from fbnax.nbdt.hierarchy import Hierarchy

# From features [n, D] and labels [n] in 0 to k - 1, all of which occur, to the
# classes that go left, or None where none can be parted.
Split = Callable[[np.ndarray, np.ndarray, int], np.ndarray | None]


def random_hierarchy(num_classes: int, seed: int = 0) -> Hierarchy:
  """A random binary tree: two nodes without a parent merge until one is left.

  Args:
    num_classes: `K`.
    seed: of the pairs, each as likely as any.

  Raises:
    ValueError: fewer than two classes.
  """
  if num_classes < 2:
    raise ValueError(
      f"num_classes is {num_classes}; legal: at least 2, as one class leaves "
      f"nothing to decide"
    )
  random = np.random.default_rng(seed)
  waiting = list(range(num_classes))
  children = []
  for step in range(num_classes - 1):
    a, b = random.choice(len(waiting), 2, replace=False)
    children.append([waiting[a], waiting[b]])
    waiting[a] = num_classes + step
    waiting.pop(b)
  return Hierarchy.from_children(children, num_classes)


def information_gain(
  features: Any,
  labels: Any,
  num_classes: int | None = None,
  *,
  thresholds: int = 64,
) -> Hierarchy:
  """The hierarchy of a classic decision tree: tests of single features.

  A test is `feature <= threshold`. The thresholds of a feature at a node are
  midpoints between its values: all of them where these are few, else those at
  even shares of the samples and between the classes' medians.

  Args:
    features: `f[N, D]`, such as what the last layer of a network takes.
    labels: `i[N]`; each class at least once.
    num_classes: `K`; by default one more than the largest label.
    thresholds: the most that are tried by share of samples.

  Raises:
    ValueError: arrays that do not fit each other, features that are not finite,
      a class without samples, fewer than two classes or thresholds.
  """
  if thresholds < 2:
    raise ValueError(f"thresholds is {thresholds}; legal: at least 2")

  def split(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray | None:
    test = splits.best_axis(x, y, k, thresholds)
    return None if test is None else test.left

  return _grown(features, labels, num_classes, split)


def oblique(
  features: Any,
  labels: Any,
  num_classes: int | None = None,
  seed: int = 0,
  *,
  restarts: int = 1,
  samples: int = 1000,
  components: int = 32,
) -> Hierarchy:
  """The hierarchy of an oblique decision tree: tests of weighted sums.

  As OC1 (Murthy, Kasif and Salzberg 1994) a node begins with the best test of
  one feature, changes one weight at a time to what is best given the others
  until nothing gets better, tries a few random directions from there, and does
  all of it again from random weights; the best test found is taken. Features
  are standardised first, so that weights are alike, and where they are many the
  weights are those of a node's principal components, since every weight costs
  a sort of the samples.

  Args:
    features: `f[N, D]`, such as what the last layer of a network takes.
    labels: `i[N]`; each class at least once.
    num_classes: `K`; by default one more than the largest label.
    seed: of the random weights, directions and samples.
    restarts: beginnings from random weights, besides the best single feature.
    samples: of a node that are looked at, drawn evenly from its classes where
      it has more.
    components: principal components, of more features than that.

  Raises:
    ValueError: as of `information_gain`, negative restarts, fewer than 2
      samples, or no components.
  """
  if restarts < 0:
    raise ValueError(f"restarts is {restarts}; legal: 0 or more")
  if samples < 2:
    raise ValueError(f"samples is {samples}; legal: at least 2")
  if components < 1:
    raise ValueError(f"components is {components}; legal: at least 1")
  random = np.random.default_rng(seed)

  def split(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray | None:
    kept = splits.drawn(random, y, k, samples)
    test = splits.best_oblique(
      random, x[kept], y[kept], k, restarts, components
    )
    return None if test is None else test.left

  return _grown(features, labels, num_classes, split)


def _grown(
  features: Any, labels: Any, num_classes: int | None, split: Split
) -> Hierarchy:
  """The tree that splitting class sets from the root down gives."""
  x, y, classes = _checked(features, labels, num_classes)
  children: list[list[int]] = []
  # Pairs of a class set and the children that its node is to join. With a stack
  # of its own, as splitting off class by class goes deeper than Python's.
  waiting: list[tuple[np.ndarray, list[int]]] = [(np.arange(classes), [])]
  while waiting:
    members, beside = waiting.pop()
    if len(members) == 1:
      beside.append(int(members[0]))
      continue
    beside.append(classes + len(children))
    children.append(below := [])
    place = np.full(classes, -1)
    place[members] = np.arange(len(members))
    rows = place[y] >= 0
    left = split(x[rows], place[y[rows]], len(members))
    if left is None:
      below += [int(member) for member in members]
    else:
      waiting += [(members[~left], below), (members[left], below)]
  return Hierarchy.from_children(children, classes)


def _checked(
  features: Any, labels: Any, num_classes: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
  x, y = np.asarray(features), np.asarray(labels)
  if x.ndim != 2 or y.shape != x.shape[:1] or not x.size:
    raise ValueError(
      f"features has shape {x.shape} and labels {y.shape}; legal: [N, D] and "
      f"[N], not empty"
    )
  if not np.issubdtype(y.dtype, np.integer):
    raise ValueError(f"labels has dtype {y.dtype}; legal: whole numbers")
  x = x.astype(np.float64)
  wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
  if len(wrong):
    raise ValueError(
      f"features[{wrong[0]}] is not finite ({len(wrong)} such rows); legal: "
      f"finite numbers"
    )
  classes = int(y.max()) + 1 if num_classes is None else num_classes
  if y.min() < 0 or y.max() >= classes:
    raise ValueError(
      f"labels are from {y.min()} to {y.max()}; legal: 0 to {classes - 1}"
    )
  if classes < 2:
    raise ValueError(
      f"labels are of {classes} class; legal: at least 2, as one leaves "
      f"nothing to decide"
    )
  absent = np.flatnonzero(np.bincount(y, minlength=classes) == 0)
  if len(absent):
    raise ValueError(
      f"class {absent[0]} has no samples ({len(absent)} of {classes} have "
      f"none); legal: each class at least once"
    )
  return x, y, classes
