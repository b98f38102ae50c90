"""Cuts a split in two or down to size, and a data set into folds.

Every cut is stratified: each class gives in proportion to its size, and a class
that can be on both sides is on both sides, however unequal the classes are.
Where images have groups these are cut and not the images, as near to that as
the groups allow (`fbnax.data.groups`).

Symbols: `N` images, `K` classes.
"""

import dataclasses
import hashlib
from typing import TypeVar, cast

import numpy as np

from fbnax.data import groups
from fbnax.data.dataset import AnySplit, Dataset, Split

S = TypeVar("S", bound=AnySplit)


def hold_out(
  split: S,
  fraction_or_count: float | int,
  *,
  seed: int,
  key: str = "fraction_or_count",
) -> tuple[S, S]:
  """Holds a stratified part out of a split.

  A class with two images or more is in both parts; a class with one image stays
  in the kept part. Images keep their order within a part. Groups stay whole:
  what is held out is then about as large as it should be.

  Args:
    split: N images.
    fraction_or_count: a float in (0, 1) is the fraction to hold out, moved to
      the nearest count that leaves every such class on both sides; an int is
      the exact count.
    seed: of the choice. Same split, same seed: same parts.
    key: what a message calls `fraction_or_count`.

  Returns:
    (kept, held), a partition of the split.

  Raises:
    ValueError: if no such partition exists.
  """
  counts = np.bincount(split.labels)
  low = (counts >= 2).astype(np.int64)
  high = np.where(counts >= 2, counts - 1, 0)
  if not low.any():
    raise ValueError(
      f"{key}={fraction_or_count!r}: nothing can be held out of {len(split)}"
      f" images, one of each of {np.count_nonzero(counts)} classes; legal: two"
      " images or more of a class at least"
    )
  total = _total(
    key, fraction_or_count, len(split), int(low.sum()), int(high.sum())
  )
  shares = _allocate(counts, low, high, total)
  if split.groups is None:
    held = _choose(split.labels, shares, seed)
  else:
    held = groups.hold_out(split.groups, split.labels, shares, seed, key)
  kept_part = split.take(np.flatnonzero(~held))
  held_part = split.take(np.flatnonzero(held))
  return cast(S, kept_part), cast(S, held_part)


def subset(split: S, count: int, *, seed: int, key: str = "max_images") -> S:
  """A stratified choice of at most `count` images, each class at least once.

  Args:
    split: N images.
    count: how many to keep; with N or more the split is returned as it is.
    seed: of the choice.
    key: where a user says the count, for the message.

  Returns:
    min(N, count) images in their old order.

  Raises:
    ValueError: if `count` is smaller than the number of classes present.
  """
  if count >= len(split):
    return split
  counts = np.bincount(split.labels)
  low = (counts >= 1).astype(np.int64)
  if count < low.sum():
    raise ValueError(
      f"{key}: count={count} cannot show each of {low.sum()} classes; legal: at"
      f" least {low.sum()}"
    )
  chosen = _choose(split.labels, _allocate(counts, low, counts, count), seed)
  return cast(S, split.take(np.flatnonzero(chosen)))


def some_classes(split: S, count: int, total: int, *, seed: int) -> S:
  """The images of `count` random classes, numbered anew from 0.

  Args:
    split: what to cut.
    count: classes to keep.
    total: classes there are, K.
    seed: chooses them; the same for every split of a set.

  Raises:
    ValueError: there are not as many classes.
  """
  if not 2 <= count <= total:
    raise ValueError(
      f"search.classes is {count!r}; legal: 2 to {total}, or 0 for all"
    )
  kept = np.sort(np.random.default_rng(seed).permutation(total)[:count])
  chosen = split.take(np.flatnonzero(np.isin(split.labels, kept)))
  renumbered = np.searchsorted(kept, chosen.labels)
  labels = renumbered.astype(split.labels.dtype)
  return cast(S, dataclasses.replace(chosen, labels=labels))


