"""Entries of latency tables put together: sums, means of repeated ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key


def total(entries: Iterable[Entry]) -> Entry:
  """Parts one after the other; their deviations are independent."""
  found = list(entries)
  return Entry(
    math.fsum(e.ms for e in found),
    math.hypot(*(e.spread or 0.0 for e in found)),
    min(e.repeats or 1 for e in found),
  )


def mean_by_key(found: Iterable[tuple[Key, Entry]]) -> dict[Key, Entry]:
  """One entry for each key.

  That of repeated ones is their mean, weighted by the calls where all know
  them; the deviation is that of all calls together.
  """
  groups: dict[Key, list[Entry]] = {}
  for key, entry in found:
    groups.setdefault(key, []).append(entry)
  return {key: _mean(group) for key, group in groups.items()}


def one_of(tables: Mapping[str, Any], name: str | None) -> Any:
  """The table of that name; a ValueError that names all where there is none."""
  if name is None or name not in tables:
    raise ValueError(f"--table is {name!r}; legal: {', '.join(tables)}")
  return tables[name]


def _mean(group: list[Entry]) -> Entry:
  if len(group) == 1:
    return group[0]
  calls = [e.repeats or 1 for e in group]
  every = sum(calls)
  mean = math.fsum(e.ms * n for e, n in zip(group, calls, strict=True)) / every
  known = all(e.spread is not None and e.repeats for e in group)
  if not known:
    return Entry(mean)
  # Within the measurements and between them.
  square = sum(
    n * ((e.spread or 0.0) ** 2 + (e.ms - mean) ** 2)
    for e, n in zip(group, calls, strict=True)
  )
  return Entry(mean, math.sqrt(square / every), every)
