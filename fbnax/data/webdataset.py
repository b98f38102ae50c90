"""Images in WebDataset's shards: plain `.tar` files, read where they lie.

    photos/train-000000.tar    cat/1.jpg, cat/1.cls, cat/2.jpg, cat/2.cls, …
    photos/test-000000.tar
    photos/classnames.txt

Members with one name up to the first dot are one sample, of which `.cls` is the
class: a number from 0, whose name is on that line of `classnames.txt` if there
is one, or a name. A shard is of the split `test` or `validation` where a word
of its path says so (`val`, too), else of `train`. Nothing is unpacked: headers
are read once, for where each image begins.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fbnax.base import text
from fbnax.base.names import escaped
from fbnax.data.assembling import Request, assemble
from fbnax.data.checking import check_labels
from fbnax.data.dataset import Dataset
from fbnax.data.encoded import EncodedImages, splits, tested_on

NAMES = "classnames.txt"
IMAGES = ("bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp")
_CLASS = "cls"
_LONGEST_CLASS = 1_000  # Bytes.
_WORDS = {"test": "test", "val": "validation", "validation": "validation"}


class PackedImage(NamedTuple):
  """Where an image lies, and its class as it is written."""

  shard: Path
  key: str
  start: int
  size: int
  label: str


def is_webdataset(path: Path) -> bool:
  """Whether a folder has shards, in itself or in its folder `train`."""
  # All of a folder of images is not looked through for them.
  return any(any(p.glob("*.tar")) for p in (path, path / "train") if p.is_dir())


def load_webdataset(request: Request) -> Dataset:
  """Reads the headers of all shards under `request.path`.

  Without a split `test` or `validation`, a test set is held out of `train`.

  Raises:
    ValueError: there are no shards, one is damaged or compressed, a sample has
      no image or no class, or classes are neither all numbers nor all names;
      the shard and the sample are named.
  """
  root = request.path
  if root is None or not root.is_dir():
    raise ValueError(
      f"path={root and str(root)!r}; legal: a folder with .tar files"
    )
  samples: dict[str, list[PackedImage]] = {}
  for shard in sorted(root.rglob("*.tar")):
    samples.setdefault(_split_of(shard.relative_to(root)), []).extend(
      _samples(shard)
    )
  if not samples.get("train"):
    found = ", ".join(samples) or "no .tar files"
    raise ValueError(
      f"path={str(root)!r}: found {found}; legal: with shards of 'train'"
    )
  test, notes = tested_on(list(samples))
  used = [samples["train"], *([samples[test]] if test else [])]
  names, numbered = _names(root, used)
  parts = splits([_part(part, names, numbered) for part in used])
  source = escaped(str(root))
  return assemble(
    request,
    name="webdataset",
    class_names=names,
    train=parts[0],
    test=parts[1] if test else None,
    source=f"{source} ({'; '.join(notes)})" if notes else source,
    notes=notes,
    numbered=numbered and not (root / NAMES).exists(),
  )


def _split_of(shard: Path) -> str:
  words = re.findall("[a-z]+", shard.as_posix().lower())
  return next((_WORDS[word] for word in words if word in _WORDS), "train")


def _samples(shard: Path) -> Iterator[PackedImage]:
  found: dict[str, dict[str, tuple[int, int]]] = {}
  try:
    with tarfile.open(shard, "r:") as tar:
      for member in tar:
        folder, slash, file = member.name.rpartition("/")
        name, _, ending = file.partition(".")
        key, ending = f"{folder}{slash}{name}", ending.lower()
        # A link has no content of its own, a sparse file has holes in it.
        if not member.isreg() or member.issparse() or not name:
          continue
        if ending in found.setdefault(key, {}):
          raise ValueError(f"{_named(shard, key)}: has .{ending} twice")
        found[key][ending] = member.offset_data, member.size
  except tarfile.TarError as error:
    raise ValueError(
      f"{escaped(str(shard))}: {error}; legal: a .tar file that is whole and"
      " not compressed"
    ) from error
  for key, members in found.items():
    pictures = [ending for ending in IMAGES if ending in members]
    if len(pictures) != 1 or _CLASS not in members:
      raise ValueError(
        f"{_named(shard, key)}: found {sorted(members)}; legal: .{_CLASS} and"
        f" one of {', '.join(IMAGES)}"
      )
    start, size = members[_CLASS]
    label = _read(shard, start, min(size, _LONGEST_CLASS))
    words = text.decode(label, _named(shard, key)).strip()
    yield PackedImage(shard, key, *members[pictures[0]], words)


def _named(shard: Path, key: str) -> str:
  return escaped(f"{shard}: {key}")


def _read(shard: Path, start: int, size: int) -> bytes:
  with shard.open("rb") as file:
    file.seek(start)
    return file.read(size)


def _names(
  root: Path, parts: list[list[PackedImage]]
) -> tuple[tuple[str, ...], bool]:
  """The classes, and whether samples have their numbers."""
  labels = [image.label for part in parts for image in part]
  numbers = [label for label in labels if re.fullmatch(r"\d{1,9}", label)]
  if len(numbers) == len(labels):
    if (root / NAMES).is_file():
      listed = text.decode((root / NAMES).read_bytes(), str(root / NAMES))
      return tuple(listed.splitlines()), True
    count = 1 + max(int(image.label) for image in parts[0])
    if count > len(parts[0]):
      raise ValueError(
        f"{escaped(str(root))}: found class {count - 1} among"
        f" {len(parts[0])} images; legal: 0 to K - 1, with images of each"
      )
    return tuple(map(str, range(count))), True
  if numbers:
    image = next(i for part in parts for i in part if i.label not in numbers)
    raise ValueError(
      f"{_named(image.shard, image.key)}: class {image.label!r}, and others"
      f" are numbers, such as {numbers[0]}; legal: all numbers, or all names"
    )
  return tuple(sorted({image.label for image in parts[0]})), False


def _part(
  images: list[PackedImage], names: tuple[str, ...], numbered: bool
) -> EncodedImages:
  numbers = {name: i for i, name in enumerate(names)}
  for image in images if not numbered else ():
    if image.label not in numbers:
      raise ValueError(
        f"{_named(image.shard, image.key)}: class {image.label!r}; legal: one"
        " of the training images'"
      )
  labels = np.asarray(
    [int(i.label) if numbered else numbers[i.label] for i in images], np.int32
  )
  check_labels(labels, len(names), escaped(str(images[0].shard)))
  return EncodedImages(
    labels,
    lambda i: _read(images[i].shard, images[i].start, images[i].size),
    lambda i: _named(images[i].shard, images[i].key),
  )