def fold(dataset: Dataset, folds: int, index: int, seed: int) -> Dataset:
  """The data set with one of several disjoint parts as its test split.

  Training and test images are joined and dealt to the folds, so that each class
  differs by one image at most between two folds, and so do the folds. Where an
  image is depends on the images and labels alone, not on how they were split or
  ordered before. Groups stay whole, and folds differ by more.

  Args:
    dataset: both splits in memory.
    folds: how many parts, each of which is the test split once.
    index: which part is the test split now, 0 to `folds - 1`.
    seed: of the dealing. Same images, same seed: same folds.

  Returns:
    The same data set with other splits; its `source` names the fold.

  Raises:
    ValueError: the splits are streamed, a class has fewer images than there are
      folds, or a number is out of range.
  """
  train, test = dataset.train, dataset.test
  if not (isinstance(train, Split) and isinstance(test, Split)):
    raise ValueError(
      f"data.folds={folds}: {dataset.source} is streamed; legal: 0 there, or a"
      " set that is held in memory (decode_resolution makes its images smaller)"
    )
  images = np.concatenate([train.images, test.images])
  labels = np.concatenate([train.labels, test.labels])
  counts = np.bincount(labels)
  smallest = int(counts[counts > 0].min())
  if isinstance(folds, bool) or not 2 <= folds <= smallest:
    raise ValueError(
      f"data.folds={folds!r}; legal: 2 to {smallest}, the images of the"
      " smallest class, or 0 for the source's own split"
    )
  if isinstance(index, bool) or not 0 <= index < folds:
    raise ValueError(f"data.fold={index!r}; legal: 0 to {folds - 1}")
  ranks = [
    (hashlib.sha256(image.tobytes()).digest(), int(label))
    for image, label in zip(images, labels, strict=True)
  ]
  order = np.asarray(sorted(range(len(ranks)), key=ranks.__getitem__))
  whole = Split(
    images,
    labels,
    _joined(train.groups, test.groups),
    _joined(train.names, test.names),
  ).take(order)
  if whole.groups is not None:
    dealt = groups.deal(whole.groups, whole.labels, folds, seed)
    held = dealt == index
  else:
    shuffled = np.random.default_rng(seed).permutation(len(whole))
    by_class = shuffled[np.argsort(whole.labels[shuffled], kind="stable")]
    held = np.zeros(len(whole), bool)
    # Dealt like cards, one class after the other.
    held[by_class[index::folds]] = True
  return dataclasses.replace(
    dataset,
    train=whole.take(np.flatnonzero(~held)),
    test=whole.take(np.flatnonzero(held)),
    source=f"{dataset.source}, fold {index} of {folds}",
  )


def _joined(
  first: np.ndarray | None, second: np.ndarray | None
) -> np.ndarray | None:
  """What both splits know of their images; None where one does not."""
  if first is None or second is None:
    return None
  return np.concatenate([first, second])


def _total(
  key: str, fraction_or_count: float | int, n: int, least: int, most: int
) -> int:
  """The number of images to hold out, checked."""
  if isinstance(fraction_or_count, (bool, np.bool_)):
    raise ValueError(f"{key}={fraction_or_count!r} is no number")
  if isinstance(fraction_or_count, (int, np.integer)):
    if not least <= fraction_or_count <= most:
      raise ValueError(
        f"{key}={fraction_or_count!r} of {n} images cannot leave"
        " each class of two images or more on both sides; legal counts:"
        f" {least} to {most}"
      )
    return int(fraction_or_count)
  if not 0.0 < fraction_or_count < 1.0:
    raise ValueError(
      f"{key}={fraction_or_count!r}; legal: a fraction in (0, 1) or"
      f" a count from {least} to {most}"
    )
  return int(np.clip(round(fraction_or_count * n), least, most))


def _allocate(
  counts: np.ndarray, low: np.ndarray, high: np.ndarray, total: int
) -> np.ndarray:
  """How many of each class to choose: i64[K] within bounds, sum `total`.

  Starts from the rounded-down proportional shares and moves one image at a time
  where the share is missed most (the method of the largest remainder).
  """
  free = high > 0
  share = np.where(free, counts, 0) * (total / max(1, counts[free].sum()))
  chosen = np.clip(np.floor(share).astype(np.int64), low, high)
  while (missing := total - chosen.sum()) != 0:
    if missing > 0:
      gap = np.where(chosen < high, share - chosen, -np.inf)
      chosen[np.argmax(gap)] += 1
    else:
      gap = np.where(chosen > low, chosen - share, -np.inf)
      chosen[np.argmax(gap)] -= 1
  return chosen


def _choose(labels: np.ndarray, per_class: np.ndarray, seed: int) -> np.ndarray:
  """bool[N]: a random choice of `per_class[k]` images of each class k."""
  rng = np.random.default_rng(seed)
  order = rng.permutation(len(labels))
  by_class = order[np.argsort(labels[order], kind="stable")]
  starts = np.concatenate([[0], np.cumsum(np.bincount(labels))[:-1]])
  rank = np.arange(len(labels)) - np.repeat(starts, np.bincount(labels))
  chosen = np.zeros(len(labels), bool)
  chosen[by_class] = rank < per_class[labels[by_class]]
  return chosen
