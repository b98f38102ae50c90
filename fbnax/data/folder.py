"""A data set of image files, in a folder per class.

Either `path/train/<class>/*` with `path/test/<class>/*` (`validation` or `val`
also serve as the test set; without any, one is held out), or `path/<class>/*`
with the test set held out. Classes are sorted by name. Folders of grey images
alone have C = 1, all others C = 3; `decoding.py` says how the formats are
converted. Names that begin with a dot are passed over.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fbnax.data.assembling import Request, assemble
from fbnax.data.dataset import Dataset, StreamedSplit
from fbnax.data.decoding import decode, probe

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
_TRAIN = "train"
_TEST = ("test", "validation", "val")


def load_folder(request: Request) -> Dataset:
  """Lists the images under `request.path`, and reads the header of each.

  Images of one size (or with `decode_resolution`) that fit in
  `in_memory_bytes` are decoded at once, others when they are asked for.

  Raises:
    ValueError: naming the folder or file, what was found and what is legal: no
      such folder, no classes, a class without images, a test class that the
      training set does not have, a file that is no image.
  """
  if request.path is None:
    raise ValueError("path=None; legal: the path of a folder")
  root = request.path
  if not root.is_dir():
    raise ValueError(f"path={str(root)!r}: there is no such folder")
  source = str(root)
  if (root / _TRAIN).is_dir() and _folders(root / _TRAIN):
    train_files = _files_by_class(root / _TRAIN)
    tests = [name for name in _TEST if (root / name).is_dir()]
    test_files = _files_by_class(root / tests[0]) if tests else None
    if tests and tests[0] != _TEST[0]:
      source += f" (tested on {tests[0]})"
  else:
    train_files, test_files = _files_by_class(root), None
  class_names = tuple(train_files)
  if empty := [name for name in class_names if not train_files[name]]:
    raise ValueError(
      f"{root}: class {empty[0]!r}: no images; legal: at least one of"
      f" {', '.join(SUFFIXES)}"
    )
  if unknown := sorted(set(test_files or ()) - set(class_names)):
    raise ValueError(
      f"{root / tests[0] / unknown[0]}: class {unknown[0]!r} is not among the"
      f" training set's classes; legal: {', '.join(class_names)}"
    )
  train, test = _splits(class_names, train_files, test_files)
  return assemble(
    request,
    name="folder",
    class_names=class_names,
    train=train,
    test=test,
    source=source,
  )


def _folders(path: Path) -> list[Path]:
  return sorted(p for p in _visible(path) if p.is_dir())


def _visible(path: Path) -> Iterable[Path]:
  return (p for p in path.iterdir() if not p.name.startswith("."))


def _files_by_class(path: Path) -> dict[str, list[Path]]:
  """The image files of each class, all sorted by name."""
  folders = _folders(path)
  if not folders:
    raise ValueError(f"{path}: no folders; legal: one folder per class")
  for stray in sorted(p for p in _visible(path) if p.is_file()):
    if stray.suffix.lower() in SUFFIXES:
      raise ValueError(f"{stray}: an image outside the folders of the classes")
  return {folder.name: _image_files(folder) for folder in folders}


def _image_files(folder: Path) -> list[Path]:
  files = sorted(_visible(folder))
  for file in files:
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
      raise ValueError(
        f"{file}: is no image; legal in a class's folder: {', '.join(SUFFIXES)}"
      )
  return files


def _splits(
  class_names: tuple[str, ...],
  train_files: dict[str, list[Path]],
  test_files: dict[str, list[Path]] | None,
) -> tuple[StreamedSplit, StreamedSplit | None]:
  """Both splits over one list of files, of one number of channels."""
  found = [
    (label, file)
    for by_class in (train_files, test_files or {})
    for label, name in enumerate(class_names)
    for file in by_class.get(name, ())
  ]
  labels = np.array([label for label, _ in found], np.int32)
  files = tuple(file for _, file in found)
  headers = [probe(file) for file in files]
  channels = 1 if all(grey for *_, grey in headers) else 3
  sizes = [(height, width) for height, width, _ in headers]
  other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
  mixed = ""
  if other is not None:
    mixed = f"{files[0]} is (H, W) {sizes[0]}, {files[other]} is {sizes[other]}"
  everything = StreamedSplit(
    labels=labels,
    reader=lambda i: decode(files[i], channels, str(files[i])),
    records=np.arange(len(files)),
    channels=channels,
    describe=lambda i: str(files[i]),
    size=sizes[0] if other is None else None,
    mixed_sizes=mixed,
  )
  if test_files is None:
    return everything, None
  num_train = sum(map(len, train_files.values()))
  return (
    everything.take(np.arange(num_train)),
    everything.take(np.arange(num_train, len(files))),
  )
