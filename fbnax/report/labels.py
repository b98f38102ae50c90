"""Names beside the points of a chart, placed where they cover least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fbnax.report import chart

# Where a label may go: offset in points from its point, and how it is aligned.
_PLACES = (
  (11, 0, "left", "center"),
  (-11, 0, "right", "center"),
  (0, 11, "center", "bottom"),
  (0, -11, "center", "top"),
  (9, 9, "left", "bottom"),
  (-9, 9, "right", "bottom"),
  (9, -9, "left", "top"),
  (-9, -9, "right", "top"),
  *(
    (dx, sign * distance, "center", "bottom" if sign > 0 else "top")
    for distance in (27, 43, 59, 75, 91, 107, 123)
    for sign in (1, -1)
    for dx in (0, 60, -60)
  ),
)
_LINE = {"arrowstyle": "-", "color": chart.MUTED, "linewidth": 0.8}


def place(
  axes: Any,
  x: Sequence[float],
  y: Sequence[float],
  names: Sequence[str],
  others: Sequence[tuple[float, float]] = (),
) -> None:
  """Writes each name beside its point, at the place where it covers least.

  Limits and scales of the axes must be final.

  Args:
    axes: where the points are drawn already.
    x: the points that get a name, in data coordinates.
    y: the same.
    names: their names.
    others: points without a name, which are better not covered.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.text import Text
  from matplotlib.transforms import Bbox

  canvas = FigureCanvasAgg(axes.figure)  # Saving puts another in its place.
  canvas.draw()
  renderer = canvas.get_renderer()

  def boxes(points: Sequence[tuple[float, float]], radius: float) -> list[Any]:
    centres = axes.transData.transform(points) if points else []
    return [
      Bbox.from_extents(a - radius, b - radius, a + radius, b + radius)
      for a, b in centres
    ]

  named = boxes(list(zip(x, y, strict=True)), 9)
  dots = boxes(list(others), 3)
  written: list[Any] = []
  inside = axes.get_window_extent(renderer)

  def cost(box: Any, own: int) -> int:
    out = not (
      inside.x0 <= box.x0
      and box.x1 <= inside.x1
      and inside.y0 <= box.y0
      and box.y1 <= inside.y1
    )
    marks = [b for j, b in enumerate(named) if j != own]
    return (
      1000 * out
      + 300 * sum(box.overlaps(b) for b in written)
      + 100 * sum(box.overlaps(b) for b in marks)
      + sum(box.overlaps(b) for b in dots)
    )

  for i in sorted(range(len(names)), key=lambda i: (x[i], y[i])):
    tried = []
    for rank, (dx, dy, horizontal, vertical) in enumerate(_PLACES):
      note = axes.annotate(
        names[i],
        (x[i], y[i]),
        (dx, dy),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=9.5,
        fontweight="bold",
        color=chart.INK,
        # A line leads to a name that stands apart from its point.
        arrowprops=_LINE if abs(dy) > 20 else None,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
        zorder=6,
      )
      note.update_positions(renderer)
      box = Text.get_window_extent(note, renderer)  # Without its line.
      # A near place is worth a few covered dots.
      tried.append((cost(box, i) + 0.4 * rank, rank, note, box.padded(2)))
    _, best, _, taken = min(tried, key=lambda item: item[:2])
    written.append(taken)
    for _, rank, note, _ in tried:
      if rank != best:
        note.remove()
