"""A data set in one `.npz` file of arrays.

Keys: `train_x`, `train_y`; optionally `test_x`, `test_y` (else a test set is
held out of the training images) and `class_names` (K strings, or bytes in
UTF-8). Images are
[N, H, W] or [N, H, W, C] with C of 1, 3 or 4, uint8 or float in 0 .. 1; labels
are integers, 0 .. K - 1. Pickles are not read.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fbnax.base import text
from fbnax.base.arrays import Arrays, ObjectsError, open_npz
from fbnax.data.assembling import Request, assemble
from fbnax.data.checking import check_labels, check_names
from fbnax.data.dataset import Dataset, Split

_REQUIRED = ("train_x", "train_y")
_TEST = ("test_x", "test_y")
_CHANNELS = (1, 3, 4)
_LEGAL_NAMES = "an array of K strings, as class_names.astype(str)"


def load_npz(request: Request) -> Dataset:
  """Reads `request.path`; K is `len(class_names)` or the largest label + 1.

  Raises:
    ValueError: naming the file, the key, what was found and what is legal: no
      `.npz` file, truncated, an object array, a key missing, or arrays of
      another shape, type or range.
  """
  if request.path is None:
    raise ValueError("path=None; legal: the path of an .npz file")
  path = request.path
  arrays = _read(path)
  train = _split(path, arrays, *_REQUIRED)
  test = _split(path, arrays, *_TEST) if _TEST[0] in arrays else None
  if test is not None and test.images.shape[1:] != train.images.shape[1:]:
    raise ValueError(
      f"{path}: test_x: images of shape {list(test.images.shape[1:])}; legal:"
      f" that of train_x, {list(train.images.shape[1:])}"
    )
  class_names = _class_names(path, arrays, train)
  check_names(class_names, str(path))
  check_labels(train.labels, len(class_names), f"{path}: train_y")
  if test is not None:
    check_labels(test.labels, len(class_names), f"{path}: test_y")
  return assemble(
    request,
    name="npz",
    class_names=class_names,
    train=train,
    test=test,
    source=str(path),
    numbered="class_names" not in arrays,
  )


def _read(path: Path) -> dict[str, np.ndarray]:
  """Every array this source knows; all keys of a pair if one is there."""
  if not path.is_file():
    raise ValueError(f"path={str(path)!r}: there is no such file")
  with open_npz(path) as file:
    keys = [*_REQUIRED]
    if any(key in file for key in _TEST):
      keys += _TEST
    keys += ["class_names"] if "class_names" in file else []
    if missing := [key for key in keys if key not in file]:
      raise ValueError(f"{path}: {missing[0]}: missing; found {sorted(file)}")
    return {key: _array(file, key) for key in keys}


def _array(file: Arrays, key: str) -> np.ndarray:
  try:
    return file[key]
  except ObjectsError as error:
    legal = "numbers, in one array of one shape"
    if key == "class_names":
      legal = _LEGAL_NAMES
    raise ValueError(
      f"{file.path}: {key}: an object array; legal: {legal}"
    ) from error


def _split(
  path: Path, arrays: Mapping[str, np.ndarray], x_key: str, y_key: str
) -> Split:
  images = _images(f"{path}: {x_key}", arrays[x_key])
  labels = arrays[y_key]
  if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f"{path}: {y_key}: {labels.dtype}{list(labels.shape)}; legal: integers[N]"
    )
  if len(labels) != len(images):
    raise ValueError(
      f"{path}: {y_key}: {len(labels)} labels; legal: {len(images)}, one for"
      f" each image of {x_key}"
    )
  # In 32 bits 2**32 would pass for 0.
  limits, ends = np.iinfo(np.int32), (int(labels.min()), int(labels.max()))
  if wide := [end for end in ends if not limits.min <= end <= limits.max]:
    raise ValueError(
      f"{path}: {y_key}: found {wide[0]}; legal: 0 to K - 1, of K classes"
    )
  return Split(images, labels.astype(np.int32))


def _images(name: str, images: np.ndarray) -> np.ndarray:
  """u8[N, H, W, C] of any legal array of images."""
  if images.ndim == 3:
    images = images[..., None]
  if images.ndim != 4 or images.shape[-1] not in _CHANNELS or 0 in images.shape:
    hint = ""
    if images.ndim == 4 and images.shape[1] in _CHANNELS:
      hint = " (channels come last: transpose(0, 2, 3, 1))"
    raise ValueError(
      f"{name}: shape {list(images.shape)}; legal: [N, H, W] or [N, H, W, C]"
      f" with C of 1, 3 or 4{hint}"
    )
  if images.dtype == np.uint8:
    return images
  if not np.issubdtype(images.dtype, np.floating):
    raise ValueError(f"{name}: {images.dtype}; legal: uint8 or float in 0 .. 1")
  low, high = images.min(), images.max()
  # Written so that NaN, which no comparison holds for, is refused too.
  if not (low >= 0.0 and high <= 1.0):
    raise ValueError(
      f"{name}: {images.dtype} from {low} to {high}; legal: float in 0 .. 1, or"
      " uint8"
    )
  return np.rint(images * np.float32(255)).astype(np.uint8)


def _class_names(
  path: Path, arrays: Mapping[str, np.ndarray], train: Split
) -> tuple[str, ...]:
  if "class_names" not in arrays:
    num_classes = max(1, int(train.labels.max()) + 1)
    if num_classes > len(train):
      raise ValueError(
        f"{path}: train_y: found {num_classes - 1}; legal: 0 to K - 1 with an"
        f" image of each of the K classes, and there are {len(train)} images"
      )
    return tuple(str(k) for k in range(num_classes))
  names = arrays["class_names"]
  if names.ndim != 1 or names.dtype.kind not in "SU":
    raise ValueError(
      f"{path}: class_names: {names.dtype}{list(names.shape)}; legal:"
      f" {_LEGAL_NAMES}"
    )
  if names.dtype.kind == "U":
    return tuple(str(name) for name in names)
  return tuple(
    text.decode(bytes(name), f"{path}: class_names[{i}]")
    for i, name in enumerate(names)
  )
