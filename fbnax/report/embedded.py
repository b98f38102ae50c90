"""Drawings that a page takes from a file, let in by what they consist of.

A report stands in a reader's browser, and a file beside a result may be
anybody's. So a drawing is parsed as XML, compared with what the trees'
drawings of this package consist of (`_ELEMENTS`), and written anew from what
was read: the browser gets nothing that was not looked at. XML's other means
(document types and with them entities, processing instructions, comments,
CDATA) are refused, as names as text are free to be like any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from fbnax.base.json_values import shown
from fbnax.report.markup import PICTURE, escape

_NUMBER = r"-?\d+(\.\d+)?(e[+-]\d+)?"
_NUMBERS = rf"{_NUMBER}( {_NUMBER}){{3}}"
_COLOUR = r"none|#[0-9a-f]{6}"
_TEXT = r"(?s:.*)"
_PLACE = {"x": _NUMBER, "y": _NUMBER}
_AREA = _PLACE | {"width": _NUMBER, "height": _NUMBER}
_LINE = {"fill": _COLOUR, "stroke": _COLOUR, "stroke-width": _NUMBER}
# The legal elements, their attributes, and what these may be.
_ELEMENTS: dict[str, dict[str, str]] = {
  "svg": {
    "xmlns": re.escape("http://www.w3.org/2000/svg"),
    "id": _TEXT,
    "class": "chart",
    "role": "img",
    "aria-label": _TEXT,
    "viewBox": _NUMBERS,
    "style": r"max-width:\d+px",
    "font-family": r"[\w ,'-]+",
  },
  "title": {},
  "g": {},
  "path": {"d": r"[MC0-9 .e+-]+"} | _LINE,
  "rect": _AREA | {"rx": _NUMBER} | _LINE,
  "text": _PLACE
  | {
    "font-size": _NUMBER,
    "fill": _COLOUR,
    "text-anchor": "start|end",
    "font-weight": "600",
  },
  "image": _AREA | {"style": "image-rendering:pixelated", "href": PICTURE},
}
# What may stand in an element; in the others only text, or nothing.
_CHILDREN = {
  None: {"svg"},
  "svg": {"title", "g", "path", "rect", "text", "image"},
  "g": {"title", "path", "rect", "text", "image"},
}
_OF_TEXT = ("title", "text")
_EMPTY = ("path", "rect", "image")


def drawing(document: str, where: str) -> str:
  """A drawing of a tree as a page may hold it.

  Args:
    document: an SVG file's text.
    where: the file, as an error calls it.

  Returns:
    An `<svg>` element; that of `fbnax.nbdt.tree_svg` is the same text again.

  Raises:
    ValueError: it is no XML, or has an element, an attribute or a value that no
      drawing of a tree has; it is named, and what is legal.
  """
  body = re.sub(r"^\s*<\?xml\s[^?>]*\?>\s*", "", document)
  parts: list[str] = []
  open_elements: list[str | None] = [None]
  parser = expat.ParserCreate("utf-8")
  parser.buffer_text = True
  parser.ordered_attributes = True

  def start(name: str, pairs: list[str]) -> None:
    above = open_elements[-1]
    allowed = _CHILDREN.get(above, set())
    if name not in allowed:
      inside = f" in <{above}>" if above else ""
      raise _refused(f"element <{name}>{inside}", allowed or {"text alone"})
    open_elements.append(name)
    words = [f"<{name}"]
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
      _check(name, key, value)
      words.append(f' {key}="{escape(value)}"')
    parts.append("".join(words) + ("/>" if name in _EMPTY else ">"))

  def end(name: str) -> None:
    open_elements.pop()
    if name not in _EMPTY:
      parts.append(f"</{name}>")

  def characters(words: str) -> None:
    if open_elements[-1] in _OF_TEXT:
      parts.append(escape(words))
    elif words.strip():
      raise _refused(f"text {shown(words)}", _OF_TEXT)

  def refuse(kind: str) -> Callable[..., Any]:
    def handler(*_: Any) -> None:
      raise _refused(kind, _ELEMENTS)

    return handler

  parser.StartElementHandler = start
  parser.EndElementHandler = end
  parser.CharacterDataHandler = characters
  parser.StartDoctypeDeclHandler = refuse("a document type")
  parser.EntityDeclHandler = refuse("an entity")
  parser.ProcessingInstructionHandler = refuse("a processing instruction")
  parser.CommentHandler = refuse("a comment")
  parser.StartCdataSectionHandler = refuse("CDATA")
  try:
    parser.Parse(body.strip().encode(), True)
  except expat.ExpatError as error:
    raise ValueError(
      f"{where} is no drawing of a tree: no XML: {error}"
    ) from error
  except _RefusedError as error:
    raise ValueError(f"{where} is no drawing of a tree: {error}") from None
  return "".join(parts)


class _RefusedError(ValueError):
  """What no drawing of a tree has."""


def _refused(what: str, legal: Any) -> _RefusedError:
  return _RefusedError(f"it has {what}; legal: {', '.join(sorted(legal))}")


def _check(element: str, key: str, value: str) -> None:
  legal = _ELEMENTS[element]
  if key not in legal:
    raise _refused(f"the attribute {key} of <{element}>", legal or {"none"})
  if not re.fullmatch(legal[key], value):
    raise _RefusedError(
      f"{key} of <{element}> is {shown(value)}; legal: {_words(legal[key])}"
    )


def _words(pattern: str) -> str:
  return {
    _NUMBER: "a number",
    _NUMBERS: "four numbers",
    _COLOUR: "none, or a colour as #0072b2",
    PICTURE: "a PNG or JPEG in the address, data:image/png;base64,…",
  }.get(pattern, pattern)
