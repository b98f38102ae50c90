"""A data set of image files, in a folder per class.

`layout.py` says which folders are splits and classes, `decoding.py` how the
formats are converted. Folders of grey images alone have C = 1, all others
C = 3. Images of more than 8 bits are scaled alike: by the bits that the largest
value of all training images needs.
"""

import concurrent.futures
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fbnax.base.names import escaped
from fbnax.data import groups, layout
from fbnax.data.assembling import Request, assemble
from fbnax.data.dataset import Dataset, StreamedSplit
from fbnax.data.decoding import (
  DEEPEST,
  decode,
  largest_value,
  may_be_deep,
  probe,
)


def load_folder(request: Request) -> Dataset:
  """Lists the images under `request.path`, and reads the header of each.

  Images of one size (or with `decode_resolution`) that fit in
  `in_memory_bytes` are decoded at once, others when they are asked for; those
  of more than 8 bits are decoded once more, for their largest value.

  Raises:
    ValueError: naming the folder or file, what was found and what is legal: no
      such folder, no classes, a class without images, a test class that the
      training set does not have, a file that is no image.
  """
  if request.path is None:
    raise ValueError("path=None; legal: the path of a folder")
  root = request.path
  if not root.is_dir():
    problem = "is no folder" if root.exists() else "there is no such folder"
    raise ValueError(f"path={str(root)!r}: {problem}")
  source = escaped(str(root))
  files = layout.read(root)
  train, test, bits = _splits(files, request.bits, root, request.groups)
  notes = files.notes
  if bits is not None:
    notes += (f"16-bit images: 0 to {2**bits - 1:,} become 0 to 255",)
  return assemble(
    request,
    name="folder",
    class_names=tuple(files.train),
    train=train,
    test=test,
    source=f"{source} ({'; '.join(notes)})" if notes else source,
    notes=notes,
    bits=bits,
  )


def _splits(
  files: layout.Layout, bits: int | None, root: Path, table: Path | None
) -> tuple[StreamedSplit, StreamedSplit | None, int | None]:
  """Both splits over one list of files, of one number of channels.

  Args:
    files: of each class.
    bits: significant ones of images of more than 8; None to find them.
    root: the folder.
    table: file of the images' groups; None without groups.

  Returns:
    Training and test split, and the bits, None without such images.
  """
  names = tuple(files.train)
  labelled = [
    (label, file)
    for by_class in (files.train, files.test or {})
    for label, name in enumerate(names)
    for file in by_class.get(name, ())
  ]
  num_train = sum(map(len, files.train.values()))
  labels = np.array([label for label, _ in labelled], np.int32)
  paths = tuple(file for _, file in labelled)
  headers = [probe(path) for path in paths]
  channels = 1 if all(grey for *_, grey in headers) else 3
  sizes = [(height, width) for height, width, _ in headers]
  other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)

  def describe(index: int) -> str:
    return escaped(str(paths[index]))

  mixed = ""
  if other is not None:
    mixed = (
      f"{describe(0)} is (H, W) {sizes[0]}, {describe(other)} is {sizes[other]}"
    )
  # Of the test images where no other has more than 8 bits.
  least = _bits(paths[:num_train]) or _bits(paths[num_train:])
  bits = None if least is None else bits or least
  everything = StreamedSplit(
    labels=labels,
    reader=lambda i: decode(paths[i], channels, describe(i), bits or DEEPEST),
    records=np.arange(len(paths)),
    channels=channels,
    describe=describe,
    size=sizes[0] if other is None else None,
    mixed_sizes=mixed,
    groups=None if table is None else groups.numbers(table, root, paths),
    names=np.asarray(
      [escaped(path.relative_to(root).as_posix()) for path in paths], object
    ),
  )
  if files.test is None:
    return everything, None, bits
  train = everything.take(np.arange(num_train))
  test = everything.take(np.arange(num_train, len(paths)))
  if table is not None:
    groups.check_apart(table, train, test)
  return train, test, bits


def _bits(paths: Sequence[Path]) -> int | None:
  """What the largest value of images of more than 8 bits needs, 8 to 16.

  Returns:
    None where there are no such images.

  Raises:
    ValueError: there are no others, and all of them are black.
  """
  deep = [path for path in paths if may_be_deep(path)]
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    values = [v for v in pool.map(largest_value, deep) if v is not None]
  if not values:
    return None
  if not any(values) and len(values) == len(paths):
    raise ValueError(
      f"{escaped(str(paths[0]))} and all {len(paths)} images of its split have"
      " 16 bits and are black; legal: values above 0"
    )
  return max(8, max(values).bit_length())
