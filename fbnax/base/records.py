"""Records of progress, each with a digest of what it holds.

What a run that is started again goes on from is kept in two forms: one value in
a file, and rows that are added to a file one after the other. Each carries the
SHA-256 of its file's name, its key and its value. What was damaged, cut, moved
to another place, written twice or changed by hand is named in a warning and
taken for absent, so that it is made again; it is never used, and never an
error. Whoever changes a digest along with a value is not kept from it.

JSON has no infinity and no NaN: both come back as None. All other floats come
back to the last bit.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fbnax.base import files, json_values

_logger = logging.getLogger(__name__)
_DIGEST = "sha256"
_VALUE = "value"

Key = int | str | tuple[int | str, ...]


def write(path: str | os.PathLike[str], value: Any) -> Any:
  """Records one value; the file is replaced as a whole.

  Args:
    path: of the file.
    value: what `json_values.plain` takes.

  Returns:
    The value as `read` gives it back.

  Raises:
    ValueError: something else is in it.
    OSError: it cannot be written.
  """
  path = Path(path)
  value = json_values.plain(value)
  record = {_DIGEST: digest(path.name, value), _VALUE: value}
  text = json_values.to_json(record, indent=1, sort=False)
  files.write_atomically(path, text + "\n")
  return value


def read(path: str | os.PathLike[str]) -> Any:
  """The value of a file that `write` made.

  Returns:
    None where there is no file, or one that is not as it was written, which a
    warning says.

  Raises:
    OSError: it cannot be read.
  """
  path = Path(path)
  try:
    record = json_values.read(path)
    value = json_values.plain(record[_VALUE])
    if set(record) == {_DIGEST, _VALUE} and (
      record[_DIGEST] == digest(path.name, value)
    ):
      return value
  except (FileNotFoundError, NotADirectoryError):
    return None
  except (ValueError, KeyError, TypeError, IndexError, RecursionError):
    pass
  _logger.warning("%s: not as it was written; it is made again", path)
  return None


class RecordFile:
  """Rows in a file, each a value with a key of its own; `open_rows` makes it.

  A line is the JSON list of a value, its key and its digest.

  Attributes:
    path: of the file; it is there once a row is.
    values: by key, in the order in which they were added.
  """

  def __init__(self, path: Path, values: dict[Key, Any]):
    self.path = path
    self.values = values

  def add(self, rows: Mapping[Any, Any]) -> None:
    """Adds rows, and waits until they are on the disk.

    Args:
      rows: by keys that are not there yet: whole numbers, strings, or tuples of
        them.

    Raises:
      ValueError: a key is there, or a value is nothing that JSON can say.
      OSError: they cannot be written.
    """
    there = sorted(str(key) for key in rows if key in self.values)
    if there:
      raise ValueError(f"{self.path} has rows {there} already")
    if not rows:
      return
    plain = {key: json_values.plain(value) for key, value in rows.items()}
    lines = "".join(_line(self.path, *row) for row in plain.items())
    append(self.path, lines.encode())
    self.values |= plain


def open_rows(
  path: str | os.PathLike[str],
  is_legal: Callable[[Any, Any], bool] = lambda key, value: True,
) -> RecordFile:
  """The rows of a file that are as they were written.

  Others are named by their lines and cut out of the file.

  Args:
    path: of the file; it need not be there.
    is_legal: whether a key and its value are of the kind that is looked for.

  Raises:
    OSError: the file cannot be read or written.
  """
  path = Path(path)
  values: dict[Key, Any] = {}
  dropped = False
  for number, line in enumerate(_lines(path), 1):
    row = _row(path, line)
    if row is None:
      fault = "is not as it was written"
    elif row[0] in values:
      fault = f"is row {row[0]!r} once more"
    elif not is_legal(*row):
      fault = f"is another kind of row: {json_values.shown(row[1])}"
    else:
      values[row[0]] = row[1]
      continue
    dropped = True
    _logger.warning("%s: line %d %s; it is made again", path, number, fault)
  if dropped:
    kept = "".join(_line(path, *row) for row in values.items())
    files.write_atomically(path, kept)
  return RecordFile(path, values)


def append(path: str | os.PathLike[str], content: bytes) -> None:
  """Adds bytes to the end of a file, and waits until they are on the disk.

  Where that fails, the file is cut to what it held.

  Raises:
    OSError: they cannot be written; the path is named.
  """
  path = Path(path)
  with files.naming(path, "cannot be written"):
    is_new = not path.exists()
    with path.open("ab") as file:
      before = file.seek(0, io.SEEK_END)
      try:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
      except BaseException:
        os.ftruncate(file.fileno(), before)
        raise
    if is_new:
      files.sync_directory(path.parent)


def digest(name: str, value: Any, key: Key | None = None) -> str:
  """The SHA-256 of a value under a name, and a key.

  Args:
    name: of the file or the field that holds it.
    value: as `json_values.plain` gives it.
    key: of a row.
  """
  content = json_values.to_json([name, key, value])
  # Lone surrogates, which JSON may spell and UTF-8 may not, are none of ours.
  return hashlib.sha256(content.encode()).hexdigest()


def _line(path: Path, key: Key, value: Any) -> str:
  row = [value, key, digest(path.name, value, key)]
  return json_values.to_json(row, sort=False) + "\n"


def _lines(path: Path) -> list[bytes]:
  """The lines of a file, of which the last one may be cut."""
  try:
    with files.naming(path, "cannot be read"):
      content = path.read_bytes()
  except (FileNotFoundError, NotADirectoryError):
    return []
  return content.splitlines(keepends=True)


def _row(path: Path, line: bytes) -> tuple[Key, Any] | None:
  """The key and the value of a line; None where it is not as it was written."""
  try:
    if not line.endswith(b"\n"):
      return None
    row = json_values.plain(json_values.parse(line.decode(), str(path)))
    value, key, checksum = row
    if checksum != digest(path.name, value, key):
      return None
    return (tuple(key) if isinstance(key, list) else key), value
  except (ValueError, TypeError, RecursionError):
    return None
