"""Trees as still pictures: SVG for pages, PNG for anything else.

Symbols: `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fbnax.base import files, names
from fbnax.nbdt import sketch as sketching
from fbnax.nbdt.hierarchy import Hierarchy

_ROWS = 40


def tree_svg(
  hierarchy: Hierarchy,
  *,
  class_names: Sequence[str] | None = None,
  node_notes: Sequence[str] | None = None,
  logits: np.ndarray | None = None,
  leaf_images: Sequence[np.ndarray | None] | None = None,
  rows: int = _ROWS,
  name: str = "tree",
  label: str = "Decision tree over the classes",
) -> str:
  """A tree as one `<svg>` element, without script or reference to elsewhere.

  Args:
    hierarchy: over `K` classes; its labels name the inner nodes.
    class_names: names of the `K` classes, or of all `V` nodes.
    node_notes: a short line for each of the `V` nodes, or "".
    logits: of one sample, `f32[K]`: its likeliest path is marked, and each
      decision on it shows the probabilities of all children.
    leaf_images: `u8[H, W]`, `[H, W, 1]` or `[H, W, 3]` per class, or None.
    rows: about how many leaves are shown; the largest nodes are opened first,
      the others say how many classes they hold.
    name: the element's id, and the prefix of all ids in it.
    label: what the drawing shows, for those who cannot see it.

  Raises:
    ValueError: arguments that do not fit the hierarchy.
  """
  drawn = sketching.sketch(
    hierarchy, class_names, node_notes, logits, leaf_images, rows
  )
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" id="{_safe(name)}" class="chart" '
    f'role="img" aria-label="{_safe(label)}" '
    f'viewBox="0 0 {drawn.width:g} {drawn.height:g}" '
    f'style="max-width:{drawn.width:.0f}px" '
    f'font-family="{_safe(sketching.FONTS)}">'
    f"<title>{_safe(label)}</title>"
  ]
  parts += [_element(curve) for curve in drawn.curves]
  for card in drawn.cards:
    shapes = "".join(_element(shape) for shape in card.shapes)
    parts.append(f"<g><title>{_safe(card.title)}</title>{shapes}</g>")
  return "".join([*parts, "</svg>"])


def save_picture(
  path: str | os.PathLike[str],
  hierarchy: Hierarchy,
  *,
  dpi: int = 144,
  **options: Any,
) -> Path:
  """Writes a tree as `.svg` or `.png`, by the path's ending.

  Args:
    path: where to.
    hierarchy: over `K` classes.
    dpi: of a PNG; 96 shows a pixel of the drawing as one.
    **options: as of `tree_svg`.

  Returns:
    The path.

  Raises:
    ValueError: another ending, or what `tree_svg` raises.
    OSError: it cannot be written; what was there stays.
  """
  path = Path(path)
  if path.suffix == ".svg":
    files.write_atomically(path, tree_svg(hierarchy, **options))
  elif path.suffix == ".png":
    files.write_atomically(path, _png(hierarchy, dpi, **options))
  else:
    raise ValueError(f"path is {str(path)!r}; legal endings: .svg, .png")
  return path


def data_uri(image: np.ndarray, longest: int) -> str:
  """An image `u8[H, W, 3]` as a PNG in an address, made smaller if needed."""
  picture = Image.fromarray(np.ascontiguousarray(image))
  if max(picture.size) > longest:
    picture.thumbnail((longest, longest))
  buffer = io.BytesIO()
  picture.save(buffer, "PNG")
  text = base64.b64encode(buffer.getvalue()).decode()
  return f"data:image/png;base64,{text}"


def _safe(text: str) -> str:
  # What XML does not allow is among what is shown escaped.
  return html.escape(names.escaped(text), quote=True)


def _element(shape: sketching.Shape) -> str:
  if isinstance(shape, sketching.Box):
    return (
      f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
      f'height="{shape.height:.1f}" rx="{shape.radius:g}" fill="{shape.fill}" '
      f'stroke="{shape.stroke}" stroke-width="{shape.thickness:g}"/>'
    )
  if isinstance(shape, sketching.Link):
    middle = (shape.x + shape.to_x) / 2
    return (
      f'<path d="M{shape.x:.1f} {shape.y:.1f}C{middle:.1f} {shape.y:.1f} '
      f'{middle:.1f} {shape.to_y:.1f} {shape.to_x:.1f} {shape.to_y:.1f}" '
      f'fill="none" stroke="{shape.colour}" '
      f'stroke-width="{shape.thickness:.2f}"/>'
    )
  if isinstance(shape, sketching.Words):
    weight = ' font-weight="600"' if shape.bold else ""
    return (
      f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" '
      f'fill="{shape.colour}" text-anchor="{shape.anchor}"{weight}>'
      f"{_safe(shape.text)}</text>"
    )
  return (
    f'<image x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.side:g}" '
    f'height="{shape.side:g}" style="image-rendering:pixelated" '
    f'href="{data_uri(shape.pixels, 64)}"/>'
  )


def _png(
  hierarchy: Hierarchy,
  dpi: int,
  class_names: Sequence[str] | None = None,
  node_notes: Sequence[str] | None = None,
  logits: np.ndarray | None = None,
  leaf_images: Sequence[np.ndarray | None] | None = None,
  rows: int = _ROWS,
  **_: Any,
) -> bytes:
  """The same shapes by matplotlib, which takes its time to import."""
  import matplotlib
  from matplotlib.figure import Figure

  drawn = sketching.sketch(
    hierarchy, class_names, node_notes, logits, leaf_images, rows
  )
  with matplotlib.rc_context(
    {"font.family": "DejaVu Sans", "text.parse_math": False}
  ):
    figure = Figure(figsize=(drawn.width / 96, drawn.height / 96))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, drawn.width), ylim=(drawn.height, 0))
    axes.set_axis_off()
    shapes = [*drawn.curves, *(s for card in drawn.cards for s in card.shapes)]
    for order, shape in enumerate(shapes):
      _put(axes, shape, order)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, metadata={"Software": None})
  return buffer.getvalue()


def _put(axes: Any, shape: sketching.Shape, order: int) -> None:
  """Adds a shape to axes whose unit is a pixel of 96 per inch."""
  from matplotlib.patches import FancyBboxPatch, PathPatch
  from matplotlib.path import Path as Outline

  points = 72 / 96
  if isinstance(shape, sketching.Box):
    radius = min(shape.radius, shape.width / 2)
    axes.add_patch(
      FancyBboxPatch(
        (shape.x, shape.y),
        shape.width,
        shape.height,
        boxstyle=f"round,pad=0,rounding_size={radius}",
        facecolor=shape.fill,
        edgecolor=shape.stroke,
        linewidth=shape.thickness * points,
        zorder=order,
      )
    )
  elif isinstance(shape, sketching.Link):
    middle = (shape.x + shape.to_x) / 2
    corners = [
      *((shape.x, shape.y), (middle, shape.y)),
      *((middle, shape.to_y), (shape.to_x, shape.to_y)),
    ]
    codes = [Outline.MOVETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4]
    axes.add_patch(
      PathPatch(
        Outline(corners, codes),
        fill=False,
        edgecolor=shape.colour,
        linewidth=shape.thickness * points,
        zorder=order,
      )
    )
  elif isinstance(shape, sketching.Words):
    axes.text(
      shape.x,
      shape.y,
      shape.text,
      fontsize=0.92 * shape.size * points,  # DejaVu is wide.
      color=shape.colour,
      ha={"start": "left", "end": "right"}[shape.anchor],
      va="baseline",
      weight="bold" if shape.bold else "normal",
      zorder=order,
    )
  else:
    axes.imshow(
      shape.pixels,
      extent=(shape.x, shape.x + shape.side, shape.y + shape.side, shape.y),
      interpolation="nearest",
      zorder=order,
      aspect="auto",
    )
