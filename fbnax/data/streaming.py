"""Streams batches of images that are decoded, cropped and resized on the host.

For splits that do not fit on the device; the order, the crops and the flips all
follow from the seed and the number of the batch, so that a stream's position is
one integer. The reading is grain's (`grain.MapDataset`), its crops are the
usual ones of ImageNet training: Inception's random resized crop (Szegedy et
al., 2015, section 6), and for evaluation a central crop of 0.875.

Symbols: `B` batch, `R` resolution in pixels, `C` channels, `N` images.
"""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fbnax.data.dataset import AnySplit
from fbnax.data.decoding import resize

if TYPE_CHECKING:
  import grain

_CROP_AREA = (0.08, 1.0)
_CROP_ASPECT = (3 / 4, 4 / 3)
_CROP_ATTEMPTS = 10

Batch = tuple[np.ndarray, np.ndarray]

# Apart in the seeds of balanced batches.
_WITHIN_BATCH, _WITHIN_CLASS = 0, 1
# What stands for images that another process reads.
_OTHERS = -1
_NOTHING = (np.zeros(0, np.uint8), np.zeros((), np.int32))


def stream(
  split: AnySplit,
  *,
  batch_size: int,
  resolution: int,
  seed: int,
  train: bool,
  workers: int = 0,
  flip: bool = False,
  vertical_flip: bool = False,
  quarter_turns: bool = False,
  balanced: bool = False,
  crop_ratio: float = 0.875,
  rows: range | None = None,
) -> "grain.DatasetIterator[Batch]":
  """Batches of a split, in train or in evaluation order.

  Training runs over epochs endlessly; every image is shown once an epoch, in an
  order of the epoch's own. All batches are full: where B does not divide N, the
  batch at the end of an epoch takes its last images from the next one, so no
  image is dropped. Evaluation is one pass in the split's order.

  Args:
    split: N images of any sizes.
    batch_size: B.
    resolution: R.
    seed: of order, crops and flips, 0 to 2**32 - 1; unused in evaluation.
    train: random order, random resized crops (8 to 100 % of the area, aspect
      3/4 to 4/3) and flips; otherwise the shorter side is resized to
      R / crop_ratio and the centre is taken.
    workers: threads that read ahead; 0 reads when asked. Decoding and resizing
      release Python's lock. The batches do not depend on it.
    flip: whether training mirrors every second image at random.
    vertical_flip: whether it turns every second image upside down.
    quarter_turns: whether it turns images by a random multiple of 90 degrees.
    balanced: whether training shows each class equally often, up to one image
      a batch, in place of every image once an epoch: images of a small class
      come again, those of a large one take turns over the epochs.
    crop_ratio: of evaluation, in (0, 1].
    rows: the part of each batch that is read, where other processes read the
      rest; None for all of it. `B` is then that part's length below.

  Returns:
    Iterator of (u8[B, R, R, C], i32[B]). The last batch of an evaluation is
    padded with black images of label -1. `get_state()` gives its position as a
    dict that JSON can hold; after `set_state` of it, a stream with the same
    arguments (`workers` may differ) goes on with the same batches, bit for bit.

  Raises:
    ValueError: if an argument is out of range; while iterating, if an image
      cannot be decoded.
  """
  import grain

  _check_arguments(split, batch_size, resolution, seed, workers, crop_ratio)
  size = (resolution, resolution)
  images = grain.MapDataset.range(len(split)).seed(seed)
  mine = range(batch_size) if rows is None else rows

  def only_mine(place: int, index: int) -> int:
    return index if place % batch_size in mine else _OTHERS

  if train:

    def augmented(index: int, rng: np.random.Generator) -> Batch:
      if index == _OTHERS:
        return _NOTHING
      image = resize_random_crop(split.read(index), size, rng, flip=flip)
      if vertical_flip and rng.random() < 0.5:
        image = image[::-1]
      if quarter_turns:
        image = np.rot90(image, int(rng.integers(4)))
      return image, split.labels[index]

    if balanced:
      drawn = _balanced(split.labels, batch_size, seed)
      images = images.repeat().map_with_index(lambda place, _: drawn(place))
    else:
      images = images.shuffle().repeat()
    images = images.map_with_index(only_mine)
    images = images.random_map(augmented)
  else:

    def centred(index: int) -> Batch:
      if index == _OTHERS:
        return _NOTHING
      image = resize_centre_crop(split.read(index), size, crop_ratio)
      return image, split.labels[index]

    images = images.map_with_index(only_mine).map(centred)
  stack = _stack(mine, (*size, split.channels))
  batches = images.batch(batch_size, batch_fn=stack)
  options = grain.ReadOptions(
    num_threads=workers, prefetch_buffer_size=2 * workers
  )
  return iter(batches.to_iter_dataset(options))


