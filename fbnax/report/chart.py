"""Charts: matplotlib figures as SVG elements that can stand in one page.

Text stays text in the page's fonts, ids carry the chart's name so that two
charts never collide, and equal figures give equal bytes. matplotlib is
imported where it is used, since it is slow to start.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from fbnax.base import names
from fbnax.report.markup import escape, unit

FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#222a35"
MUTED = "#5c6675"
GRID = "#e3e7ee"
ACCENT = "#d55e00"
# Okabe and Ito's colours, which the colour-blind can tell apart; yellow is
# left out, as it is too light on white.
COLOURS = (
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#e69f00",
  "#222a35",
)
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))

_STYLE: dict[str, Any] = {
  "svg.fonttype": "none",
  "text.parse_math": False,  # A name may contain a dollar sign.
  "font.family": "DejaVu Sans",  # Wide, so the page's fonts fit its boxes.
  "font.size": 10,
  "text.color": INK,
  "axes.labelcolor": INK,
  "axes.edgecolor": "#9aa3b0",
  "axes.titlesize": 10.5,
  "axes.titlelocation": "left",
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.grid": True,
  "axes.axisbelow": True,
  "grid.color": GRID,
  "grid.linewidth": 0.8,
  "xtick.color": MUTED,
  "ytick.color": MUTED,
  "legend.frameon": False,
  "legend.fontsize": 9.5,
  "lines.linewidth": 1.8,
}


@contextlib.contextmanager
def style(name: str) -> Iterator[None]:
  """The look of all charts, for the time a chart is made and saved."""
  import matplotlib

  # As Any: matplotlib's stubs list every key as a literal type.
  settings: Any = {**_STYLE, "svg.hashsalt": f"fbnax-{name}"}
  with warnings.catch_warnings():
    # The browser's fonts draw the text, not the one that measures it here.
    warnings.filterwarnings("ignore", message="Glyph .* missing")
    with matplotlib.rc_context(settings):
      yield


def new(width: float, height: float) -> Any:
  """An empty figure of that size in inches; call it within `style`."""
  from matplotlib.figure import Figure

  return Figure(figsize=(width, height), layout="compressed")


def svg(figure: Any, name: str, label: str) -> str:
  """The figure as one `<svg>` element; call it within `style`.

  Args:
    figure: a matplotlib figure.
    name: the element's id, and the prefix of all ids in it.
    label: what the chart shows, for those who cannot see it.
  """
  buffer = io.StringIO()
  figure.savefig(
    buffer, format="svg", metadata={"Date": None}, transparent=True
  )
  text = buffer.getvalue()
  text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
  text = re.sub(r'\bid="', f'id="{name}-', text)
  text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
  # matplotlib's style sheet would apply to the whole page.
  text = text.replace('<style type="text/css">*{', f"<style>#{name} *{{")
  text = re.sub(r"'DejaVu Sans'[^;\"<]*", FONTS, text)
  view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
  assert view is not None  # matplotlib always writes one.
  body = names.escaped_lines(text[text.index(">", view.end()) + 1 :])
  width, height = float(view[1]), float(view[2])
  shown = width * 4 / 3  # Points to pixels.
  return opening(name, label, width, height, shown) + body.strip()


def opening(
  name: str, label: str, width: float, height: float, shown: float
) -> str:
  """The opening tag of an accessible drawing `shown` pixels wide at most."""
  return (
    f'<svg id="{name}" class="chart" role="img" aria-label="{escape(label)}" '
    f'viewBox="0 0 {width:g} {height:g}" '
    f'style="max-width:{shown:.0f}px">'
    f"<title>{escape(label)}</title>"
  )


def round_colours(rounds: Sequence[int]) -> dict[int, Any]:
  """A colour for each round, from early and light to late and dark."""
  import matplotlib
  from matplotlib.colors import to_hex

  colours = matplotlib.colormaps["viridis"]
  last = max(len(rounds) - 1, 1)
  return {
    r: to_hex(colours(0.78 - 0.70 * i / last)) for i, r in enumerate(rounds)
  }


def count_axis(axis: Any, values: Sequence[float], noun: str) -> float:
  """Labels an axis of counts, logarithmic where they span much.

  Args:
    axis: `axes.xaxis` or `axes.yaxis`.
    values: the counts that will be drawn, not empty.
    noun: what is counted.

  Returns:
    What to divide the counts by before drawing them.
  """
  from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

  divisor, name = unit(values)
  words = {"G": "billion ", "M": "million ", "k": "thousand ", "": ""}[name]
  if min(values) > 0 and max(values) > 5 * min(values):
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    wide = max(values) > 500 * min(values)
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())
  axis.set_label_text(words + noun)
  return divisor


def percent_axis(axis: Any, label: str) -> None:
  """Labels an axis of accuracies, which are drawn as fractions."""
  from matplotlib.ticker import FuncFormatter, MaxNLocator

  def text(value: float, _: int) -> str:
    # Room above 100% is for names, not for accuracies.
    return f"{round(100 * value, 6):g}%" if value < 1 + 1e-9 else ""

  axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
  axis.set_major_formatter(FuncFormatter(text))
  axis.set_label_text(label)


def beside(axes: Any, y: float, words: str, gap: float = 12) -> None:
  """Writes at the right end of a row, `gap` points beside the axes."""
  axes.annotate(
    words,
    (1.0, y),
    (gap, 0),
    xycoords=axes.get_yaxis_transform(),
    textcoords="offset points",
    va="center",
    fontsize=9.5,
    annotation_clip=False,
  )


def rows_axis(axes: Any, names: Sequence[str]) -> None:
  """A row for each name, from top to bottom."""
  axes.set_ylim(len(names) - 0.45, -0.55)
  axes.set_yticks(range(len(names)), names)
  axes.tick_params(axis="y", length=0, labelcolor=INK)
  axes.grid(axis="y", visible=False)


def matrix_axes(axes: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
  """Names above the columns and beside the rows of a matrix, without lines."""
  axes.set_xticks(range(len(columns)), columns)
  axes.set_yticks(range(len(rows)), rows)
  axes.tick_params(
    length=0,
    labelcolor=INK,
    bottom=False,
    labelbottom=False,
    labeltop=True,
  )
  axes.grid(visible=False)
  axes.spines[["left", "bottom"]].set_visible(False)


def floor(values: Sequence[float]) -> float:
  """Where an axis of accuracies may begin so that most points can be told.

  A few candidates that did not learn would squeeze all others into a line, so
  values far under the bulk are left below the axis; callers mark them there.
  """
  import numpy as np

  if not len(values):
    return 0.0
  low, high = np.quantile(values, [0.25, 0.75])
  bound = float(low - 2.0 * (high - low) - 0.01)
  return max(bound, float(min(values)))
