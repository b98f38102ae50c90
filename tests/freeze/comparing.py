"""What two runs of a job left, compared: results, reports, public names.

A run states times in places that are known: the keys of `TIMED` in its result,
in its report durations and a chart of them. These are dropped, nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

# Keys of a result that hold seconds, wherever they stand.
TIMED = ("seconds", "times")
# A duration as a report writes it, not as a part of a word or of a number.
_DURATION = re.compile(
  r"(?<![\w.,])(?:[\d,]+ h \d\d min|\d+ min \d\d s|[\d,]+(?:\.\d+)? s)(?!\w)"
)
_CHART = re.compile(r'<svg id="chart-times".*?</svg>', re.DOTALL)
_HEADING = re.compile(r'<(?:h[1-6]|section|figure)\b[^>]*\bid="([^"]*)"')
_ABSENT = "absent"


def without_times(value: Any, timed: tuple[str, ...] = TIMED) -> Any:
  """A result without the keys that hold times."""
  if isinstance(value, dict):
    return {
      key: without_times(item, timed)
      for key, item in value.items()
      if key not in timed
    }
  if isinstance(value, list):
    return [without_times(item, timed) for item in value]
  return value


def structure(value: Any) -> Any:
  """A result's keys, and the kind of each value, not the values."""
  if isinstance(value, dict):
    return {key: structure(item) for key, item in value.items()}
  if isinstance(value, list):
    return [structure(item) for item in value]
  if isinstance(value, int | float) and not isinstance(value, bool):
    return "number"
  return type(value).__name__


def differences(base: Any, now: Any, key: str = "") -> Iterator[str]:
  """Each leaf in which two JSON values differ: `key: base's, now's`.

  Numbers are equal where their bits are: `1` is not `1.0`, NaN is NaN.
  """
  if isinstance(base, dict) and isinstance(now, dict):
    for name in [*base, *(name for name in now if name not in base)]:
      yield from differences(
        base.get(name, _ABSENT),
        now.get(name, _ABSENT),
        f"{key}.{name}" if key else name,
      )
  elif isinstance(base, list) and isinstance(now, list):
    if len(base) != len(now):
      yield f"{key}: {len(base)} items, {len(now)} items"
    for index, (one, other) in enumerate(zip(base, now, strict=False)):
      yield from differences(one, other, f"{key}[{index}]")
  elif not _same(base, now):
    yield f"{key}: {_shown(base)}, {_shown(now)}"


def _same(base: Any, now: Any) -> bool:
  if type(base) is not type(now):
    return False
  if isinstance(base, float) and math.isnan(base):
    return math.isnan(now)
  return bool(base == now)


def _shown(value: Any) -> str:
  words = repr(value)
  return words if len(words) <= 80 else words[:77] + "..."


def untimed(page: str) -> str:
  """A report without the chart of times, `TIME` for each duration in it."""
  return _DURATION.sub("TIME", _CHART.sub("TIMES", page))


def page_differences(base: str, now: str) -> Iterator[str]:
  """The places in which two reports differ but for times: at most one a line.

  A report has long lines, so each is told by what surrounds the first
  difference in it.
  """
  lines = [untimed(page).splitlines() for page in (base, now)]
  if len(lines[0]) != len(lines[1]):
    yield f"{len(lines[0])} lines, {len(lines[1])} lines"
  for number, (one, other) in enumerate(zip(*lines, strict=False), 1):
    if one != other:
      pairs = zip(one, other, strict=False)
      at = next(
        (i for i, (a, b) in enumerate(pairs) if a != b),
        min(len(one), len(other)),
      )
      part = slice(max(at - 30, 0), at + 30)
      yield f"line {number}: {one[part]!r}, {other[part]!r}"


def headings(page: str) -> list[str]:
  """The sections and figures of a report by their ids."""
  return _HEADING.findall(page)


def vanished(
  base: dict[str, list[str]], now: dict[str, list[str]]
) -> list[str]:
  """Public names, `room.name`, that the base has and the present has not."""
  return [
    f"{room}.{name}"
    for room, names in base.items()
    for name in names
    if name not in now.get(room, [])
  ]