def _balanced(
  labels: np.ndarray, batch_size: int, seed: int
) -> Callable[[int], int]:
  """Which image stands at a place of the endless stream of balanced batches.

  Places are dealt to the classes in turn, and shuffled within a batch. A class
  goes through its images in a random order, then in another one. All follows
  from the seed and the place, so that a stream goes on from anywhere.
  """
  by_class = [np.flatnonzero(labels == k) for k in np.unique(labels)]

  @functools.lru_cache(maxsize=64)
  def within_batch(batch: int) -> np.ndarray:
    random = np.random.default_rng((seed, _WITHIN_BATCH, batch))
    return random.permutation(batch_size)

  @functools.lru_cache(maxsize=2 * len(by_class))
  def within_class(number: int, turn: int) -> np.ndarray:
    random = np.random.default_rng((seed, _WITHIN_CLASS, number, turn))
    return random.permutation(by_class[number])

  def drawn(place: int) -> int:
    batch, at = divmod(int(place), batch_size)
    dealt = batch * batch_size + int(within_batch(batch)[at])
    rank, number = divmod(dealt, len(by_class))
    turn, at = divmod(rank, len(by_class[number]))
    return int(within_class(number, turn)[at])

  return drawn


def resize_random_crop(
  image: np.ndarray,
  size: tuple[int, int],
  rng: np.random.Generator,
  *,
  flip: bool,
) -> np.ndarray:
  """Takes a random part of an image: u8[h, w, C] to u8[*size, C].

  After ten parts that do not fit, as much of the centre as the range of
  aspects allows.
  """
  height, width = image.shape[:2]
  top, left, h, w = _central_part(height, width)
  for _ in range(_CROP_ATTEMPTS):
    area = rng.uniform(*_CROP_AREA) * height * width
    aspect = math.exp(rng.uniform(*np.log(_CROP_ASPECT)))
    new_w = max(1, round(math.sqrt(area * aspect)))
    new_h = max(1, round(math.sqrt(area / aspect)))
    if new_w <= width and new_h <= height:
      top = int(rng.integers(height - new_h + 1))
      left = int(rng.integers(width - new_w + 1))
      h, w = new_h, new_w
      break
  crop = resize(image, size, box=(top, left, top + h, left + w))
  return crop[:, ::-1] if flip and rng.random() < 0.5 else crop


def resize_centre_crop(
  image: np.ndarray, size: tuple[int, int], crop_ratio: float
) -> np.ndarray:
  """Takes the central square: u8[h, w, C] to u8[*size, C].

  The square's side is `crop_ratio` of the image's shorter side.
  """
  height, width = image.shape[:2]
  side = crop_ratio * min(height, width)
  top, left = (height - side) / 2, (width - side) / 2
  return resize(image, size, box=(top, left, top + side, left + side))


def _check_arguments(
  split: AnySplit,
  batch_size: int,
  resolution: int,
  seed: int,
  workers: int,
  crop_ratio: float,
) -> None:
  for key, value, least in (
    ("the split's images", len(split), 1),
    ("batch_size", batch_size, 1),
    ("resolution", resolution, 1),
    ("workers", workers, 0),
  ):
    if value < least:
      raise ValueError(f"{key}={value}; legal: {least} or more")
  if not 0 <= seed < 2**32:
    raise ValueError(f"seed={seed}; legal: 0 to 2**32 - 1")
  if not 0.0 < crop_ratio <= 1.0:
    raise ValueError(f"crop_ratio={crop_ratio}; legal: in (0, 1]")


def _central_part(height: int, width: int) -> tuple[int, int, int, int]:
  narrowest, widest = _CROP_ASPECT
  w = min(width, max(1, round(height * widest)))
  h = min(height, max(1, round(width / narrowest)))
  return (height - h) // 2, (width - w) // 2, h, w


def _stack(rows: range, shape: tuple[int, ...]) -> Callable[[Any], Batch]:
  """Stacks a batch's elements at `rows`, missing ones black, labelled -1."""

  def stack(elements: Any) -> Batch:
    images = np.zeros((len(rows), *shape), np.uint8)
    labels = np.full(len(rows), -1, np.int32)
    for i, (image, label) in enumerate(elements[rows.start : rows.stop]):
      images[i], labels[i] = image, label
    return images, labels

  return stack
