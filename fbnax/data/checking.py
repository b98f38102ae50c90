"""Says what is wrong with a data set before anything is trained on it.

Symbols: `N` images, `H`, `W`, `C` their shape, `K` classes.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fbnax.base.names import is_encodable, normalized
from fbnax.data.dataset import AnySplit, Dataset, Split


def check(dataset: Dataset) -> None:
  """Checks everything that is known without decoding an image.

  Streamed images are checked one by one when they are read.

  Args:
    dataset: any `Dataset`, of a source here or of the caller's making.

  Raises:
    ValueError: naming the source, the key, what was found and what is legal: if
      the names of classes are not legal (`check_names`); a split is empty, or
      its labels are not i32[N] in 0 .. K - 1; its images are not u8[N, H, W, C]
      of one shape for both splits; its groups are not one for each image; a
      class has no training image; or `crop_padding` is negative. (A class
      without a test image is legal: a class of a single image has none.)
  """
  names = dataset.class_names
  check_names(names, dataset.source)
  if dataset.crop_padding < 0:
    found = str(dataset.crop_padding)
    raise _error(dataset.source, "crop_padding", found, "0 or more pixels")
  for key, split in (("train", dataset.train), ("test", dataset.test)):
    check_labels(split.labels, len(names), f"{dataset.source}: {key}.labels")
    _check_images(dataset, key, split)
    _check_groups(dataset, key, split)
  _check_same_shape(dataset)
  counts = np.bincount(dataset.train.labels, minlength=len(names))
  if empty := [names[i] for i in np.flatnonzero(counts == 0)]:
    found = f"no image of class {', '.join(map(repr, empty[:5]))}" + (
      f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    )
    raise _error(dataset.source, "train", found, "1 or more of each class")


def check_names(names: Sequence[str], source: str) -> None:
  """Checks the names of classes.

  Args:
    names: K of them.
    source: for the message.

  Raises:
    ValueError: if there are fewer than two, one is no string, is blank or
      cannot be written as UTF-8 (a folder's name of another encoding), or two
      are the same in Unicode's composed form.
  """
  if len(names) < 2:
    raise _error(source, "class_names", f"{len(names)} classes", "2 or more")
  for name in names:
    if not isinstance(name, str) or not name.strip():
      raise _error(source, "class_names", f"{name!r}", "strings, not blank")
    if not is_encodable(name):
      raise _error(source, "class_names", f"{name!a}", "names in UTF-8")
  counts = Counter(map(normalized, names))
  if repeated := [ascii(n) for n in names if counts[normalized(n)] > 1]:
    found = f"{', '.join(repeated[:5])}, which are one name"
    raise _error(source, "class_names", found, "distinct names")


def check_labels(labels: np.ndarray, num_classes: int, name: str) -> None:
  """Checks one split's labels.

  Args:
    labels: i32[N].
    num_classes: K.
    name: source and key, for the message.

  Raises:
    ValueError: if they are not i32[N], none, or not all in 0 .. K - 1.
  """
  if labels.ndim != 1 or labels.dtype != np.int32 or not len(labels):
    raise ValueError(
      f"{name}: found {labels.dtype}{list(labels.shape)}; legal: int32[N] with"
      " N of 1 or more"
    )
  wrong = (labels < 0) | (labels >= num_classes)
  if wrong.any():
    first = int(np.argmax(wrong))
    raise ValueError(
      f"{name}: found {labels[first]} at index {first} ({wrong.sum()} such);"
      f" legal: 0 to {num_classes - 1}"
    )


def _error(source: str, key: str, found: str, legal: str) -> ValueError:
  return ValueError(f"{source}: {key}: found {found}; legal: {legal}")


def _check_images(dataset: Dataset, key: str, split: AnySplit) -> None:
  if not isinstance(split, Split):
    if len(split.records) != len(split.labels):
      found = f"{len(split.records)} for {len(split.labels)} labels"
      raise _error(
        dataset.source, f"{key}.records", found, "one for each label"
      )
    return
  images = split.images
  if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape:
    found = f"{images.dtype}{list(images.shape)}"
    raise _error(dataset.source, f"{key}.images", found, "uint8[N, H, W, C]")
  if len(images) != len(split.labels):
    found = f"{len(images)} images for {len(split.labels)} labels"
    raise _error(dataset.source, f"{key}.images", found, "one for each label")


def _check_groups(dataset: Dataset, key: str, split: AnySplit) -> None:
  groups = split.groups
  if groups is not None and groups.shape != split.labels.shape:
    found = f"{list(groups.shape)} for {len(split.labels)} labels"
    raise _error(dataset.source, f"{key}.groups", found, "one for each label")
  if (groups is None) != (dataset.train.groups is None):
    found = "groups of one split alone"
    raise _error(dataset.source, f"{key}.groups", found, "of both, or none")


def _check_same_shape(dataset: Dataset) -> None:
  train, test = dataset.train, dataset.test
  same_size = train.size == test.size or None in (train.size, test.size)
  if same_size and train.channels == test.channels:
    return
  raise _error(
    dataset.source,
    "test.images",
    f"images of (H, W) {test.size} with {test.channels} channels",
    f"the shape of train.images, {train.size} with {train.channels} channels",
  )
