"""A drawn tree as a list of shapes, from which SVG and PNG are made.

The root is on the left, children are on the right of their node, and each leaf
or closed node has a row of its own, from top to bottom.

It is drawn here and not by `fbnax.report`, which knows no trees and which this
room may not import; colours and fonts are the report's.

Symbols: `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fbnax.base.names import escaped
from fbnax.nbdt.explaining import explain
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.naming import all_names, leaf_counts

INK = "#222a35"
MUTED = "#5c6675"
LINE = "#c3cad5"
BLUE = "#0072b2"
PALE = "#d4e6f3"
WHITE = "#ffffff"
FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_WIDEST, _NARROWEST, _TOTAL = 158.0, 140.0, 1080.0
_GAP, _BESIDE, _MARGIN = 40.0, 8.0, 4.0
_WIDE_LETTER = 0.56  # Of the size, for the widest of the fonts above.


class NodePlace(NamedTuple):
  """Column and row of a node that is shown; rows of inner nodes lie between."""

  column: int
  row: float


class Box(NamedTuple):
  """A rectangle with round corners."""

  x: float
  y: float
  width: float
  height: float
  fill: str
  stroke: str = "none"
  thickness: float = 1.0
  radius: float = 5.0


class Link(NamedTuple):
  """From the right of a node to the left of a child."""

  x: float
  y: float
  to_x: float
  to_y: float
  colour: str
  thickness: float


class Words(NamedTuple):
  """A line of text; `y` is its baseline."""

  x: float
  y: float
  text: str
  size: float
  colour: str
  anchor: str = "start"
  bold: bool = False


class Picture(NamedTuple):
  """An image, `u8[H, W, 3]`."""

  x: float
  y: float
  side: float
  pixels: np.ndarray


Shape = Box | Link | Words | Picture


class Card(NamedTuple):
  """All shapes of a node, and what is said when it is pointed at."""

  title: str
  shapes: list[Shape]


class Sketch(NamedTuple):
  """A drawing: its size in pixels, its curves, and its cards over them."""

  width: float
  height: float
  curves: list[Link]
  cards: list[Card]


def opened(hierarchy: Hierarchy, rows: int) -> list[int]:
  """The inner nodes to open so that about so many rows are shown.

  The root is always open; after it, of the closed nodes that are shown the one
  with the most classes, as long as there is room.

  Args:
    hierarchy: the tree.
    rows: the most rows, where the root's children are not more.

  Returns:
    Nodes, from the root down.
  """
  children = hierarchy.children
  classes = hierarchy.num_classes
  counts = leaf_counts(hierarchy).tolist()
  open_nodes: list[int] = []
  waiting = [(-counts[hierarchy.root], hierarchy.root)]
  shown = 1
  while waiting:
    _, node = heapq.heappop(waiting)
    below = children[node - classes]
    if open_nodes and shown + len(below) - 1 > rows:
      continue
    open_nodes.append(node)
    shown += len(below) - 1
    for child in below:
      if child >= classes:
        heapq.heappush(waiting, (-counts[child], child))
  return open_nodes


def places(hierarchy: Hierarchy, open_nodes: list[int]) -> dict[int, NodePlace]:
  """Where each shown node stands, in the order from top to bottom."""
  children = hierarchy.children
  classes = hierarchy.num_classes
  inside = set(open_nodes)
  placed: dict[int, NodePlace] = {}
  row = 0

  # Depth first with a stack of its own: chains are deeper than Python's.
  waiting = [(hierarchy.root, 0, False)]
  while waiting:
    node, column, done = waiting.pop()
    if node not in inside:
      placed[node] = NodePlace(column, float(row))
      row += 1
    elif done:
      below = children[node - classes]
      middle = (placed[below[0]].row + placed[below[-1]].row) / 2
      placed[node] = NodePlace(column, middle)
    else:
      waiting.append((node, column, True))
      below = children[node - classes]
      waiting += [(child, column + 1, False) for child in reversed(below)]
  return placed


def sketch(
  hierarchy: Hierarchy,
  names: Sequence[str] | None,
  notes: Sequence[str] | None,
  logits: np.ndarray | None,
  images: Sequence[np.ndarray | None] | None,
  rows: int,
) -> Sketch:
  """Draws a tree; the arguments are those of `tree_svg`.

  Raises:
    ValueError: names, notes or images of other numbers.
  """
  words = [escaped(name) for name in all_names(hierarchy, names)]
  if notes is not None and len(notes) != hierarchy.num_nodes:
    raise ValueError(
      f"node_notes has {len(notes)} entries; legal: {hierarchy.num_nodes}, one "
      f"a node"
    )
  pictures = checked_images(hierarchy, images)
  shown = opened(hierarchy, rows)
  spots = places(hierarchy, shown)
  children = hierarchy.children
  columns = 1 + max(spot.column for spot in spots.values())
  width = (_TOTAL - _GAP * (columns - 1)) / columns
  width = min(max(width, _NARROWEST), _WIDEST)
  tall = notes is not None or any(image is not None for image in pictures)
  tall = tall or any(": " in words[node] for node in spots)
  height = 34.0 if tall else 26.0
  probabilities, path = _decided(hierarchy, logits)

  def corner(node: int) -> tuple[float, float]:
    spot = spots[node]
    x = _MARGIN + spot.column * (width + _GAP)
    return x, _MARGIN + spot.row * (height + _BESIDE)

  curves: list[Link] = []
  late: list[Link] = []  # The path is drawn over the rest.
  for node in shown:
    x, y = corner(node)
    for child in children[node - hierarchy.num_classes]:
      to_x, to_y = corner(child)
      middle = height / 2
      chosen = child in path
      share = probabilities.get(child, 0.0)
      curve = Link(
        x + width,
        y + middle,
        to_x,
        to_y + middle,
        BLUE if chosen else LINE,
        1.4 + 3.0 * share if chosen else 1.4,
      )
      (late if chosen else curves).append(curve)
  cards = []
  counts = leaf_counts(hierarchy)
  for node in spots:
    closed = node >= hierarchy.num_classes and node not in shown
    leaf = node < hierarchy.num_classes
    cards.append(
      _card(
        corner(node),
        (width, height),
        words[node],
        "" if notes is None else escaped(str(notes[node])),
        int(counts[node]) if closed else 0,
        pictures[node] if leaf else None,
        probabilities.get(node),
        node in path,
      )
    )
  rows_shown = 1 + max(spot.row for spot in spots.values())
  return Sketch(
    2 * _MARGIN + columns * (width + _GAP) - _GAP,
    2 * _MARGIN + rows_shown * (height + _BESIDE) - _BESIDE,
    curves + late,
    cards,
  )


def checked_images(
  hierarchy: Hierarchy, images: Sequence[np.ndarray | None] | None
) -> list[np.ndarray | None]:
  """An image `u8[H, W, 3]` or None per class.

  Raises:
    ValueError: another number of images, or one that is none.
  """
  if images is None:
    return [None] * hierarchy.num_classes
  if len(images) != hierarchy.num_classes:
    raise ValueError(
      f"leaf_images has {len(images)}; legal: {hierarchy.num_classes}, one a "
      f"class, None where there is none"
    )
  return [None if i is None else as_rgb(i) for i in images]


def as_rgb(image: np.ndarray) -> np.ndarray:
  """An image `u8[H, W]`, `u8[H, W, 1]` or `u8[H, W, 3]` as the last.

  Raises:
    ValueError: it is none of these.
  """
  image = np.asarray(image)
  shape = image.shape
  if image.ndim == 2:
    image = image[..., None]
  if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
    raise ValueError(
      f"an image has shape {shape}; legal: [H, W], [H, W, 1] or [H, W, 3]"
    )
  if image.dtype != np.uint8:
    raise ValueError(
      f"an image has dtype {image.dtype}; legal: uint8, from 0 to 255"
    )
  return np.broadcast_to(image, (*image.shape[:2], 3))


def _decided(
  hierarchy: Hierarchy, logits: np.ndarray | None
) -> tuple[dict[int, float], set[int]]:
  """Probabilities of the children on a sample's path, and the path."""
  if logits is None:
    return {}, set()
  probabilities: dict[int, float] = {}
  path = {hierarchy.root}
  for step in explain(logits, hierarchy):
    probabilities.update({o.node: o.probability for o in step.options})
    path.update(hierarchy.path(step.chosen.node))
  return probabilities, path


