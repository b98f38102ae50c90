"""Reads `result.json` of a work directory into the schemas' dataclasses.

What is missing takes its default and the report leaves out what it would have
shown; what is there with another type is an error that names the file, the key
and what was found.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from fbnax.base import text
from fbnax.jobs.autobuild.result import AutobuildResult
from fbnax.jobs.autobuild.result import check as check_autobuild
from fbnax.jobs.benchmark.result import (
  BenchmarkResult,
  Curve,
  PredictorsResult,
  Saved,
)
from fbnax.jobs.dnas.result import DnasResult
from fbnax.jobs.dnas.result import check as check_dnas
from fbnax.jobs.latency_predictor.result import LatencyResult
from fbnax.jobs.latency_predictor.result import check as check_latency
from fbnax.jobs.nbdt.result import NbdtResult
from fbnax.jobs.nbdt.result import check as check_nbdt
from fbnax.jobs.nbdt_tables.result import TablesResult
from fbnax.jobs.profile.result import ProfileResult
from fbnax.jobs.study.result import StudyResult
from fbnax.jobs.zero_cost.result import ZeroCostResult
from fbnax.jobs.zero_cost.result import check as check_zero_cost
from fbnax.report.schema import SCHEMA_VERSION, Numbers, Result
from fbnax.spaces import Architecture

_T = TypeVar("_T")
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
    schema: one of the keys of `_CHECKS`.

  Raises:
    ValueError: as `read`.
  """
  path, data = _load(workdir)
  try:
    result: _T = _parse(schema, data, "")
    _CHECKS[schema](result)
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


def _check(result: Result) -> None:
  _check_pairs(result)
  _check_accuracies(result)


def _check_study(result: StudyResult) -> None:
  for i, case in enumerate(result.cases):
    _check_share(f"cases[{i}].test_accuracy", case.test_accuracy)


def _check_benchmark(result: BenchmarkResult) -> None:
  for i, search in enumerate(result.searches):
    _check_share(f"searches[{i}].test_accuracy", search.test_accuracy)
    for j, share in enumerate(search.test_curve):
      _check_share(f"searches[{i}].test_curve[{j}]", share)


def _check_predictors(result: PredictorsResult) -> None:
  for name in ("curves", "saved"):
    for i, row in enumerate(getattr(result, name)):
      _check_lengths(f"{name}[{i}]", row)


# What a result of each kind must be beyond its types.
_CHECKS: dict[type, Callable[[Any], None]] = {
  Result: _check,
  AutobuildResult: check_autobuild,
  BenchmarkResult: _check_benchmark,
  DnasResult: check_dnas,
  LatencyResult: check_latency,
  NbdtResult: check_nbdt,
  PredictorsResult: _check_predictors,
  ProfileResult: lambda _: None,
  StudyResult: _check_study,
  TablesResult: lambda _: None,
  ZeroCostResult: check_zero_cost,
}


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


def _check_pairs(result: Result) -> None:
  """Raises a ValueError where lists that belong together differ in length."""
  pairs: list[tuple[str, str, Numbers, str, Numbers]] = [
    (f"predictor.rounds[{i}]", "predicted", r.predicted, "measured", r.measured)
    for i, r in enumerate(result.predictor.rounds)
  ]
  pairs += [
    (f"predictor.pretraining.{k}", "predicted", p.predicted, "true", p.true)
    for k, p in result.predictor.pretraining.items()
  ]
  for where, left, a, right, b in pairs:
    if len(a) != len(b):
      raise ValueError(
        f"{where}.{left} has {len(a)} values, {where}.{right} has {len(b)}"
      )
  limits: list[tuple[str, Numbers | None]] = [
    ("space.macs_range", result.space.macs_range)
  ]
  for i, member in enumerate(result.members):
    if member.budget is not None:
      where = f"members[{i}].budget"
      for name, given in vars(member.budget).items():
        limits.append((f"{where}.{name}", given))
  for where, limit in limits:
    if limit is not None and len(limit) != 2:
      raise ValueError(f"{where} must be [low, high], found {list(limit)}")


def _check_lengths(where: str, row: Curve | Saved) -> None:
  """Raises a ValueError where a list has not an item for each of `labels`."""
  for field in dataclasses.fields(row):
    found = getattr(row, field.name)
    # One that is missing is left out of the report.
    if isinstance(found, tuple) and found and len(found) != len(row.labels):
      raise ValueError(
        f"{where}.{field.name} has {len(found)} values, {where}.labels has "
        f"{len(row.labels)}"
      )


def _check_accuracies(result: Result) -> None:
  """Raises a ValueError where an accuracy is no fraction of 1."""
  measured: list[tuple[str, float | None]] = []
  for i, trial in enumerate(result.trials):
    measured.append((f"trials[{i}].accuracy", trial.accuracy))
  for i, member in enumerate(result.members):
    measured.append((f"members[{i}].test_accuracy", member.test_accuracy))
    for j, epoch in enumerate(member.history):
      where = f"members[{i}].history[{j}]"
      measured.append(
        (f"{where}.validation_accuracy", epoch.validation_accuracy)
      )
      measured.append((f"{where}.test_accuracy", epoch.test_accuracy))
  for where, value in measured:
    _check_share(where, value)


def _check_share(where: str, value: float | None) -> None:
  if value is not None and not 0 <= value <= 1:
    raise ValueError(f"{where} must be a fraction of 1, found {value:g}")
