"""HTML from values: escaping, numbers as one reads them, tables, figures."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

from fbnax.base import names

MISSING = "–"
# What an address that holds a picture is like.
PICTURE = r"data:image/(png|jpeg);base64,[A-Za-z0-9+/]*={0,2}"
_UNLIKELY = 1e15  # From here on, digits would only fill the page.
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def escape(value: Any) -> str:
  """Any value as text that is safe in HTML content and attributes.

  Characters that would not be seen are shown escaped, but for line ends.
  """
  return html.escape(names.escaped_lines(str(value)), quote=True)


def unit(values: Iterable[float | None]) -> tuple[float, str]:
  """The one unit that a column or an axis of counts is read in.

  Returns:
    The divisor and its name: 1e9 "G", 1e6 "M", 1e3 "k" or 1 "". A largest
    value of 100,000 is read as 0.1 M, so that a small network's counts stand
    in the unit that budgets are given in.
  """
  largest = max((abs(v) for v in values if v is not None), default=0.0)
  for divisor, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
    if largest >= (divisor if divisor != 1e6 else 1e5):
      return divisor, name
  return 1.0, ""


def count(value: float | None, scale: tuple[float, str] | None = None) -> str:
  """A count to three significant digits with its unit."""
  if value is None:
    return MISSING
  divisor, name = unit([value]) if scale is None else scale
  return f"{significant(value / divisor)} {name}".rstrip()


def significant(value: float, digits: int = 3) -> str:
  """`value` to so many significant digits, as a decimal up to 1e15."""
  if value == 0:
    return "0"
  if abs(value) >= _UNLIKELY:
    return f"{value:.{digits}g}"
  decimals = digits - 1 - math.floor(math.log10(abs(value)))
  return f"{value:,.{max(0, min(decimals, 12))}f}"


def percent(value: float | None, decimals: int = 1) -> str:
  """A fraction as percent."""
  return MISSING if value is None else f"{number(100 * value, decimals)}%"


def number(value: float | None, decimals: int = 3) -> str:
  """A number to so many decimals."""
  if value is None:
    return MISSING
  likely = abs(value) < _UNLIKELY
  return f"{value:.{decimals}f}" if likely else f"{value:.3g}"


def whole(value: int | float | None) -> str:
  """A whole number with separators."""
  return MISSING if value is None else f"{value:,.0f}"


def plain(value: Any) -> str:
  """A recipe's or a config's value: short, unrounded, without markup."""
  if isinstance(value, bool):
    return "yes" if value else "no"
  if isinstance(value, float):
    if 0 < abs(value) < 1e-3:
      mantissa, _, exponent = f"{value:.5e}".partition("e")
      digits = str(int(exponent)).translate(_RAISED)
      return f"{float(mantissa):g}×10{digits}"
    return f"{value:g}"
  return MISSING if value is None else str(value)


def short(name: str, longest: int = 36) -> str:
  """A name on one line, cut so that a chart has room for it."""
  line = " ".join(name.split())
  return line if len(line) <= longest else line[: longest - 1] + "…"


def capital(words: str) -> str:
  """Words as a sentence begins."""
  return words[:1].upper() + words[1:]


def plural(amount: int, noun: str) -> str:
  """`1 trial`, `2 trials`."""
  return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def duration(seconds: float | None) -> str:
  """Seconds as one says them: `0.4 s`, `1 min 20 s`, `2 h 05 min`."""
  if seconds is None:
    return MISSING
  if seconds < 9.95 or seconds >= _UNLIKELY:
    return f"{number(seconds, 1)} s"
  whole_seconds = round(seconds)
  if whole_seconds < 60:
    return f"{whole_seconds} s"
  if whole_seconds < 3600:
    return f"{whole_seconds // 60} min {whole_seconds % 60:02d} s"
  minutes = round(seconds / 60)
  return f"{minutes // 60:,} h {minutes % 60:02d} min"


def time_spent(total: float, compiled: float | None) -> str:
  """A run's time, and what of it went into programs before they ran."""
  if compiled is None:
    return duration(total)
  return f"{duration(total)}, {duration(compiled)} of it compiling"


def interval(share: float, images: float) -> tuple[float, float]:
  """95% Wilson score interval of an accuracy measured on `images` images."""
  z = 1.959964
  centre = (share + z * z / (2 * images)) / (1 + z * z / images)
  half = z * math.sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
  half /= 1 + z * z / images
  return max(0.0, centre - half), min(1.0, centre + half)


def table(
  head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = ""
) -> str:
  """A table; cells are HTML already, the first of a row is its header."""
  lines = [f'<div class="scroll"><table class="{kind}"><thead><tr>']
  lines += [f'<th scope="col">{cell}</th>' for cell in head]
  lines.append("</tr></thead><tbody>")
  for first, *rest in rows:
    cells = "".join(f"<td>{cell}</td>" for cell in rest)
    lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
  lines.append("</tbody></table></div>")
  return "\n".join(lines)


def tiles(*pairs: tuple[str, str]) -> str:
  """Key numbers, each with its meaning under it; both are text."""
  if not pairs:
    return ""
  cells = "".join(
    f'<div class="tile"><b>{escape(value)}</b>'
    f"<span>{escape(meaning)}</span></div>"
    for value, meaning in pairs
  )
  return f'<div class="tiles">{cells}</div>'


def figure(svg: str | None, caption: str) -> str:
  """A drawing with the sentence that says what to see; both are HTML.

  Nothing where there is no drawing.
  """
  if svg is None:
    return ""
  return (
    f'<figure><div class="scroll">{svg}</div>'
    f"<figcaption>{caption}</figcaption></figure>"
  )


def details(summary: str, content: str) -> str:
  """A block that is folded until asked for; both are HTML."""
  return f"<details><summary>{summary}</summary>{content}</details>"
