"""What a data set is here: two splits of labelled images and their classes.

A split is either in memory (`Split`: one array, goes to the device as it is) or
read image by image (`StreamedSplit`: for sets that do not fit, or whose images
differ in size). Both know all their labels, so that they can be cut into
stratified parts without reading an image.

Symbols: `N` images, `H` and `W` height and width in pixels, `C` channels,
`K` classes. Pixels are uint8, 0 to 255.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """Images of one size, in memory.

  Attributes:
    images: u8[N, H, W, C].
    labels: i32[N], in 0 .. K - 1.
    groups: i32[N], numbers of groups that no cut divides, the same for both
      splits of a set; None where each image is one by itself.
    names: str[N], of the images' files below the data folder; None where they
      have none.
  """

  images: np.ndarray
  labels: np.ndarray
  groups: np.ndarray | None = None
  names: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.labels)

  @property
  def channels(self) -> int:
    """C."""
    return self.images.shape[-1]

  @property
  def size(self) -> tuple[int, int]:
    """(H, W) in pixels."""
    return self.images.shape[1], self.images.shape[2]

  def read(self, index: int) -> np.ndarray:
    """Image number `index`, u8[H, W, C]."""
    return self.images[index]

  def take(self, indices: np.ndarray) -> "Split":
    """The images at `indices` (i64[n]), in that order."""
    return Split(
      self.images[indices],
      self.labels[indices],
      None if self.groups is None else self.groups[indices],
      None if self.names is None else self.names[indices],
    )


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedSplit:
  """Images that are read and decoded one at a time, when they are asked for.

  Attributes:
    labels: i32[N], in 0 .. K - 1.
    reader: gives image number `record` of the source as u8[h, w, C]; called
      from several threads at once.
    records: i64[N], the source's number of each image.
    channels: C.
    describe: gives the name of a record (its file) for error messages.
    size: (H, W) if all images have it, None if they differ or it is unknown.
    mixed_sizes: where sizes differ, two images that do, for error messages.
    groups: as `Split.groups`.
    names: as `Split.names`.
  """

  labels: np.ndarray
  reader: Callable[[int], np.ndarray]
  records: np.ndarray
  channels: int
  describe: Callable[[int], str]
  size: tuple[int, int] | None = None
  mixed_sizes: str = ""
  groups: np.ndarray | None = None
  names: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.labels)

  def read(self, index: int) -> np.ndarray:
    """Image number `index` of this split, u8[h, w, C].

    Raises:
      ValueError: if the source cannot be decoded (it names the file).
    """
    return self.reader(int(self.records[index]))

  def take(self, indices: np.ndarray) -> "StreamedSplit":
    """The images at `indices` (i64[n]), in that order; reads nothing."""
    return dataclasses.replace(
      self,
      labels=self.labels[indices],
      records=self.records[indices],
      groups=None if self.groups is None else self.groups[indices],
      names=None if self.names is None else self.names[indices],
    )


AnySplit = Split | StreamedSplit


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A training and a test split, and what is known about them.

  The search's own splits are held out of `train` (`fbnax.data.hold_out`);
  `test` is for the one measurement at the end.

  Attributes:
    name: the source's name, for reports.
    class_names: K names; label `i` is `class_names[i]`.
    train: what training, search and selection may see.
    test: what they may not.
    flip: whether a mirrored image still shows its class.
    crop_padding: pixels of padding before a random crop; 0 for no crops.
    source: where the images come from, for error messages and reports.
    licence: the data's licence as the source states it, or "".
    numbered: whether the source has no names for its classes, so that they are
      called by their numbers, which say nothing of what they are.
    bits: of images of more than 8 bits the significant ones, whose range became
      0 to 255; None where there are no such images.
    notes: what its source says beside its path: a split that is not used, ….
    pictures: whether what is published may show its images; a licence may
      forbid it.
  """

  name: str
  class_names: tuple[str, ...]
  train: AnySplit
  test: AnySplit
  flip: bool
  crop_padding: int
  source: str
  licence: str = ""
  numbered: bool = False
  bits: int | None = None
  notes: tuple[str, ...] = ()
  pictures: bool = True

  @property
  def num_classes(self) -> int:
    """K."""
    return len(self.class_names)

  @property
  def channels(self) -> int:
    """C."""
    return self.train.channels

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C).

    Raises:
      ValueError: if the images differ in size; such a set is streamed at a
        resolution of the caller's choice.
    """
    size = self.train.size
    if size is None:
      sizes = getattr(self.train, "mixed_sizes", "") or "unknown until read"
      raise ValueError(
        f"{self.source}: the images have no common shape ({sizes}); choose a"
        " resolution for fbnax.data.stream, or load with decode_resolution"
      )
    return (*size, self.channels)
