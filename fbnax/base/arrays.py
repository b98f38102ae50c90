"""Arrays from `.npz` files that other people wrote, without trusting them.

NumPy allocates what a header asks for before it reads a byte, so that a file of
a kilobyte can ask for terabytes; and it reads pickles, which run code. Here
sizes are compared with the bytes that are there first, and pickles are refused.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

LARGEST_EXPANDED = 2**34  # Bytes of all arrays of a file, decompressed.


class Arrays(Mapping[str, np.ndarray]):
  """The arrays of an open file by name; one is read when it is asked for.

  Attributes:
    path: of the file.
  """

  def __init__(self, path: Path, archive: zipfile.ZipFile):
    self.path = path
    self._archive = archive
    self._members = {
      info.filename.removesuffix(".npy"): info for info in archive.infolist()
    }

  def __getitem__(self, name: str) -> np.ndarray:
    """The array.

    Raises:
      KeyError: there is none of that name.
      ValueError: it is damaged, truncated, or of Python objects.
    """
    info = self._members[name]
    where = f"{self.path}: {name}"
    try:
      with self._archive.open(info) as member:
        return _array(member, info.file_size, where)
    except _RefusedError:
      raise
    except Exception as error:  # zipfile's, zlib's or NumPy's, by the damage.
      raise ValueError(f"{where}: damaged or truncated: {error}") from error

  def __contains__(self, name: object) -> bool:
    return name in self._members

  def __iter__(self) -> Iterator[str]:
    return iter(self._members)

  def __len__(self) -> int:
    return len(self._members)


class _RefusedError(ValueError):
  """What says already what is wrong."""


class ObjectsError(_RefusedError):
  """An array of Python objects, which would be read by running code."""


@contextmanager
def open_npz(
  path: str | os.PathLike[str], largest: int = LARGEST_EXPANDED
) -> Iterator[Arrays]:
  """The arrays of an `.npz` file.

  Args:
    path: of the file.
    largest: bytes that all its arrays may have, decompressed.

  Yields:
    The arrays by name.

  Raises:
    ValueError: it is no `.npz` file, a truncated one, or one of more bytes.
    OSError: it cannot be read; FileNotFoundError where there is none.
  """
  path = Path(path)
  with path.open("rb") as content:
    try:
      archive = zipfile.ZipFile(content)
    except Exception as error:  # zipfile's own, or struct's, by the damage.
      raise ValueError(_no_archive(path, content, error)) from error
    with archive:
      expanded = sum(info.file_size for info in archive.infolist())
      if expanded > largest:
        raise ValueError(
          f"{path}: its arrays have {expanded:,} bytes; legal: at most"
          f" {largest:,}"
        )
      yield Arrays(path, archive)


def read_array(
  content: BinaryIO, size: int, where: str | os.PathLike[str]
) -> np.ndarray:
  """One array of NumPy's format (`.npy`).

  Args:
    content: a file at its beginning.
    size: its bytes.
    where: the file, as an error calls it.

  Raises:
    ValueError: it is damaged, truncated, or of Python objects.
  """
  try:
    return _array(content, size, str(where))
  except _RefusedError:
    raise
  except Exception as error:
    raise ValueError(f"{where}: damaged or truncated: {error}") from error


def check_finite(array: np.ndarray, where: str) -> None:
  """Refuses an array of numbers with one that float32 cannot hold.

  Args:
    array: of numbers of any type.
    where: its name, as an error calls it.

  Raises:
    ValueError: one is NaN, infinite, or as large; where, and how many are.
  """
  with np.errstate(over="ignore"):
    wrong = ~np.isfinite(array.astype(np.float32))
  if wrong.any():
    first = np.unravel_index(int(np.argmax(wrong)), array.shape)
    place = f"[{', '.join(map(str, first))}]" if array.ndim else ""
    raise ValueError(
      f"{where}{place} is {array[first]!s}, and {int(wrong.sum()):,} of"
      f" {array.size:,} numbers are not finite; legal: finite float32"
    )


def _array(content: Any, size: int, where: str) -> np.ndarray:
  version = np.lib.format.read_magic(content)
  if version not in ((1, 0), (2, 0)):
    raise _RefusedError(f"{where}: of format {version}; legal: (1, 0), (2, 0)")
  read = (
    np.lib.format.read_array_header_1_0
    if version == (1, 0)
    else np.lib.format.read_array_header_2_0
  )
  shape, in_columns, dtype = read(content)
  if dtype.hasobject:
    raise ObjectsError(
      f"{where}: an object array (of unequal shapes, or mixed types); legal:"
      " numbers or strings of one type, as .astype(str) makes them"
    )
  needed = math.prod(shape) * dtype.itemsize
  if needed > size or min(shape, default=0) < 0:
    raise _RefusedError(
      f"{where}: damaged: {dtype}{list(shape)} takes {needed:,} bytes, and"
      f" {size:,} are there"
    )
  data = _exactly(content, needed)
  return np.ndarray(shape, dtype, data, order="F" if in_columns else "C")


def _exactly(content: Any, size: int) -> bytearray:
  data = bytearray()
  while len(data) < size:
    part = content.read(size - len(data))
    if not part:
      raise ValueError(f"{len(data):,} of {size:,} bytes are there")
    data += part
  return data


def _no_archive(path: Path, content: BinaryIO, error: Exception) -> str:
  content.seek(0)
  if content.read(6) == b"\x93NUMPY":
    return f"{path}: a single array; legal: an .npz of named arrays"
  return f"{path}: is no .npz file, or a truncated one: {error}"


_KINDS = {
  "strings": "U",
  "whole numbers": "iu",
  "numbers": "fiu",
}


def of_kind(array: Any, kind: str, where: str) -> np.ndarray:
  """The array, if it is of what its name promises.

  Args:
    array: of a file.
    kind: "strings", "whole numbers" (floats too that are whole) or "numbers".
    where: its name, as an error calls it.

  Raises:
    ValueError: it is of something else.
  """
  array = np.asarray(array)
  holds = array.dtype.kind in _KINDS[kind]
  if kind == "whole numbers" and array.dtype.kind == "f":
    holds = bool((array == np.rint(array)).all() and np.isfinite(array).all())
  if not holds:
    raise ValueError(
      f"{where} is {array.dtype}{list(array.shape)}; legal: {kind}"
    )
  return array


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
  """Lets what fails with a file's arrays name the file.

  For what translates arrays of other people, whose names, shapes and types are
  known only where they are used.
  """
  try:
    yield
  except KeyError as error:
    raise ValueError(f"{path} lacks the array {error}") from error
  except (IndexError, TypeError, ValueError) as error:
    if str(path) in str(error):
      raise
    line = next(iter(str(error).splitlines()), type(error).__name__)
    raise ValueError(f"{path}: {line}") from error
