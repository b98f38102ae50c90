"""Results of finished runs that other jobs go on from, checked as they read.

A result may be of an earlier version, edited by hand, or damaged. What a job
takes from it is looked at first, so that an error names the file and the key.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fbnax.base import limits
from fbnax.base.json_values import field, shown
from fbnax.jobs.runtime.workdir import RESULT, read_run
from fbnax.report.schema import TrialRow
from fbnax.spaces import Architecture, Recipe, SearchSpace
from fbnax.training.recipes import Settings

# What a run's config may say of its data, its space and its training.
_CONFIG: dict[str, type] = {
  "seed": int,
  "space": str,
  "fix": str,
  "architecture": str,
  "recipe_file": str,
  "resolution": int,
  "data": dict,
  "data.name": str,
  "data.path": str,
  "data.tfds_name": str,
  "data.test_fraction": float,
  "data.validation_fraction": float,
  "data.max_images": int,
  "data.decode_resolution": int,
  "training": dict,
  "training.teacher": str,
}
_SIMPLE: dict[Any, type] = {"int": int, "float": float, "str": str}
_CONFIG |= {
  f"training.{f.name}": _SIMPLE[f.type]
  for f in dataclasses.fields(Settings)
  if f.type in _SIMPLE
}


def read(path: str | Path, job: str) -> dict[str, Any]:
  """The `result.json` of a finished run of the job `nars` or `zero_cost`.

  Raises:
    ValueError: there is none, or a value that jobs take from it is not what it
      must be; the file, the key and the value are named.
  """
  result = read_run(path, job)
  where = str(Path(path) / RESULT)
  config = field(result, "config", dict, where)
  field(result, "config.space", str, where)
  for key, kind in _CONFIG.items():
    outer, _, name = key.rpartition(".")
    if name in (config.get(outer, {}) if outer else config):
      field(result, f"config.{key}", kind, where)
  _CHECKS[job](result, where)
  return result


def trials(result: dict[str, Any]) -> tuple[TrialRow, ...]:
  """What a search learned from: genotypes and labels of its trials.

  Args:
    result: what `read` gave of a run of `nars`.
  """
  return tuple(
    TrialRow(genotype=tuple(trial["genotype"]), label=trial["label"])
    for trial in result["trials"]
  )


def check_genotypes(
  result: dict[str, Any], key: str, space: SearchSpace, path: str | Path
) -> None:
  """Raises a ValueError where a list has a genotype that the space has not.

  Args:
    result: what `read` gave.
    key: of the list, whose items have genotypes.
    space: what they should be of.
    path: of the run.
  """
  choices = space.choices
  for i, entry in enumerate(result[key]):
    genotype = entry["genotype"]
    fits = len(genotype) == len(choices) and all(
      0 <= g < count for g, count in zip(genotype, choices, strict=True)
    )
    if not fits:
      raise ValueError(
        f"{Path(path) / RESULT}: {key}[{i}].genotype is {shown(genotype)};"
        f" legal: {len(choices)} indices below {shown(choices)}, as space"
        f" {space.name!r} has choices"
      )


def check_family(result: dict[str, Any], path: str | Path) -> None:
  """Looks at the members of a run of `nars`, and at what they learned from.

  Raises:
    ValueError: a value is not what it must be; the file, the key and the value
      are named.
  """
  where = str(Path(path) / RESULT)
  for name in ("train", "validation", "test"):
    field(result, f"dataset.{name}", int, where, low=0)
  for i, entry in enumerate(field(result, "members", list, where, of=dict)):
    place = f"{where}: members[{i}]"
    field(entry, "name", str, place)
    field(entry, "macs", int, place)
    field(entry, "epochs", int, place, low=1)
    if entry.get("teacher") is not None:
      field(entry, "teacher", str, place)
    entry.setdefault("teacher", None)
    budget = field(entry, "budget", dict, place)
    for name in ("macs", "params"):
      limits = budget.setdefault(name, None)
      if limits is not None:
        field(entry, f"budget.{name}", list, place, of=float)
        if len(limits) != 2:
          raise ValueError(
            f"{place}: budget.{name} is {shown(limits)}; legal: [low, high]"
          )
    kinds: tuple[tuple[str, Any], ...] = (
      ("architecture", Architecture),
      ("recipe", Recipe),
    )
    for name, kind in kinds:
      value = field(entry, name, dict, place)
      try:
        kind.from_json(json.dumps(value))
      except ValueError as error:
        raise ValueError(f"{place}: {name}: {error}") from error


def _check_nars(result: dict[str, Any], where: str) -> None:
  for name, most in (
    ("num_classes", limits.CLASSES),
    ("channels", limits.IMAGE_CHANNELS),
  ):
    field(result, f"dataset.{name}", int, where, low=1, high=most)
  for i, trial in enumerate(field(result, "trials", list, where, of=dict)):
    place = f"{where}: trials[{i}]"
    field(trial, "genotype", list, place, of=int)
    if trial.setdefault("label", None) is not None:
      field(trial, "label", float, place)


def _check_zero_cost(result: dict[str, Any], where: str) -> None:
  networks = field(result, "networks", list, where, of=dict)
  if not networks:
    raise ValueError(f"{where}: networks is []; legal: at least one")
  for i, network in enumerate(networks):
    place = f"{where}: networks[{i}]"
    field(network, "genotype", list, place, of=int)
    scores = field(network, "scores", dict, place)
    for name in {**networks[0]["scores"], **scores}:
      # JSON has null for what ranks last.
      if name not in scores or scores[name] is not None:
        field(scores, name, float, f"{place}: scores")


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
  "nars": _check_nars,
  "zero_cost": _check_zero_cost,
}