def _card(
  corner: tuple[float, float],
  size: tuple[float, float],
  name: str,
  note: str,
  count: int,
  image: np.ndarray | None,
  probability: float | None,
  chosen: bool,
) -> Card:
  (x, y), (width, height) = corner, size
  shapes: list[Shape] = []
  if count:  # A card behind tells that there is more.
    shapes.append(Box(x + 3, y + 3, width, height, "#eef1f5", LINE))
  shapes.append(Box(x, y, width, height, WHITE))
  if probability is not None:
    fill = PALE if chosen else "#e9edf2"
    inside = (width - 2) * probability
    shapes.append(Box(x + 1, y + 1, inside, height - 2, fill, radius=4.0))
  shapes.append(
    Box(
      x,
      y,
      width,
      height,
      "none",
      BLUE if chosen else LINE,
      1.8 if chosen else 1.0,
    )
  )
  left = x + 8
  if image is not None:
    shapes.append(Picture(x + 4, y + 4, height - 8, image))
    left = x + height + 2
  right = x + width - 7
  said = "" if probability is None else percent(probability)
  if said:
    line = y + height / 2 + 4
    shapes.append(
      Words(right, line, said, 11, BLUE if chosen else MUTED, "end", chosen)
    )
    right -= 7 * len(said) + 4
  full = name
  if count and height < 30:
    name = f"{name} ({count})"
  elif count:
    note = " · ".join(filter(None, (f"{count} classes", note)))
  if height > 30 and ": " in name:
    # What a node's classes are, and under it which these are.
    name, _, some = name.partition(": ")
    note = " · ".join(filter(None, (note, some)))
  single = height < 30 or not note
  base = y + height / 2 + (4 if single else -2)
  shapes.append(Words(left, base, cut(name, right - left, 12), 12, INK))
  if not single:
    shapes.append(
      Words(left, base + 13, cut(note, right - left, 10), 10, MUTED)
    )
  title = ", ".join(filter(None, (full, "" if single else note, said)))
  return Card(title, shapes)


def percent(share: float) -> str:
  """A probability in two or three digits, none of which claims certainty."""
  if share >= 0.9995:
    return ">99.9%"
  if share < 0.0005:
    return "<0.1%"
  return f"{share:.1%}" if share >= 0.995 or share < 0.095 else f"{share:.0%}"


def cut(text: str, width: float, size: float) -> str:
  """Text on one line, cut to what fits."""
  line = " ".join(text.split())
  most = max(int(width / (size * _WIDE_LETTER)), 2)
  return line if len(line) <= most else line[: most - 1].rstrip(" ,") + "…"
