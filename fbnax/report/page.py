"""The page that holds the sections: markup, table of contents, looks."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Sequence

from fbnax.report.chart import FONTS, INK, MUTED
from fbnax.report.markup import escape


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page: its anchor, its title as text, its HTML."""

  name: str
  title: str
  content: str


def shown(*parts: tuple[str, str, str]) -> list[Section]:
  """The sections of a page: all that have something to show, and the first.

  Args:
    *parts: anchor, title as text and HTML of each, in order.
  """
  first, *rest = (Section(*part) for part in parts)
  return [first, *(section for section in rest if section.content)]


# Said to the browser, so that a report that is opened stays on its machine.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
# And where there are pictures, which are part of the page too.
_PICTURES = "; img-src data:"

_STYLE = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{
  margin: 0; background: #fff; color: {INK};
  font: 16px/1.55 {FONTS};
}}
main, header, nav, footer {{
  max-width: 1128px; margin: 0 auto; padding: 0 24px;
}}
header {{ padding-top: 40px; }}
.kind {{ color: {MUTED}; margin: 0; }}
h1 {{ font-size: 2rem; line-height: 1.2; margin: 0.1em 0 0.6em; }}
h2 {{ font-size: 1.35rem; margin: 0 0 0.5em; }}
h3 {{ font-size: 1.02rem; margin: 1.4em 0 0.2em; }}
p {{ max-width: 76ch; }}
section {{ border-top: 1px solid #e3e7ee; padding: 26px 0 12px; }}
nav ol {{
  columns: 3 200px; padding: 14px 18px 14px 38px; margin: 8px 0 28px;
  background: #f5f7fa; border-radius: 8px;
}}
nav li {{ color: {MUTED}; }}
a {{ color: #005a91; }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 18px; }}
.tile {{
  background: #f5f7fa; border-radius: 8px; padding: 12px 18px; min-width: 150px;
}}
.tile b {{ display: block; font-size: 1.6rem; line-height: 1.25; }}
.tile span, .muted, .note, figcaption {{ color: {MUTED}; }}
.tile span, .muted, .note {{ font-size: 0.88rem; }}
.facts {{
  display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px;
  margin: 0 0 20px;
}}
.facts dt {{ color: {MUTED}; }}
.facts dd {{ margin: 0; max-width: 86ch; overflow-wrap: anywhere; }}
.scroll {{ overflow-x: auto; }}
table {{
  border-collapse: collapse; font-size: 0.9rem; margin: 6px 0 12px;
  font-variant-numeric: tabular-nums;
}}
th, td {{
  padding: 6px 12px; text-align: right; border-bottom: 1px solid #e3e7ee;
  vertical-align: top;
}}
th:first-child, .text td, .text th {{ text-align: left; }}
thead th {{ color: {MUTED}; font-weight: 500; vertical-align: bottom; }}
tbody th {{ font-weight: 600; }}
.family td, .family tbody th, .whole {{ white-space: nowrap; }}
.under {{ display: block; font-size: 0.82rem; color: {MUTED}; }}
.family tbody strong {{ color: #005a91; font-size: 1.05rem; }}
.recipes td:last-child {{ color: {MUTED}; white-space: nowrap; }}
.recipes td {{ min-width: 110px; }}
.recipes tbody th {{ white-space: nowrap; }}
.meter {{
  display: inline-block; width: 46px; height: 8px; border-radius: 4px;
  background: #dfe3ea; overflow: hidden; vertical-align: 1px;
}}
.meter i {{ display: block; height: 100%; background: #0072b2; }}
.meter.over i {{ background: #d55e00; }}
.range {{
  display: block; position: relative; height: 4px; border-radius: 2px;
  background: #dfe3ea; margin: 5px 5px 4px auto; width: 90px;
}}
.range i {{
  position: absolute; top: -3px; width: 10px; height: 10px; margin-left: -5px;
  border-radius: 50%; background: #0072b2;
}}
figure {{ margin: 10px 0 18px; }}
figcaption {{ font-size: 0.92rem; max-width: 86ch; margin-top: 4px; }}
svg.chart {{ display: block; width: 100%; height: auto; }}
.legend {{ font-size: 0.88rem; max-width: none; margin: 4px 0; }}
.key {{ display: inline-block; margin-right: 18px; white-space: nowrap; }}
.key svg {{ vertical-align: -2px; margin-right: 6px; overflow: visible; }}
.images {{ display: flex; flex-wrap: wrap; gap: 14px; margin: 8px 0 16px; }}
.images figure {{ margin: 0; width: 132px; }}
.images img {{
  width: 96px; height: 96px; object-fit: contain; image-rendering: pixelated;
  background: #f5f7fa; border-radius: 6px;
}}
.images.small figure {{ width: 76px; }}
.images.small img {{ width: 64px; height: 64px; }}
.images figcaption {{ font-size: 0.8rem; line-height: 1.35; }}
.wrong {{ color: #b34700; }}
.tree svg {{ max-width: 100%; height: auto; }}
details {{ margin: 8px 0; }}
summary {{ cursor: pointer; color: #005a91; }}
pre {{
  background: #f5f7fa; border-radius: 8px; padding: 12px 16px;
  overflow-x: auto; font-size: 0.82rem; line-height: 1.45;
}}
code {{ font-size: 0.92em; overflow-wrap: anywhere; }}
footer {{ color: {MUTED}; font-size: 0.85rem; padding-bottom: 40px; }}
@media (max-width: 760px) {{
  svg.chart {{ min-width: 640px; }}
  .facts {{ grid-template-columns: minmax(0, 1fr); gap: 0; }}
  .whole {{ white-space: normal; }}
  .facts dd {{ margin-bottom: 8px; }}
}}
@media print {{
  body {{ font-size: 10.5pt; }}
  nav {{ display: none; }}
  figure, tr, .tiles {{ break-inside: avoid; }}
  h2, h3 {{ break-after: avoid; }}
  .scroll {{ overflow: visible; }}
  table {{ font-size: 7.5pt; }}
  th, td {{ padding: 3px 5px; }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""


def page(
  title: str,
  kind: str,
  sections: Sequence[Section],
  footer: str,
  *,
  script: str = "",
  style: str = "",
) -> str:
  """The whole document.

  Args:
    title: the title, as text.
    kind: the line above it, as text.
    sections: what stands in it, in order; the first has no heading.
    footer: the last line, as text.
    script: the one that the page may run, which its policy names by its digest;
      none is run without.
    style: what it needs beside the style of all pages.
  """
  first, *rest = sections
  contents = "".join(
    f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in rest
  )
  nav = f'<nav aria-label="Contents"><ol>{contents}</ol></nav>' if rest else ""
  body = "\n".join(
    f'<section id="{s.name}" aria-labelledby="{s.name}-title">'
    f'<h2 id="{s.name}-title">{escape(s.title)}</h2>{s.content}</section>'
    for s in rest
  )
  pictured = '="data:' in first.content + body  # src of HTML, href of SVG.
  policy = _POLICY + (_PICTURES if pictured else "")
  runs = ""
  if script:
    digest = hashlib.sha256(script.encode()).digest()
    policy += f"; script-src 'sha256-{base64.b64encode(digest).decode()}'"
    runs = f"<script>{script}</script>\n"
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
<header><p class="kind">{escape(kind)}</p><h1>{escape(title)}</h1>
<div id="{first.name}">{first.content}</div></header>
{nav}
<main>
{body}
</main>
<footer><p>{escape(footer)}</p></footer>
{runs}</body>
</html>
"""
