"""Groups of images that no cut divides: those of a patient, an object, a day.

Photographs of one object are alike. If one is trained on and another is tested
on, the test tells how well the object is known again, and not what a network
makes of objects that are new. A file says which image is of which group:

    image,group
    defective/cell0001.png,module-7

Images are paths below the data folder; the first line may be left out.

Symbols: `N` images, `G` groups, `K` classes.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fbnax.base import text
from fbnax.base.names import escaped, normalized
from fbnax.data.dataset import AnySplit

HEADER = ("image", "group")
_PASSES = 20  # Over all groups; two or three suffice.


def numbers(table: Path, root: Path, paths: Sequence[Path]) -> np.ndarray:
  """The number of each image's group, `i32[N]`, in the order of their names.

  Args:
    table: the CSV file.
    root: the data folder.
    paths: of the images.

  Raises:
    ValueError: the file cannot be read; a line of it is no image and group,
      names an image that is not there, or one once more; an image has no line.
  """
  of_image = _read(table)
  names = [_name(path.relative_to(root)) for path in paths]
  there = set(names)
  for name, (line, _) in of_image.items():
    if name not in there:
      raise ValueError(
        f"{_shown(table)}: line {line}: there is no image {escaped(name)!r};"
        f" legal: the path of an image below {_shown(root)}"
      )
  for name in names:
    if name not in of_image:
      raise ValueError(
        f"{_shown(table)}: no line for the image {escaped(name)!r}; legal: one"
        " for each image, with a group of its own where it is alone"
      )
  order = sorted({group for _, group in of_image.values()})
  place = {group: number for number, group in enumerate(order)}
  return np.asarray([place[of_image[name][1]] for name in names], np.int32)


def check_apart(table: Path, train: AnySplit, test: AnySplit) -> None:
  """Refuses splits of the source that share a group.

  Raises:
    ValueError: they do.
  """
  if train.groups is None or test.groups is None:
    return
  both = np.intersect1d(train.groups, test.groups)
  if len(both):
    first = [
      split.describe(int(split.records[np.argmax(split.groups == both[0])]))  # type: ignore[union-attr]
      for split in (train, test)
    ]
    raise ValueError(
      f"{_shown(table)}: {len(both)} groups are on both sides, that of the"
      f" training image {first[0]} and the test image {first[1]}; legal: each"
      " group in one of both folders"
    )


def hold_out(
  groups: np.ndarray,
  labels: np.ndarray,
  shares: np.ndarray,
  seed: int,
  key: str,
) -> np.ndarray:
  """Which images to hold out, `bool[N]`: whole groups, near a share by class.

  Groups change sides, one after the other in a random order, as long as that
  brings the classes' shares nearer. No class is held out whole; one of which
  nothing is held out, where it has two groups, counts more than all else.

  Args:
    groups: `i32[N]`.
    labels: `i32[N]`.
    shares: images to hold out of each class, `i64[K]`.
    seed: of the choice.
    key: what a message calls the share.

  Raises:
    ValueError: all images are of one group, or nothing can be held out.
  """
  table, of_image = _table(groups, labels, len(shares))
  total = table.sum(0)
  divisible = (table > 0).sum(0) > 1
  held = np.zeros(len(table), bool)
  now = np.zeros_like(total)

  def badness(counts: np.ndarray) -> float:
    if ((counts == total) & (total > 0)).any():
      return np.inf  # Of that class none would be left to train on.
    off = (counts - shares) ** 2 / np.maximum(total, 1)
    lacking = divisible & (counts == 0)
    return float(off.sum() + lacking.sum() * (total.sum() + 1))

  order = np.random.default_rng(seed).permutation(len(table))
  worst = badness(now)
  for _ in range(_PASSES):
    before = worst
    for group in order:
      changed = now + np.where(held[group], -table[group], table[group])
      if (value := badness(changed)) < worst:
        held[group], now, worst = not held[group], changed, value
    if worst == before:
      break
  if not held.any() or held.all():
    raise ValueError(
      f"{key}: nothing can be held out of {len(table)} groups of"
      f" {len(labels)} images; legal: more and smaller groups"
    )
  return np.asarray(held[of_image])


def deal(
  groups: np.ndarray, labels: np.ndarray, folds: int, seed: int
) -> np.ndarray:
  """The fold of each image, `i64[N]`: whole groups, the largest dealt first.

  A group goes where the classes' shares are then nearest to equal.

  Args:
    groups: `i32[N]`.
    labels: `i32[N]`.
    folds: how many.
    seed: of the order of groups of one size.

  Raises:
    ValueError: there are fewer groups than folds.
  """
  table, of_image = _table(groups, labels, int(labels.max()) + 1)
  if len(table) < folds:
    raise ValueError(
      f"data.folds={folds} of {len(table)} groups; legal: at most {len(table)}"
    )
  order = np.random.default_rng(seed).permutation(len(table))
  order = order[np.argsort(-table[order].sum(1), kind="stable")]
  share = table.sum(0) / folds
  counts = np.zeros((folds, table.shape[1]))
  fold_of = np.zeros(len(table), np.int64)
  for place, group in enumerate(order):
    off = (counts + table[group] - share) ** 2 - (counts - share) ** 2
    badness = (off / np.maximum(share, 1e-9)).sum(1)
    empty = counts.sum(1) == 0
    if empty.sum() >= len(order) - place:  # One is left for each of them.
      badness[~empty] = np.inf
    fold_of[group] = np.argmin(badness)
    counts[fold_of[group]] += table[group]
  return np.asarray(fold_of[of_image])


def _table(
  groups: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Images of groups by class, `i64[G, K]`, and each image's row, `i64[N]`."""
  present, rows = np.unique(groups, return_inverse=True)
  table = np.zeros((len(present), classes), np.int64)
  np.add.at(table, (rows, labels), 1)
  return table, rows


def _read(table: Path) -> dict[str, tuple[int, str]]:
  """Line and group of each image of the file."""
  try:
    content = text.read(table)
  except (OSError, ValueError) as error:
    raise ValueError(
      f"groups={str(table)!r} cannot be read: {error}; legal: a CSV file of"
      " image and group"
    ) from error
  rows: dict[str, tuple[int, str]] = {}
  reader = csv.reader(io.StringIO(content), strict=True)
  try:
    for cells in reader:
      line, cells = reader.line_num, [cell.strip() for cell in cells]
      if not any(cells) or (line == 1 and tuple(cells) == HEADER):
        continue
      if len(cells) != len(HEADER) or not all(cells):
        raise ValueError(
          f"{_shown(table)}: line {line} is {escaped(','.join(cells))[:80]!r};"
          " legal: image,group"
        )
      name = _name(Path(cells[0].replace("\\", "/")))  # Of Windows.
      if name in rows:
        raise ValueError(
          f"{_shown(table)}: line {line} is the image {escaped(name)!r} once"
          f" more, after line {rows[name][0]}; legal: one line for each"
        )
      rows[name] = (line, cells[1])
  except csv.Error as error:
    raise ValueError(
      f"{_shown(table)}: line {reader.line_num}: {error}; legal: image,group"
    ) from error
  return rows


def _name(path: Path) -> str:
  return normalized(path.as_posix())


def _shown(path: Path) -> str:
  return escaped(str(path))
