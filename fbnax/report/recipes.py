"""The members' training recipes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fbnax.report import markup
from fbnax.report.markup import escape
from fbnax.report.schema import Choice, MemberRow, Result

_AT_END = 1e-6  # Of a range, within which a number is its end.
_NAMES = {
  "ema": "weight averaging (EMA)",
  "mixup": "mixup alpha",
}


def recipe_table(result: Result) -> str:
  """A row for each field, a column for each member; empty without recipes.

  A number has a mark at its place in the searched range, where there is one.
  """
  members = [m for m in result.members if m.recipe]
  if not members:
    return ""
  choices = {
    d.name.removeprefix("recipe."): d
    for d in result.space.decisions
    if d.recipe or d.name.startswith("recipe.")
  }
  fields = list(dict.fromkeys(k for m in members for k in m.recipe))
  rows = []
  for field in fields:
    choice = choices.get(field)
    name = _NAMES.get(field, field.replace("_", " "))
    factor = _sgd_factor(result, field)
    cells = [_cell(m, field, choice, factor) for m in members]
    rows.append([escape(name), *cells, _searched(choice, factor)])
  head = ["recipe", *(escape(m.name) for m in members), "searched"]
  return markup.table(head, rows, "recipes") + _edges(result, choices)


def _edges(result: Result, choices: Mapping[str, Choice]) -> str:
  """Which searched numbers of most members lie at an end of their range.

  Where they do, better ones may lie beyond. Those of scaled members were not
  predicted; below 0 there is nothing to search.
  """
  members = [m for m in result.members if m.predicted is not None]
  at_ends = []
  for field, choice in choices.items():
    values = _numbers(choice)
    if len(values) < 2:
      continue
    factor = _sgd_factor(result, field)
    places = [_place(m, field, choice, factor) for m in members]
    for end, word, limit in (
      (0.0, "least", values[0]),
      (1.0, "largest", values[-1]),
    ):
      count = sum(p is not None and abs(p - end) < _AT_END for p in places)
      if 2 * count > len(members) and limit != 0:
        name = _NAMES.get(field, field.replace("_", " "))
        at_ends.append(f"{escape(name)} ({word}: {count} of {len(members)})")
  if not at_ends:
    return ""
  return (
    '<p class="note">At an end of their range lie, in most members: '
    f"{', '.join(at_ends)}. The best may lie beyond it: a wider range, in a"
    " space of one's own, would tell.</p>"
  )


def _sgd_factor(result: Result, field: str) -> float:
  """The space searches one range of rates, and multiplies what SGD gets."""
  return (result.space.sgd_factor or 1.0) if field == "learning_rate" else 1.0


def _numbers(choice: Choice | None) -> list[float]:
  """The values of an ordinal decision, empty for any other."""
  if choice is None or choice.categorical:
    return []
  values: Sequence[Any] = choice.values
  if any(
    isinstance(v, bool) or not isinstance(v, (int, float)) for v in values
  ):
    return []
  return [float(v) for v in values]


def _cell(
  member: MemberRow, field: str, choice: Choice | None, factor: float
) -> str:
  text = escape(markup.plain(member.recipe.get(field)))
  place = _place(member, field, choice, factor)
  if place is None:
    return text
  if not -1e-6 <= place <= 1 + 1e-6:
    return f'{text} <span class="muted">outside the range</span>'
  low, high = _range(member, choice, factor)
  searched = f"{markup.plain(low)} to {markup.plain(high)}"
  return (
    f'{text}<span class="range" title="{searched}">'
    f'<i style="left:{min(max(place, 0.0), 1.0) * 100:.1f}%"></i></span>'
  )


def _range(
  member: MemberRow, choice: Choice | None, factor: float
) -> tuple[float, float]:
  """The ends of what was searched; those of SGD are `factor` times larger."""
  values = _numbers(choice) if choice is not None else []
  scale = factor if member.recipe.get("optimizer") == "sgd" else 1.0
  return (values[0] * scale, values[-1] * scale) if values else (0.0, 0.0)


def _place(
  member: MemberRow, field: str, choice: Choice | None, factor: float
) -> float | None:
  """Where a number lies in the searched range, from 0 to 1; None for none."""
  value: Any = member.recipe.get(field)
  low, high = _range(member, choice, factor)
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not is_number or low == high:
    return None
  return (float(value) - low) / (high - low)


def _searched(choice: Choice | None, factor: float) -> str:
  if choice is None or len(choice.values) < 2:
    return '<span class="muted">fixed</span>'
  values = _numbers(choice)
  if values:
    scaled = f", ×{factor:g} for SGD" if factor != 1 else ""
    return f"{markup.plain(values[0])} to {markup.plain(values[-1])}{scaled}"
  return escape(" or ".join(markup.plain(v) for v in choice.values))
