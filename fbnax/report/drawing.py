"""A network drawn block by block, as one SVG element.

From left to right the stem, the blocks and the head. A bar's colour is the
kernel, its height the expansion, its width follows the output channels. A dot
on top is squeeze-excite, an arc over a bar its residual connection, a triangle
a stride; a line with the stage's name is where a stage begins, and under it
stand the pixels its first block puts out. Hovering a bar tells the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from fbnax.report.chart import FONTS, GRID, INK, MUTED, opening
from fbnax.report.markup import escape
from fbnax.report.shapes import Step, steps
from fbnax.spaces import Architecture
from fbnax.spaces.architecture import out_size
from fbnax.spaces.kinds import KINDS, BlockKind

KERNEL_COLOURS = {
  1: "#b8c0cc",
  3: "#56b4e9",
  5: "#e69f00",
  7: "#cc79a7",
  9: "#009e73",
}
OTHER_KERNEL = "#8c7853"
END_COLOUR = "#dfe3ea"
_TOP, _HEIGHT, _BOTTOM = 62.0, 120.0, 58.0
_LEFT, _GAP, _END, _MARGIN = 52.0, 3.0, 46.0, 14.0
_NARROW, _WIDE, _ROW = 20.0, 84.0, 1060.0
_FEW = 20  # Up to so many blocks there is room for wider bars, larger words.


def draw(architecture: Architecture, name: str, label: str) -> str:
  """The drawing of a network.

  Args:
    architecture: the network.
    name: the id of the element, unique in the page.
    label: what it shows, for those who cannot see it.

  Returns:
    An `<svg>` element.
  """
  blocks = steps(architecture)
  places = _places(blocks)
  tallest = max(
    [p.block.expansion for p in blocks if not KINDS[p.block.op].passes],
    default=1.0,
  )
  top = max(2.0, tallest)
  base = _TOP + _HEIGHT
  end_x = sum(places[-1]) + _MARGIN if places else _LEFT + _END + _MARGIN
  width = end_x + _END + 10
  lines = [opening(name, label, width, base + _BOTTOM, width)]
  size = 11 if len(blocks) <= _FEW else 9.5
  lines.append(f'<g font-family="{escape(FONTS)}" font-size="{size}">')

  lines += _scale(top, base, width)
  stem, head = architecture.stem, architecture.head
  stem_size = out_size(architecture.resolution, stem.kernel, stem.stride, None)
  lines += _end(
    _LEFT,
    base,
    ("stem", f"{stem.kernel}×{stem.kernel}", str(stem.channels)),
    f"stem: convolution {stem.kernel}×{stem.kernel}, stride {stem.stride}, "
    f"{architecture.input_channels} to {stem.channels} channels, "
    f"{architecture.resolution} to {stem_size} px, {stem.activation}",
  )
  lines.append(
    _text(_LEFT, _TOP - 24, f"{architecture.resolution} px in", MUTED, "start")
  )
  before: int | None = None
  width_before: int | None = None
  for item, (x, bar) in zip(blocks, places, strict=True):
    if item.block.stage != before:
      lines += _boundary(item, x, base)
    lines += _bar(item, x, bar, top, base)
    # Repeated widths are not repeated in writing.
    if item.block.channels != width_before:
      lines.append(_text(x + bar / 2, base + 13, str(item.block.channels)))
    before, width_before = item.block.stage, item.block.channels
  lines += _end(
    end_x,
    base,
    ("head", "pool", str(head.channels)),
    "head: "
    + ("1×1 convolution, " if head.expand else "")
    + ("" if head.kernel == 1 else f"depthwise {head.kernel}×{head.kernel}, ")
    + f"average pool, {head.channels} channels, {head.activation}, "
    "classifier",
  )
  lines.append("</g></svg>")
  return "".join(lines)


def _places(blocks: list[Step]) -> list[tuple[float, float]]:
  """Left side and width of each bar; a row is wider only for many bars."""
  largest = max((p.block.channels for p in blocks), default=1)
  shares = [p.block.channels / largest for p in blocks]
  narrow = _NARROW + 6 * (len(blocks) <= _FEW)
  free = _ROW - _LEFT - 2 * (_END + _MARGIN) - len(blocks) * (narrow + _GAP)
  stretch = max(0.0, min(_WIDE - narrow, free / max(sum(shares), 1.0)))
  x = _LEFT + _END + _MARGIN
  places = []
  for share in shares:
    places.append((x, narrow + stretch * share))
    x += places[-1][1] + _GAP
  return places


def _text(
  x: float, y: float, text: str, colour: str = INK, anchor: str = "middle"
) -> str:
  return (
    f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" '
    f'text-anchor="{anchor}">{escape(text)}</text>'
  )


def _scale(top: float, base: float, width: float) -> list[str]:
  """Lines at whole expansions, and what is written under the bars."""
  step = 1 if top <= 4 else 2
  lines = []
  for value in [1, *range(2, int(top) + 1, step)]:
    y = base - _HEIGHT * value / top
    lines.append(
      f'<line x1="{_LEFT - 6:g}" x2="{width:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
      f'stroke="{GRID}"/>'
    )
    lines.append(_text(_LEFT - 9, y + 3.5, f"×{value}", MUTED, "end"))
  lines.append(
    f'<line x1="{_LEFT - 6:g}" x2="{width:.1f}" y1="{base:.1f}" '
    f'y2="{base:.1f}" stroke="#9aa3b0"/>'
  )
  lines.append(_text(_LEFT - 6, base + 13, "width", MUTED, "end"))
  lines.append(_text(_LEFT - 6, base + 31, "stage", MUTED, "end"))
  lines.append(_text(_LEFT - 6, base + 45, "pixels", MUTED, "end"))
  return lines


def _end(
  x: float, base: float, words: tuple[str, str, str], title: str
) -> list[str]:
  """The stem or the head: a grey box, since it has no expansion to show."""
  height = 0.5 * _HEIGHT
  return [
    f"<g><title>{escape(title)}</title>"
    f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{_END:g}" '
    f'height="{height:g}" rx="3" fill="{END_COLOUR}"/>',
    _text(x + _END / 2, base - height / 2, words[0]),
    _text(x + _END / 2, base - height / 2 + 13, words[1], MUTED),
    _text(x + _END / 2, base + 13, words[2]),
    "</g>",
  ]


def _boundary(item: Step, left: float, base: float) -> list[str]:
  """Where a stage begins, its number and the pixels it works on."""
  x = left - _GAP / 2
  return [
    f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14:g}" '
    f'y2="{base + 50:.1f}" stroke="#9aa3b0" stroke-dasharray="2 3"/>',
    _text(x + 4, base + 31, str(item.block.stage), MUTED, "start"),
    _text(x + 4, base + 45, str(item.size_out), MUTED, "start"),
  ]


def _bar(
  item: Step, x: float, width: float, top: float, base: float
) -> list[str]:
  """One block: bar, kernel, stride, squeeze-excite and residual."""
  block = item.block
  kind = KINDS[block.op]
  middle = x + width / 2
  lines = [f"<g><title>{escape(item.words)}</title>"]
  if kind.passes:
    lines.append(
      f'<rect x="{x + 1:.1f}" y="{base - 8:.1f}" width="{width - 2:.1f}" '
      f'height="7" rx="2" fill="white" stroke="{MUTED}" '
      'stroke-dasharray="3 2"/>'
    )
    high = base - 8
  else:
    height = _HEIGHT * block.expansion / top
    high = base - height
    colour = KERNEL_COLOURS.get(block.kernel, OTHER_KERNEL)
    lines.append(
      f'<rect x="{x:.1f}" y="{high:.1f}" width="{width:.1f}" '
      f'height="{height:.1f}" rx="2" fill="{colour}"{_outlined(kind)}/>'
    )
    if height > 12:
      groups = f" g{block.groups}" if block.groups > 1 else ""
      lines.append(_text(middle, base - 5, f"{block.kernel}{groups}"))
  if item.residual:
    reach = width / 2 - 1
    lines.append(
      f'<path d="M{middle - reach:.1f} {high - 2:.1f}'
      f"C{middle - reach:.1f} {high - 14:.1f} {middle + reach:.1f} "
      f'{high - 14:.1f} {middle + reach:.1f} {high - 2:.1f}" '
      f'fill="none" stroke="{MUTED}" stroke-width="1.3"/>'
    )
  if block.squeeze_excite:
    lines.append(
      f'<circle cx="{middle:.1f}" cy="{high:.1f}" r="4" fill="{INK}" '
      'stroke="white" stroke-width="1.2"/>'
    )
  if block.stride > 1:
    y = _TOP - 30
    lines.append(
      f'<path d="M{middle - 5:.1f} {y:.1f}h10l-5 8z" fill="#d55e00"/>'
    )
    lines.append(_text(middle, y - 4, f"/{block.stride}", "#b04d00"))
  lines.append("</g>")
  return lines


def _outlined(kind: BlockKind) -> str:
  """The attributes that tell a kind of block from others of its shape."""
  return f' stroke="{kind.outline}" stroke-width="2"' if kind.outline else ""


def legend(architectures: Sequence[Architecture]) -> str:
  """What the colours and marks in the drawings of these mean, as HTML."""

  def key(svg: str, words: str) -> str:
    return (
      '<span class="key"><svg viewBox="0 0 18 14" width="18" height="14" '
      f'aria-hidden="true">{svg}</svg>{words}</span>'
    )

  blocks = [b for a in architectures for b in a.blocks]
  kernels = sorted({b.kernel for b in blocks if not KINDS[b.op].passes})
  keys = [
    key(
      f'<rect y="1" width="18" height="12" rx="2" '
      f'fill="{KERNEL_COLOURS.get(kernel, OTHER_KERNEL)}"/>',
      f"kernel {kernel}×{kernel}",
    )
    for kernel in kernels
  ]
  keys += [
    key(
      f'<circle cx="9" cy="7" r="4" fill="{INK}"/>',
      "squeeze-excite",
    ),
    key(
      f'<path d="M1 12C1 0 17 0 17 12" fill="none" stroke="{MUTED}" '
      'stroke-width="1.3"/>',
      "residual",
    ),
    key(
      '<path d="M4 3h10l-5 8z" fill="#d55e00"/>',
      "stride (/2 halves the pixels)",
    ),
    key(
      f'<rect y="1" width="18" height="12" rx="2" fill="{END_COLOUR}"/>',
      "stem and head",
    ),
  ]
  drawn = {b.op for b in blocks}
  for kind in (k for op, k in KINDS.items() if op in drawn and k.legend):
    shape = (
      f'<rect x="1" y="4" width="16" height="7" rx="2" fill="white" '
      f'stroke="{MUTED}" stroke-dasharray="3 2"/>'
      if kind.passes
      else '<rect x="1" y="2" width="16" height="10" rx="2" '
      f'fill="white"{_outlined(kind)}/>'
    )
    keys.append(key(shape, kind.legend))
  if any(b.groups > 1 for b in blocks):
    keys.append('<span class="key">g2: 1×1 convolutions in 2 groups</span>')
  return f'<p class="legend">{"".join(keys)}</p>'
