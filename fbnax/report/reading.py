"""Reads `result.json` of a work directory into the schemas' dataclasses.

What is missing takes its default and the report leaves out what it would have
shown; what is there with another type is an error that names the file, the key
and what was found.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import types
import typing
from typing import Any, TypeVar

from fbnax.base import text
from fbnax.report.schema import SCHEMA_VERSION, JobResult, Result
from fbnax.spaces import Architecture

_T = TypeVar("_T", bound=JobResult)
_K = TypeVar("_K")
# Numbers beyond are none that a run can have measured or counted.
_LARGEST = 1e100
_LARGEST_INTEGER = 10**15


def read(workdir: str | os.PathLike[str]) -> Result:
  """Reads `result.json` of a work directory.

  Raises:
    ValueError: there is none, it is of another schema version, or a value is
      not of the type its key has; file, key and value are named.
  """
  return read_as(workdir, Result)


def read_as(workdir: str | os.PathLike[str], schema: type[_T]) -> _T:
  """Reads `result.json` as the result of one kind of job.

  Args:
    workdir: the work directory.
    schema: its dataclass.

  Raises:
    ValueError: as `read`.
  """
  path, data = _load(workdir)
  try:
    result: _T = _parse(schema, data, "")
    result.check()
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error
  return result


def job_of(workdir: str | os.PathLike[str]) -> str | None:
  """The job that left the result; None if it names none.

  Raises:
    ValueError: as `read`.
  """
  job = _load(workdir)[1].get("job")
  return job if isinstance(job, str) else None


def _load(
  workdir: str | os.PathLike[str],
) -> tuple[pathlib.Path, dict[str, Any]]:
  """The path of `result.json`, and what it holds if it is of this version."""
  path = pathlib.Path(workdir) / "result.json"
  try:
    document = text.read(path)
  except (OSError, ValueError) as error:
    raise ValueError(
      f"{path} cannot be read ({error}); a report is written from the "
      "result.json that a finished run leaves in its work directory"
    ) from error
  try:
    data = _encodable(json.loads(document))
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is not valid JSON: {error}") from error
  if not isinstance(data, dict):
    raise ValueError(f"{path} must hold a JSON object, found {_show(data)}")
  version = data.get("schema_version")
  if type(version) is not int or version != SCHEMA_VERSION:
    raise ValueError(
      f"{path}: schema_version is {_show(version)}; this version of fbnax "
      f"reads {SCHEMA_VERSION}"
    )
  return path, data


def _encodable(value: Any) -> Any:
  """Without the lone surrogates that JSON can spell and UTF-8 cannot."""
  if isinstance(value, str):
    return value.encode("utf-8", errors="replace").decode()
  if isinstance(value, list):
    return [_encodable(item) for item in value]
  if isinstance(value, dict):
    return {_encodable(k): _encodable(v) for k, v in value.items()}
  return value


def _show(value: Any) -> str:
  """The value in an error message, not longer than a line."""
  words = repr(value)
  return words if len(words) <= 60 else words[:57] + "..."


def parse(kind: type[_K], value: Any) -> _K:
  """What JSON holds, as a dataclass of a result.

  Args:
    kind: the dataclass.
    value: as `as_json` writes it.

  Raises:
    ValueError: a value is not of the type its key has.
  """
  record: _K = _parse(kind, _encodable(value), "")
  return record


def _parse(kind: Any, value: Any, where: str) -> Any:
  """`value` as what an annotation of this file says, or a ValueError."""

  def wrong(legal: str) -> ValueError:
    return ValueError(f"{where} must be {legal}, found {_show(value)}")

  if kind is Any:
    return value
  if isinstance(kind, types.UnionType):  # Here always `X | None`.
    inner = next(k for k in typing.get_args(kind) if k is not type(None))
    return None if value is None else _parse(inner, value, where)
  if kind is float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
      raise wrong("a number")
    finite = math.isfinite(value) if isinstance(value, float) else True
    return float(value) if finite and abs(value) <= _LARGEST else None
  if kind is int:
    if isinstance(value, float) and value.is_integer():
      return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
      raise wrong("an integer")
    if abs(value) > _LARGEST_INTEGER:
      raise wrong(f"an integer up to {_LARGEST_INTEGER:,}")
    return value
  if kind in (bool, str):
    if not isinstance(value, kind):
      raise wrong("true or false" if kind is bool else "a string")
    return value
  if kind is Architecture:
    try:
      return Architecture.from_json(json.dumps(value))
    except (ValueError, TypeError) as error:
      raise ValueError(f"{where}: {error}") from error
  if typing.get_origin(kind) is tuple:
    if not isinstance(value, list):
      raise wrong("a list")
    inner = typing.get_args(kind)[0]
    return tuple(
      _parse(inner, item, f"{where}[{i}]") for i, item in enumerate(value)
    )
  if not isinstance(value, dict):
    raise wrong("a JSON object")
  if typing.get_origin(kind) is dict:
    inner = typing.get_args(kind)[1]
    return {k: _parse(inner, v, f"{where}.{k}") for k, v in value.items()}
  hints = typing.get_type_hints(kind)
  prefix = f"{where}." if where else ""
  return kind(
    **{
      # A null where the schema has a value is as good as nothing.
      name: _parse(hint, value[name], prefix + name)
      for name, hint in hints.items()
      if value.get(name) is not None
    }
  )
