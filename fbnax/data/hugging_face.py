"""A data set of Hugging Face's `datasets` on disk, as `save_to_disk` leaves it.

    datasets.load_dataset("OWNER/NAME").save_to_disk("flowers")

It has a feature of the kind `Image` and one of the kind `ClassLabel`, the first
of each. The package `datasets` is the extra `datasets`; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fbnax.base import extras
from fbnax.base.names import escaped
from fbnax.data.assembling import Request, assemble
from fbnax.data.dataset import Dataset
from fbnax.data.encoded import EncodedImages, splits, tested_on

_FILES = ("dataset_dict.json", "state.json")  # Of several splits, and of one.


def is_hugging_face(path: Path) -> bool:
  """Whether a folder is what `save_to_disk` leaves."""
  return any((path / name).is_file() for name in _FILES)


def load_hugging_face(request: Request) -> Dataset:
  """Opens `request.path`, where nothing is decoded before it is asked for.

  Without a split `test` or `validation`, a test set is held out of `train`; a
  data set without splits is all `train`.

  Raises:
    ValueError: the package is not installed, there is no such data set, it has
      no split `train`, or not such features.
  """
  root = request.path
  if root is None or not is_hugging_face(root):
    raise ValueError(
      f"path={root and str(root)!r}; legal: a folder that"
      " save_to_disk of Hugging Face's datasets left"
    )
  source = escaped(str(root))
  found = _opened(root, source)
  if "train" not in found:
    raise ValueError(
      f"{source}: found the splits {sorted(found)}; legal: with 'train'"
    )
  test, notes = tested_on(list(found))
  used = [found["train"], *([found[test]] if test else [])]
  image, label = _features(used[0].features, source)
  for part in used[1:]:
    if part.features != used[0].features:
      raise ValueError(
        f"{source}: {test} has the features {part.features}; legal: those of"
        f" train, {used[0].features}"
      )
  parts = splits(
    [
      _part(part, image, label, f"{source}: {name}")
      for part, name in zip(used, ("train", test), strict=False)
    ]
  )
  return assemble(
    request,
    name="hf",
    class_names=tuple(used[0].features[label].names),
    train=parts[0],
    test=parts[1] if test else None,
    source=f"{source} ({'; '.join(notes)})" if notes else source,
    notes=notes,
    licence=used[0].info.license or "",
  )


def _opened(root: Path, source: str) -> Mapping[str, Any]:
  """The splits by name."""
  datasets = extras.load("datasets", "datasets", "data.name='hf'")
  try:
    found = datasets.load_from_disk(str(root))
  except Exception as error:  # Of a dozen kinds, where a file is damaged.
    raise ValueError(
      f"{source}: cannot be opened by datasets: {error}"
    ) from error
  return found if isinstance(found, Mapping) else {"train": found}


def _features(features: Mapping[str, Any], source: str) -> tuple[str, str]:
  """The columns of images and of labels."""
  columns = []
  for kind in ("Image", "ClassLabel"):
    names = [n for n, f in features.items() if type(f).__name__ == kind]
    if not names:
      raise ValueError(
        f"{source}: found the features {dict(features)}; legal: one of the kind"
        f" {kind}"
      )
    columns.append(names[0])
  return columns[0], columns[1]


def _part(part: Any, image: str, label: str, where: str) -> EncodedImages:
  datasets = extras.load("datasets", "datasets", "data.name='hf'")
  images = part.cast_column(image, datasets.Image(decode=False))

  def describe(index: int) -> str:
    return f"{where}: row {index}"

  def fetch(index: int) -> bytes:
    entry = images[index][image]
    content = None if entry is None else entry["bytes"]
    if content is None:
      raise ValueError(
        f"{describe(index)}: has no image, or one in a file elsewhere; legal:"
        " images in the data set, as save_to_disk leaves them"
      )
    return bytes(content)

  labels = np.asarray(part[label][:], object)
  if missing := [i for i, value in enumerate(labels) if value is None]:
    raise ValueError(
      f"{describe(missing[0])}: has no {label}; legal: a class of each image"
    )
  return EncodedImages(labels.astype(np.int32), fetch, describe)
