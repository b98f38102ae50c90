"""Files that are either whole or absent, and JSON of what the house computes.

Everything a run leaves is read again when the run is restarted, so a file is
written beside its place, synced, and moved there in one step.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any, where: str = "value") -> Any:
  """The value as what JSON knows: dict, list, str, int, float, bool, None.

  Mappings and dataclasses become dicts, tuples and arrays (NumPy, JAX) lists,
  paths strings. JSON has no NaN and no infinity: both become None.

  Args:
    value: what is to be written.
    where: how an error calls it.

  Raises:
    ValueError: something else is in it; its key is named.
  """
  if value is None or isinstance(value, bool | int | str):
    return value
  if isinstance(value, float):
    return float(value) if math.isfinite(value) else None
  if isinstance(value, Path):
    return str(value)
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    names = [field.name for field in dataclasses.fields(value)]
    return {n: plain(getattr(value, n), f"{where}.{n}") for n in names}
  if hasattr(value, "items"):
    return {str(k): plain(v, f"{where}.{k}") for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
  if hasattr(value, "__array__"):
    array = np.asarray(value)
    if array.dtype.kind == "V":  # bfloat16 and its kin, which NumPy lacks.
      array = array.astype(np.float32)
    if array.dtype.kind in "biufU":
      return plain(array.tolist(), where)
  raise ValueError(
    f"{where} is a {type(value).__name__}, {value!r}; legal: numbers, strings,"
    " arrays, and lists and dicts of them"
  )


def to_json(value: Any, *, indent: int | None = None, sort: bool = True) -> str:
  """The value as strict JSON: the same value gives the same text.

  Raises:
    ValueError: as `plain`.
  """
  return json.dumps(
    plain(value),
    allow_nan=False,
    ensure_ascii=False,
    indent=indent,
    sort_keys=sort,
  )


def write_atomically(path: Path, text: str | bytes) -> None:
  """Replaces the file: whoever reads it finds the old text or the new one.

  Text is written in UTF-8, bytes as they are.

  Raises:
    OSError: it cannot be written; the path is named, the old text is there.
  """
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  with naming(path, "cannot be written"):
    try:
      content = text.encode() if isinstance(text, str) else text
      with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
      temporary.replace(path)
    except BaseException:
      temporary.unlink(missing_ok=True)
      raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
  """Makes the names in a directory last through a power cut."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
  """Lets an OSError say which path failed at what; `write` itself does not."""
  try:
    yield
  except OSError as error:
    reason = error.strerror or str(error)
    raise OSError(error.errno, f"{path}: {what}: {reason}") from error
