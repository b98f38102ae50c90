"""Reading dataclasses from JSON, with errors that name the key."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from fbnax.base.json_values import shown

_DEEPEST = 100  # Nothing that is exchanged is nested a tenth as deep.


def parsed(text: str, where: str) -> Any:
  """What JSON says, if it is not nested deeper than Python can print.

  Raises:
    ValueError: the text is no JSON, or too deep; `where` says what was read.
  """
  try:
    data = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{where} is not valid JSON: {error}") from error
  level = [data]
  for _ in range(_DEEPEST):
    level = [
      value
      for item in level
      if isinstance(item, dict | list)
      for value in (item.values() if isinstance(item, dict) else item)
    ]
    if not level:
      return data
  raise ValueError(f"{where} is nested deeper than {_DEEPEST}; legal: less")


def json_object(text: str, where: str) -> dict[str, Any]:
  """The JSON object that `text` is.

  Raises:
    ValueError: it is none; `where` says what was read.
  """
  data = parsed(text, where)
  if not isinstance(data, dict):
    raise ValueError(f"{where} must be a JSON object, found {shown(data)}")
  return data


def kind_fields(cls: type, text: str, where: str, kind: str) -> dict[str, Any]:
  """The fields of a dataclass whose JSON object says its `kind`.

  Args:
    cls: the dataclass.
    text: JSON.
    where: what the object is, for messages.
    kind: what its key `kind` must say.

  Raises:
    ValueError: as `json_object` and `fields`, or it is of another kind.
  """
  data = json_object(text, where)
  found = data.pop("kind", None)
  if found != kind:
    raise ValueError(f"kind is {shown(found)}; legal: {kind!r}")
  return fields(cls, data, where)


def fields(kind: type, data: Any, where: str) -> dict[str, Any]:
  """The keys and values of a JSON object, if they are fields of a dataclass.

  Args:
    kind: the dataclass.
    data: what JSON gave.
    where: what the object is, for messages.

  Raises:
    ValueError: it is no object, has other keys, or lacks a field without
      default.
  """
  if not isinstance(data, dict):
    raise ValueError(f"{where} must be a JSON object, found {shown(data)}")
  legal = {f.name: f for f in dataclasses.fields(kind)}
  unknown = sorted(set(data) - set(legal))
  if unknown:
    raise ValueError(
      f"{where} has unknown keys {unknown}; legal: {sorted(legal)}"
    )
  missing = [
    n
    for n, f in legal.items()
    if f.default is dataclasses.MISSING and n not in data
  ]
  if missing:
    raise ValueError(f"{where} lacks the keys {missing}")
  return dict(data)
