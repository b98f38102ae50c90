"""The decision trees of a family's members: what they can, and a drawing."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from urllib.parse import quote

from fbnax.base import text
from fbnax.report import embedded, markup
from fbnax.report.markup import escape, figure, percent
from fbnax.report.schema import Result


def trees(result: Result, drawings: Mapping[str, str]) -> str:
  """A table, and each member's tree; "" for members without trees.

  Args:
    result: what to show.
    drawings: the tree of each member by its name, an `<svg>` element.
  """
  known = [(m, m.tree) for m in result.members if m.tree is not None]
  if not known:
    return ""
  rows = [
    (
      escape(member.name),
      percent(tree.plain_accuracy, 2),
      percent(tree.network_accuracy, 2),
      percent(tree.soft_accuracy, 2),
      percent(tree.hard_accuracy, 2),
      escape(tree.kind),
      markup.plain(tree.depth),
    )
    for member, tree in known
  ]
  head = (
    "member",
    "trained plainly",
    "with the tree loss",
    "its soft tree",
    "its hard tree",
    "hierarchy",
    "depth",
  )
  parts = [
    "<p>Test accuracy of each member trained plainly, of the member as it "
    "stands (trained with the tree loss), and of its decision tree: the class "
    "whose path is the likeliest (soft), or one decision after the other "
    "(hard).</p>",
    markup.table(head, rows),
  ]
  for member, tree in known:
    page = tree.pictures.get("page")
    link = f"members/{quote(member.name)}/{quote(page)}" if page else None
    words = "Beside a node stands the accuracy of its decision."
    drawing = drawings.get(member.name, "")
    if drawing or link:
      parts.append(f"<h3>{escape(member.name)}</h3>")
      parts.append(tree_figure(drawing, link, words))
  return "".join(parts)


def tree_figure(drawing: str, link: str | None, caption: str) -> str:
  """A tree's drawing with the link to its page.

  Args:
    drawing: an `<svg>` element, or "".
    link: address of the page, or None.
    caption: what to see, as HTML.
  """
  words = caption
  if link:
    words += (
      f' <a href="{escape(link)}">Open the tree to click through</a>: it '
      "closes and opens nodes, finds classes, and shows how images are decided."
    )
  if not drawing:
    return f"<p>{words}</p>" if link else ""
  return f'<div class="tree">{figure(drawing, words)}</div>'


def read_drawing(folder: str | os.PathLike[str], name: str | None) -> str:
  """A tree's drawing beside a result, an `<svg>` element; "" if not there.

  The job has written it, but the file may be anybody's by now: see
  `fbnax.report.embedded`.

  Args:
    folder: where it is.
    name: of the file, None where there is none.

  Raises:
    ValueError: it is no drawing, no text, or not in the folder.
    OSError: it cannot be read.
  """
  if name is None:
    return ""
  path = pathlib.Path(folder) / name
  # Path.resolve would raise a RuntimeError where links lead to each other.
  target = pathlib.Path(os.path.realpath(path))
  if not target.is_relative_to(os.path.realpath(folder)):
    raise ValueError(f"the drawing {name!r} is outside of {folder}")
  try:
    document = text.read(path)
  except FileNotFoundError:
    return ""
  return embedded.drawing(document, str(path))
