"""The members' training recipes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fbnax.report import markup
from fbnax.report.markup import escape
from fbnax.report.schema import Choice, MemberRow, Result

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
    factor = result.space.sgd_factor or 1.0 if field == "learning_rate" else 1.0
    cells = [_cell(m, field, choice, factor) for m in members]
    rows.append([escape(name), *cells, _searched(choice, factor)])
  head = ["recipe", *(escape(m.name) for m in members), "searched"]
  return markup.table(head, rows, "recipes")


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
  value: Any = member.recipe.get(field)
  text = escape(markup.plain(value))
  values = _numbers(choice)
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if len(values) < 2 or not is_number or values[0] == values[-1]:
    return text
  low, high = values[0], values[-1]
  if member.recipe.get("optimizer") == "sgd":
    # The space searches one range and multiplies what SGD gets.
    low, high = low * factor, high * factor
  place = (float(value) - low) / (high - low)
  if not -1e-6 <= place <= 1 + 1e-6:
    return f'{text} <span class="muted">outside the range</span>'
  searched = f"{markup.plain(low)} to {markup.plain(high)}"
  return (
    f'{text}<span class="range" title="{searched}">'
    f'<i style="left:{min(max(place, 0.0), 1.0) * 100:.1f}%"></i></span>'
  )


def _searched(choice: Choice | None, factor: float) -> str:
  if choice is None or len(choice.values) < 2:
    return '<span class="muted">fixed</span>'
  values = _numbers(choice)
  if values:
    scaled = f", ×{factor:g} for SGD" if factor != 1 else ""
    return f"{markup.plain(values[0])} to {markup.plain(values[-1])}{scaled}"
  return escape(" or ".join(markup.plain(v) for v in choice.values))
