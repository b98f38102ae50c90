"""Typed configs: what every key is, in which unit, and its default.

A job's config is a frozen dataclass whose fields are keys (`key`) or sections
of keys (`section`); what several jobs share is in `sections`. A file of
`configs/` turns one into the ConfigDict that flags override (`config`,
`preset`), and `--explain` prints what is known of each key (`explain`). So a
new key is one field, and whatever reads it.

What follows a key's name on the command line is text: `--config.a.b=value`.
Lists are written `"(1, 2)"`.
"""

from __future__ import annotations

import dataclasses
import importlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ml_collections import config_dict

_T = TypeVar("_T")

# The dataclasses of each job's configs. Where there are several, a config is of
# the first that has all of its keys.
KINDS: dict[str, tuple[str, ...]] = {
  "autobuild": ("autobuild.config:AutobuildConfig",),
  "benchmark": ("benchmark.config:BenchmarkConfig",),
  "dnas": ("dnas.config:DnasConfig",),
  "eval": ("eval.config:EvalConfig",),
  "evolve": ("evolve.config:EvolveConfig",),
  "export": ("export.config:ExportConfig",),
  "ground_truth": ("ground_truth.config:GroundTruthConfig",),
  "latency_predictor": ("latency_predictor.config:LatencyPredictorConfig",),
  "nars": ("nars.config:NarsConfig",),
  "nbdt": ("nbdt.config:NbdtConfig",),
  "nbdt_tables": ("nbdt.config:NbdtTablesConfig",),
  "predictors": ("predictors.config:PredictorsConfig",),
  "profile": ("profile.config:ProfileConfig",),
  "study": ("study.config:StudyConfig", "study.config:RandomStudyConfig"),
  "train": ("train.config:TrainConfig", "train.config:FinetuneConfig"),
  "zero_cost": ("zero_cost.config:ZeroCostConfig",),
}
_WIDTH = 80


def key(default: _T, meaning: str, unit: str = "") -> _T:
  """A field of a section: one key of a config.

  Args:
    default: its value where nothing else is said.
    meaning: what it does, for `explain`.
    unit: of a number.
  """
  metadata = {"meaning": meaning, "unit": unit}
  field: _T = dataclasses.field(default=default, metadata=metadata)
  return field


def section(kind: type[_T], **changes: Any) -> _T:
  """A field that is a section of keys, some of them with other defaults."""
  field: _T = dataclasses.field(default_factory=lambda: kind(**changes))
  return field


def config(settings: Any) -> config_dict.ConfigDict:
  """The ConfigDict of a job's dataclass."""
  return config_dict.create(
    **{
      name: config(value) if dataclasses.is_dataclass(value) else value
      for name, value in vars(settings).items()
    }
  )


def preset(
  settings: Any, presets: Mapping[str, Mapping[str, Any]], name: str
) -> config_dict.ConfigDict:
  """The config of a job's dataclass with the changes of a preset.

  Args:
    settings: the dataclass.
    presets: the changes of each preset, by dotted keys.
    name: of the preset.

  Raises:
    ValueError: there is no preset of that name.
    KeyError: the preset changes a key that the dataclass lacks.
  """
  if name not in presets:
    raise ValueError(f"no preset {name!r}; legal: {', '.join(presets)}")
  filled = config(settings).lock()
  filled.update_from_flattened_dict(presets[name])
  return filled.unlock()


def explain(filled: Any) -> Iterator[str]:
  """Every key of a config in lines for a terminal.

  Args:
    filled: the ConfigDict; its values are shown, and the default where a value
      is another.

  Raises:
    ValueError: there is no such job.
  """
  if filled.job not in KINDS:
    raise ValueError(f"config.job={filled.job!r}; legal: {', '.join(KINDS)}")
  known = _known(filled)
  for name, value in _leaves(filled):
    about = known.get(name) or {
      "meaning": "a key of your own",
      "unit": "",
      "default": value,
    }
    unit = f" [{about['unit']}]" if about["unit"] else ""
    default = about["default"]
    changed = "" if value == default else f" (default: {_written(default)})"
    yield f"--config.{name}={_written(value)}{unit}{changed}"
    yield from textwrap.wrap(
      about["meaning"],
      _WIDTH,
      initial_indent="    ",
      subsequent_indent="    ",
    )


def fields(kind: Any, prefix: str = "") -> dict[str, Mapping[str, Any]]:
  """What is known of each key of a dataclass, by dotted names.

  Returns:
    `meaning`, `unit` and `default` of each.
  """
  known: dict[str, Mapping[str, Any]] = {}
  settings = kind() if isinstance(kind, type) else kind
  for field in dataclasses.fields(settings):
    name, value = f"{prefix}{field.name}", getattr(settings, field.name)
    if dataclasses.is_dataclass(value):
      known |= fields(value, f"{name}.")
    else:
      known[name] = {**field.metadata, "default": value}
  return known


def _known(filled: Any) -> dict[str, Mapping[str, Any]]:
  known: dict[str, Mapping[str, Any]] = {}
  keys = {name for name, _ in _leaves(filled)}
  for place in KINDS[filled.job]:
    module, name = place.split(":")
    file = importlib.import_module(f"fbnax.jobs.{module}")
    known = fields(getattr(file, name))
    if keys <= set(known):
      break
  return known


def _leaves(filled: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  for name, value in filled.items():
    if hasattr(value, "items"):
      yield from _leaves(value, f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}", value


def _written(value: Any) -> str:
  """A value as it is given on the command line."""
  if isinstance(value, tuple | list):
    return f'"{tuple(value)!r}"'
  return f"{value}"
