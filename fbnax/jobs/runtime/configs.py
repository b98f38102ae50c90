"""Typed configs: what every key is, in which unit, and its default.

A job's config is a frozen dataclass whose fields are keys (`key`) or sections
of keys (`section`); what several jobs share is in `sections`. A file of
`configs/` turns one into the ConfigDict that flags override (`config`,
`preset`), which a job gets as the dataclass again (`typed`), with its values
checked. `--explain` prints what is known of each key (`explain`). So a new key
is one field, and whatever reads it.

What follows a key's name on the command line is text: `--config.a.b=value`.
Lists are written `"(1, 2)"`.
"""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ml_collections import config_dict

from fbnax.jobs import JOBS

_T = TypeVar("_T")
_TYPES = {
  bool: "True or False",
  int: "a whole number",
  float: "a number",
  str: "text",
  tuple: "a list",
}
_LISTED: dict[Any, str] = {
  int: "whole numbers",
  float: "numbers",
  str: "strings",
  str | int | float: "strings and numbers",
}

_WIDTH = 80


class _Check(NamedTuple):
  """What is legal for a key beyond its type."""

  least: float | None
  above: float | None
  most: float | None
  below: float | None
  choices: tuple[str, ...]

  def __call__(self, place: str, value: Any) -> None:
    """Raises a ValueError where a value is not legal."""
    for item in value if isinstance(value, tuple) else (value,):
      if self.choices and item not in self.choices:
        raise ValueError(
          f"{place} is {item!r}; legal: {', '.join(map(repr, self.choices))}"
        )
      if isinstance(item, int | float) and not self._holds(item):
        raise ValueError(f"{place} is {item!r}; legal: {self._legal()}")

  def _holds(self, number: float) -> bool:
    return (
      (self.least is None or number >= self.least)
      and (self.above is None or number > self.above)
      and (self.most is None or number <= self.most)
      and (self.below is None or number < self.below)
    )

  def _legal(self) -> str:
    limits = (
      ("at least", self.least),
      ("above", self.above),
      ("at most", self.most),
      ("below", self.below),
    )
    return ", ".join(f"{word} {n:g}" for word, n in limits if n is not None)


def key(
  default: _T,
  meaning: str,
  unit: str = "",
  *,
  least: float | None = None,
  above: float | None = None,
  most: float | None = None,
  below: float | None = None,
  choices: Sequence[str] = (),
) -> _T:
  """A field of a section: one key of a config.

  Args:
    default: its value where nothing else is said.
    meaning: what it does, for `explain`.
    unit: of a number.
    least: smallest legal number, of a list that of each item.
    above: what a number must be above.
    most: largest legal number.
    below: what a number must be below.
    choices: legal names, where there are few.
  """
  metadata = {
    "meaning": meaning,
    "unit": unit,
    "check": _Check(least, above, most, below, tuple(choices)),
  }
  field: _T = dataclasses.field(default=default, metadata=metadata)
  return field


def section(kind: type[_T], **changes: Any) -> _T:
  """A field that is a section of keys, some of them with other defaults."""
  field: _T = dataclasses.field(default_factory=lambda: kind(**changes))
  return field


def config(settings: Any) -> config_dict.ConfigDict:
  """The ConfigDict of a job's dataclass, or of a section."""
  if isinstance(settings, config_dict.ConfigDict):
    return settings
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
  known = fields(_type_of(filled))
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


def typed(filled: config_dict.ConfigDict) -> Any:
  """The dataclass of a job's config, with the values of a ConfigDict.

  Keys that the ConfigDict lacks take their defaults; keys of the user's own
  stay, after the others.

  Raises:
    ValueError: there is no such job, or a value is not of its key's type or
      beyond its limits; the key, the value and what is legal are named.
  """
  return _filled(_type_of(filled)(), filled, "config")


def as_dict(settings: Any) -> dict[str, Any]:
  """The keys and values of a job's dataclass by name, sections as dicts."""
  return {
    name: as_dict(value) if dataclasses.is_dataclass(value) else value
    for name, value in sorted(vars(settings).items())
  }


def _type_of(filled: config_dict.ConfigDict) -> type:
  """The first dataclass of the job that has all keys of a config."""
  job = filled.get("job")
  if job not in JOBS:
    raise ValueError(f"config.job={job!r}; legal: {', '.join(JOBS)}")
  names = {name for name, _ in _leaves(filled)}
  kinds = JOBS[job].config_types()
  return next((k for k in kinds if names <= set(fields(k))), kinds[-1])


def _filled(settings: _T, values: Mapping[str, Any], where: str) -> _T:
  """A section with the values of a mapping; `where` is its name."""
  hints = typing.get_type_hints(type(settings))
  changes: dict[str, Any] = {}
  of_user: dict[str, Any] = {}
  known = {field.name: field for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
  for name, value in values.items():
    place = f"{where}.{name}"
    if name not in known:
      of_user[name] = _plain(value)
    elif dataclasses.is_dataclass(getattr(settings, name)):
      if not hasattr(value, "items"):
        raise ValueError(f"{place} is {value!r}; legal: a section of keys")
      changes[name] = _filled(getattr(settings, name), value, place)
    else:
      changes[name] = _of_type(hints[name], value, place)
      known[name].metadata["check"](place, changes[name])
  settings = dataclasses.replace(settings, **changes)  # type: ignore[type-var]
  if not of_user:
    return settings
  kind = dataclasses.make_dataclass(
    type(settings).__name__,
    [(name, Any, dataclasses.field(default=None)) for name in of_user],
    bases=(type(settings),),
    frozen=True,
  )
  full: _T = kind(**vars(settings), **of_user)
  return full


def _plain(value: Any) -> Any:
  return value.to_dict() if isinstance(value, config_dict.ConfigDict) else value


def _of_type(hint: Any, value: Any, place: str) -> Any:
  """The value, lists as tuples.

  Raises:
    ValueError: it is of another type than the key.
  """
  if typing.get_origin(hint) is tuple:
    if not isinstance(value, list | tuple):
      raise ValueError(f"{place} is {value!r}; legal: {_TYPES[tuple]}")
    inner = typing.get_args(hint)[0]
    for item in value:
      if not _is_of(inner, item):
        raise ValueError(
          f"{place} is {tuple(value)!r}; legal: a list of {_LISTED[inner]}"
        )
    return tuple(value)
  if not _is_of(hint, value):
    raise ValueError(f"{place} is {value!r}; legal: {_TYPES[hint]}")
  return value


def _is_of(kind: Any, value: Any) -> bool:
  if kind is bool or isinstance(value, bool):
    return kind is bool and isinstance(value, bool)
  return isinstance(value, (int, float) if kind is float else kind)


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
