"""From what a source found to a `Dataset`: the steps that all sources share.

In this order: check names and labels, hold out a test set where the source has
none, cut down to `max_images`, decode into memory what fits, choose how the
images may be augmented.

Symbols: `N` images, `H`, `W`, `C` their shape, `R` resolution.
"""

import concurrent.futures
import dataclasses
import os
from pathlib import Path

import numpy as np

from fbnax.base.names import normalized
from fbnax.data.checking import check_labels, check_names
from fbnax.data.dataset import AnySplit, Dataset, Split, StreamedSplit
from fbnax.data.decoding import resize
from fbnax.data.splitting import hold_out, subset

_SMALLEST_FLIPPED = 28
_USUAL_PADDING = 4
_LARGEST_RESIZED = 2**34  # Bytes; a typing error must not ask for terabytes.


@dataclasses.dataclass(frozen=True)
class Request:
  """What the caller of `fbnax.data.load` asks of a source.

  Attributes:
    path: file or folder, None where the source needs none.
    tfds_name: e.g. "cifar10" or "cifar10/3k"; for the source "tfds".
    test_fraction: in (0, 1), held out where the source has no test set.
    seed: of every choice of images.
    max_images: at most this many images in each split; None for all.
    in_memory_bytes: images (decoded) up to this size in all are held in memory.
    decode_resolution: R, to which all images are resized; None for as they are.
    bits: of images of more than 8 bits the significant ones, as a model wants
      them; None for as many as the largest training value needs.
    groups: CSV file of images and their groups, which are not split; None where
      each image is one by itself.
  """

  path: Path | None = None
  tfds_name: str | None = None
  test_fraction: float = 0.2
  seed: int = 0
  max_images: int | None = None
  in_memory_bytes: int = 2**30
  decode_resolution: int | None = None
  bits: int | None = None
  groups: Path | None = None


def assemble(
  request: Request,
  *,
  name: str,
  class_names: tuple[str, ...],
  train: AnySplit,
  test: AnySplit | None,
  source: str,
  licence: str = "",
  flip: bool | None = None,
  crop_padding: int | None = None,
  numbered: bool = False,
  bits: int | None = None,
  notes: tuple[str, ...] = (),
) -> Dataset:
  """Makes a data set of a source's images.

  By default colour images of 28 pixels or more are flipped and cropped with a
  padding of 4 (no padding where they are streamed: a stream crops by itself),
  others are shown as they are. That is right for photographs and wrong for
  colour pictures of text or digits.

  Args:
    request: the caller's wishes.
    name: the source's name.
    class_names: K names, in any Unicode form; the data set has the composed.
    train: the training images.
    test: the test images, or None to hold them out of `train`.
    source: where they come from.
    licence: the data's licence, if known.
    flip: the source's default, None for the one above.
    crop_padding: likewise.
    numbered: whether `class_names` are the classes' numbers alone.
    bits: as `Dataset.bits`.
    notes: as `Dataset.notes`.

  Returns:
    The data set; both splits in memory, or both streamed.

  Raises:
    ValueError: if names or labels are not legal, nothing can be held out, or an
      image cannot be decoded or has another shape than it should.
  """
  class_names = tuple(map(normalized, class_names))
  check_names(class_names, source)
  for key, split in (("train", train), ("test", test)):
    if split is not None:
      check_labels(split.labels, len(class_names), f"{source}: {key}.labels")
  if test is None:
    fraction, key = float(request.test_fraction), "data.test_fraction"
    train, test = hold_out(
      train, fraction, seed=request.seed, key=f"{source}: {key}"
    )
  if request.max_images is not None:
    most, key = request.max_images, f"{source}: data.max_images"
    train = subset(train, most, seed=request.seed, key=key)
    test = subset(test, most, seed=request.seed, key=key)
  train, test = _into_memory(train, test, request)
  if flip is None:
    flip = train.channels >= 3 and (
      train.size is None or min(train.size) >= _SMALLEST_FLIPPED
    )
  if crop_padding is None:
    crop_padding = _USUAL_PADDING if flip and isinstance(train, Split) else 0
  return Dataset(
    name=name,
    class_names=class_names,
    train=train,
    test=test,
    flip=flip,
    crop_padding=crop_padding,
    source=source,
    licence=licence,
    numbered=numbered,
    bits=bits,
    notes=notes,
  )


def _into_memory(
  train: AnySplit, test: AnySplit, request: Request
) -> tuple[AnySplit, AnySplit]:
  """Both splits decoded at one size, if there is one and they fit."""
  if request.decode_resolution is not None:
    size = (request.decode_resolution, request.decode_resolution)
  elif train.size is not None and train.size == test.size:
    size = train.size
  else:
    return train, test
  num_bytes = (len(train) + len(test)) * size[0] * size[1] * train.channels
  parts: list[AnySplit] = []
  for split in (train, test):
    if isinstance(split, Split):
      if split.size != size and num_bytes > _LARGEST_RESIZED:
        raise ValueError(
          f"decode_resolution={size[0]}: {len(train) + len(test)} images of "
          f"that size are {num_bytes / 1e9:.3g} GB; legal: at most "
          f"{_LARGEST_RESIZED / 1e9:.3g} GB, where a source is read into memory"
        )
      parts.append(_resize_all(split, size))
    elif num_bytes <= request.in_memory_bytes:
      parts.append(_decode_all(split, size))
    else:
      parts.append(split)
  return parts[0], parts[1]


def _resize_all(split: Split, size: tuple[int, int]) -> Split:
  if split.size == size:
    return split
  images = np.stack([resize(image, size) for image in split.images])
  return Split(images, split.labels, split.groups, split.names)


def _decode_all(split: StreamedSplit, size: tuple[int, int]) -> Split:
  images = np.empty((len(split), *size, split.channels), np.uint8)

  def decode_one(index: int) -> None:
    image = split.read(index)
    if split.size is not None and image.shape[:2] != split.size:
      raise ValueError(
        f"{split.describe(int(split.records[index]))}: found an image of shape"
        f" {image.shape}; legal: {(*split.size, split.channels)}"
      )
    images[index] = resize(image, size)

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for _ in pool.map(decode_one, range(len(split))):
      pass
  return Split(images, split.labels, split.groups, split.names)
