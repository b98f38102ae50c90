"""The file format of latency tables: JSON, read with errors that name the key.

    {"schema_version": 1, "unit": "ms", "device": "Pixel 3", "note": "…",
     "batch_size": 1, "relative": false, "interpolate": false,
     "const": {"ms": 2.8, "parts": ["stem", "head"]},
     "entries": [{"op": "skip", "size": 8, "c_in": 16, "c_out": 24, "stride": 2,
                  "ms": 0.1, "spread": 0.01, "repeats": 50}, …]}

An entry has the fields of its `op` (`latency_keys.FIELDS`), its time `ms` and,
where known, `spread` (standard deviation of a call, ms) and `repeats` (calls
that were timed). The other keys are the fields of
`fbnax.costs.latency.LatencyTable`, where they are explained. `note`,
`batch_size`, `relative`, `interpolate`, `spread` and `repeats` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fbnax.base.json_values import shown
from fbnax.costs.latency_keys import FIELDS, Key
from fbnax.spaces.architecture import ACTIVATIONS, LARGEST
from fbnax.spaces.exchange import json_object

SCHEMA_VERSION = 1
UNIT = "ms"
_WHERE = "latency table"
_PUBLISHED = (
  "published table, convert it with python -m fbnax.costs.latency_convert"
)
_REQUIRED = ("schema_version", "unit", "device", "const", "entries")
_OPTIONAL: dict[str, tuple[type, str]] = {
  "note": (str, "a string"),
  "batch_size": (int, "an integer of at least 1"),
  "relative": (bool, "true or false"),
  "interpolate": (bool, "true or false"),
}
_MEASURED = ("ms", "spread", "repeats")
_LARGEST_MS = 1e9  # Eleven days; also a whole number that no float can hold.


class Entry(NamedTuple):
  """A measured time.

  Attributes:
    ms: milliseconds.
    spread: standard deviation of a single call, ms; None if not known.
    repeats: how many calls were timed; None if not known.
  """

  ms: float
  spread: float | None = None
  repeats: int | None = None


def to_json(
  entries: Mapping[Key, Entry],
  const: float,
  const_parts: tuple[str, ...],
  **others: Any,
) -> str:
  """The text of a table, an entry on a line.

  Args:
    entries: time by key.
    const: ms.
    const_parts: what it holds.
    **others: `device` and the optional keys.
  """
  head = {
    "schema_version": SCHEMA_VERSION,
    "unit": UNIT,
    **others,
    "const": {"ms": const, "parts": list(const_parts)},
  }
  lines = [json.dumps(head, indent=1)[:-2] + ',\n "entries": [']
  rows = []
  for key, entry in sorted(entries.items()):
    measured = {k: v for k, v in entry._asdict().items() if v is not None}
    rows.append("  " + json.dumps(key.values | measured))
  return "\n".join([*lines, ",\n".join(rows), " ]\n}\n"])


def from_json(text: str) -> dict[str, Any]:
  """The fields of a `LatencyTable`, of the right types.

  Raises:
    ValueError: the text is no JSON object, of another version or unit, or a key
      is missing, unknown, there twice or of another type; it is named.
  """
  if not text.lstrip().startswith(("{", "[")):
    raise ValueError(f"{_WHERE} is no JSON; if it is YAML of a {_PUBLISHED}")
  data = json_object(text, _WHERE)
  if not set(_REQUIRED) & set(data):
    raise ValueError(
      f"{_WHERE} has the keys {shown(list(data))}; legal: {_REQUIRED}; if it is"
      f" a {_PUBLISHED}"
    )
  _names(data, _REQUIRED, tuple(_OPTIONAL), _WHERE)
  for name, legal in (("schema_version", SCHEMA_VERSION), ("unit", UNIT)):
    if type(data[name]) is not type(legal) or data[name] != legal:
      raise ValueError(f"{name} is {data[name]!r}; legal: {legal!r}")
  if not isinstance(data["device"], str):
    raise ValueError(f"device is {data['device']!r}; legal: a string")
  for name, (kind, legal) in _OPTIONAL.items():
    if name in data and type(data[name]) is not kind:
      raise ValueError(f"{name} is {data[name]!r}; legal: {legal}")
  const = data["const"]
  if not isinstance(const, dict):
    raise ValueError(f"const is {const!r}; legal: an object")
  _names(const, ("ms", "parts"), (), "const")
  listed = const["parts"]
  if not isinstance(listed, list) or not all(
    isinstance(p, str) for p in listed
  ):
    raise ValueError(f"const.parts is {listed!r}; legal: a list of strings")
  if not isinstance(data["entries"], list):
    raise ValueError(f"entries must be a list, found {data['entries']!r:.60}")
  entries: dict[Key, Entry] = {}
  for i, row in enumerate(data["entries"]):
    key, entry = _entry(row, f"entries[{i}]")
    if key in entries:
      raise ValueError(f"entries[{i}] is there twice: {key}")
    entries[key] = entry
  return {
    "entries": entries,
    "const": _number(const["ms"], "const.ms"),
    "const_parts": tuple(listed),
    "device": data["device"],
    **{name: data[name] for name in _OPTIONAL if name in data},
  }


def _entry(row: Any, where: str) -> tuple[Key, Entry]:
  """One row, parsed and checked."""
  if not isinstance(row, dict):
    raise ValueError(f"{where} is {shown(row)}; legal: an object")
  op = row.get("op")
  if not isinstance(op, str) or op not in FIELDS:
    raise ValueError(f"{where}.op is {op!r}; legal: {', '.join(FIELDS)}")
  _names(row, ("op", *FIELDS[op], "ms"), ("spread", "repeats"), where)
  for name in FIELDS[op]:
    value = row[name]
    if name == "activation":
      legal, holds = ", ".join(ACTIVATIONS), value in ACTIVATIONS
    elif name == "squeeze_excite":
      legal, holds = "true or false", isinstance(value, bool)
    else:
      legal, holds = f"an integer from 1 to {LARGEST}", _is_whole(value)
    if not holds:
      raise ValueError(f"{where}.{name} is {shown(value)}; legal: {legal}")
  repeats = row.get("repeats")
  if repeats is not None and not _is_whole(repeats):
    raise ValueError(
      f"{where}.repeats is {repeats!r}; legal: an integer of at least 1"
    )
  spread = row.get("spread")
  entry = Entry(
    _number(row["ms"], f"{where}.ms"),
    None if spread is None else _number(spread, f"{where}.spread"),
    repeats,
  )
  return Key(**{k: v for k, v in row.items() if k not in _MEASURED}), entry


def _names(
  data: dict[str, Any],
  required: tuple[str, ...],
  optional: tuple[str, ...],
  where: str,
) -> None:
  legal = (*required, *optional)
  unknown = sorted(set(data) - set(legal))
  if unknown:
    raise ValueError(f"{where} has unknown keys {unknown}; legal: {legal}")
  missing = [name for name in required if name not in data]
  if missing:
    raise ValueError(f"{where} lacks the keys {missing}")


def _number(value: Any, where: str) -> float:
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  if not is_number or abs(value) > _LARGEST_MS:
    raise ValueError(
      f"{where} is {shown(value)}; legal: a number of milliseconds"
    )
  return float(value)


def _is_whole(value: Any) -> bool:
  return type(value) is int and 1 <= value <= LARGEST
