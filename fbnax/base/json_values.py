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

DEEPEST = 100  # Nothing that is written here is nested a tenth as deep.


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
    ValueError: it is no JSON, or nested deeper than `DEEPEST`.
  """
  try:
    value = json.loads(document)
    _check_depth(value)
  except RecursionError:
    raise ValueError(f"{where} is damaged: nested too deeply") from None
  except ValueError as error:
    raise ValueError(f"{where} is no JSON: {error}") from error
  return value


def _check_depth(value: Any) -> None:
  """Raises a RecursionError where what walks the value would."""
  level = [value] if isinstance(value, dict | list) else []
  for _ in range(DEEPEST):
    level = [
      inner
      for outer in level
      for inner in (outer.values() if isinstance(outer, dict) else outer)
      if isinstance(inner, dict | list)
    ]
    if not level:
      return
  raise RecursionError


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


def field(
  data: Any,
  key: str,
  kind: type,
  where: str,
  *,
  of: type | None = None,
  low: float = -math.inf,
  high: float = math.inf,
) -> Any:
  """A value of a document, if it is what it must be.

  Args:
    data: what JSON gave, an object as a rule.
    key: of the value; `a.b` is key `b` of the object at key `a`.
    kind: one of the keys of `_KINDS`; a `float` may be a whole number.
    where: the file, as an error calls it.
    of: the kind of a list's items.
    low: the least that a number, or an item, may be.
    high: the greatest.

  Raises:
    ValueError: it is missing, of another kind, or out of bounds; the file, the
      key, the value and what is legal are named.
  """
  value, place, passed = data, where, ""
  for name in key.split("."):
    _checked(value, dict, place, low, high)
    passed = f"{passed}.{name}" if passed else name
    place = f"{where}: {passed}"
    if name not in value:
      legal = _KINDS[kind if passed == key else dict]
      raise ValueError(f"{where} lacks the key {passed}; legal: {legal}")
    value = value[name]
  value = _checked(value, kind, f"{where}: {key}", low, high)
  if of is not None:
    for i, item in enumerate(value):
      _checked(item, of, f"{where}: {key}[{i}]", low, high)
  return value


_KINDS: dict[type, str] = {
  bool: "true or false",
  int: "a whole number",
  float: "a number",
  str: "a string",
  list: "a list",
  dict: "an object",
}


def _checked(
  value: Any, kind: type, where: str, low: float, high: float
) -> Any:
  is_bool = isinstance(value, bool)
  legal = _KINDS[kind]
  if kind in (int, float):
    kinds = (int,) if kind is int else (int, float)
    # Of what JSON spells NaN is within no bounds.
    holds = isinstance(value, kinds) and not is_bool and low <= value <= high
    holds = holds and abs(value) != math.inf
    if low > -math.inf or high < math.inf:
      legal += f" from {low:,} to {high:,}"
  else:
    holds = isinstance(value, kind)
  if not holds:
    raise ValueError(f"{where} is {shown(value)}; legal: {legal}")
  return value


def shown(value: Any) -> str:
  """A value in an error's line: its JSON, cut to 60 characters, escaped."""
  try:
    words = names.escaped(repr(value))
  except RecursionError:
    words = f"a {type(value).__name__}, nested too deeply"
  return words if len(words) <= 60 else words[:57] + "…"
