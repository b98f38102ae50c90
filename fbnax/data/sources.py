"""The table of data sources, and the one function that loads any of them.

A source is a function of a `Request` that gives a `Dataset`. A new one is a
file here and a line in the table; a caller's own function is passed to `load`
in the place of a name.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from fbnax.base import limits
from fbnax.base.names import nearest
from fbnax.data.assembling import Request
from fbnax.data.checking import check
from fbnax.data.dataset import Dataset
from fbnax.data.digits import load_digits
from fbnax.data.folder import load_folder
from fbnax.data.hugging_face import is_hugging_face, load_hugging_face
from fbnax.data.npz import load_npz
from fbnax.data.tfds import load_tfds
from fbnax.data.webdataset import is_webdataset, load_webdataset

Source = Callable[[Request], Dataset]

SOURCES: dict[str, Source] = {
  "digits": load_digits,
  "npz": load_npz,
  "folder": load_folder,
  "tfds": load_tfds,
  "hf": load_hugging_face,
  "webdataset": load_webdataset,
}
# How a path is known that a person names without its kind; else a folder.
_KINDS: dict[str, Callable[[Path], bool]] = {
  "npz": lambda path: path.suffix == ".npz",
  "hf": is_hugging_face,
  "webdataset": is_webdataset,
}


def names() -> tuple[str, ...]:
  """The names that `load` knows."""
  return tuple(SOURCES)


def kind(path: str | os.PathLike[str]) -> str:
  """The name of the source that reads a path, by what is there."""
  where = Path(path).expanduser()
  return next((n for n, is_it in _KINDS.items() if is_it(where)), "folder")


def load(
  name: str | Source,
  *,
  path: str | os.PathLike[str] | None = None,
  tfds_name: str | None = None,
  test_fraction: float = 0.2,
  seed: int = 0,
  max_images: int | None = None,
  in_memory_bytes: int = 2**30,
  decode_resolution: int | None = None,
  flip: bool | None = None,
  crop_padding: int | None = None,
  bits: int | None = None,
  groups: str | os.PathLike[str] | None = None,
) -> Dataset:
  """Loads and checks a data set; downloads nothing.

  Args:
    name: one of `names()`, or a function that takes a `Request`.
    path: the .npz file, the folder of images or of shards, what Hugging Face's
      `save_to_disk` left, or tfds' data folder.
    tfds_name: e.g. "cifar10" or "cifar10/3k", for "tfds" alone.
    test_fraction: in (0, 1); the part held out as the test set, class by class,
      where the source has no test set of its own.
    seed: of every choice of images.
    max_images: keeps at most this many images of each split, chosen class by
      class; None keeps all.
    in_memory_bytes: images of one size that need no more than this, decoded,
      are held in memory; others are streamed. (An .npz always is in memory.)
    decode_resolution: resizes all images to this many pixels square, without
      keeping their aspect; images of different sizes can then be in memory.
    flip: whether training may mirror images; None for the source's default.
    crop_padding: pixels around an image before a random crop, 0 for no crops;
      None for the source's default.
    bits: of images of more than 8 bits the significant ones, 8 to 16: their
      range becomes 0 to 255. None for as many as the largest training value
      needs; what a model was trained with is in its card.
    groups: CSV file of image and group, for "folder" alone: images of a group
      are on one side of every cut (`fbnax.data.groups`).

  Returns:
    The data set, which has passed `check`.

  Raises:
    ValueError: naming the key, the value and what is legal, for an argument or
      for what was found in the data.
  """
  if not callable(name) and name not in SOURCES:
    near = nearest(str(name), SOURCES, 0.5)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(f"name={name!r}; {meant}legal: {', '.join(SOURCES)}")
  if not 0.0 < test_fraction < 1.0:
    raise ValueError(f"test_fraction={test_fraction}; legal: in (0, 1)")
  if seed < 0:
    raise ValueError(f"seed={seed}; legal: 0 or more")
  if tfds_name is not None and name in SOURCES and name != "tfds":
    raise ValueError(f"tfds_name={tfds_name!r}: only 'tfds' takes one")
  if groups is not None and name in SOURCES and name != "folder":
    raise ValueError(f"groups={str(groups)!r}: only 'folder' takes them")
  for key, value in (
    ("max_images", max_images),
    ("decode_resolution", decode_resolution),
  ):
    if value is not None and value < 1:
      raise ValueError(f"{key}={value}; legal: 1 or more, or None")
  if decode_resolution is not None and decode_resolution > limits.RESOLUTION:
    raise ValueError(
      f"decode_resolution={decode_resolution}; legal: at most"
      f" {limits.RESOLUTION:,}"
    )
  if bits is not None and not 8 <= bits <= 16:
    raise ValueError(f"bits={bits}; legal: 8 to 16, or None")
  source = name if callable(name) else SOURCES[name]
  dataset = source(
    Request(
      path=Path(path).expanduser() if path else None,
      tfds_name=tfds_name,
      test_fraction=test_fraction,
      seed=seed,
      max_images=max_images,
      in_memory_bytes=in_memory_bytes,
      decode_resolution=decode_resolution,
      bits=bits,
      groups=Path(groups).expanduser() if groups else None,
    )
  )
  if flip is not None:
    dataset = dataclasses.replace(dataset, flip=flip)
  if crop_padding is not None:
    dataset = dataclasses.replace(dataset, crop_padding=crop_padding)
  check(dataset)
  return dataset
