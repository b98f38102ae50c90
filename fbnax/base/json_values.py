"""JSON of what the house computes, and JSON of anybody's, checked.

What is written is strict: no NaN, no infinity, the same text for the same
value. What is read may be anything: every way in which a document can be wrong
is a ValueError of one line that names the file.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from fbnax.base import names, text


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
    fields = [field.name for field in dataclasses.fields(value)]
    return {n: plain(getattr(value, n), f"{where}.{n}") for n in fields}
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


def parse(document: str, where: str) -> Any:
  """What a JSON document says.

  Args:
    document: the text.
    where: the file, as an error calls it.

  Raises:
    ValueError: it is no JSON, or nested deeper than Python's parser goes.
  """
  try:
    return json.loads(document)
  except RecursionError:
    raise ValueError(f"{where} is damaged: nested too deeply") from None
  except ValueError as error:
    raise ValueError(f"{where} is no JSON: {error}") from error


def read(path: str | os.PathLike[str]) -> Any:
  """The JSON of a file; a byte-order mark is dropped.

  Raises:
    ValueError: it is not UTF-8, no JSON, or nested too deeply.
    OSError: it cannot be read; FileNotFoundError where there is none.
  """
  return parse(text.read(path), str(path))


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
  """The JSON object of a file.

  Raises:
    ValueError: as `read`, or it holds no object.
    OSError: as `read`.
  """
  value = read(path)
  if not isinstance(value, dict):
    raise ValueError(f"{path} holds {shown(value)}; legal: a JSON object")
  return value


def shown(value: Any) -> str:
  """A value in an error's line: its JSON, cut to 60 characters, escaped."""
  try:
    words = names.escaped(repr(value))
  except RecursionError:
    words = f"a {type(value).__name__}, nested too deeply"
  return words if len(words) <= 60 else words[:57] + "…"
