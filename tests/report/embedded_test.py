"""Drawings of trees: our own come through, nothing that could act does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fbnax import nbdt
from fbnax.report import embedded
from fbnax.report.trees import read_drawing

XMLNS = 'xmlns="http://www.w3.org/2000/svg"'
OWN = f'<svg {XMLNS} id="t"><g><title>a</title><text x="1">a</text></g></svg>'
NAMES = [
  "size one = 1",
  "javascript: the good parts",
  "onload=alert(1)",
  "<script>",
  "&#x6a;avascript:",
  "]]>",
  "<![CDATA[",
  "-->",
  "<?php ?>",
  "<!DOCTYPE svg>",
  "]>&a;",
  '" onclick="x',
  "url(http://a.invalid)",
  "@import 'a'",
  "\ud800\x00\x1b[2J\u202egnp.exe\ufffe\uffff",
  "日本語, Éclair",
  "a\nb\tc\u2028d",
]


def drawn(names, **options):
  classes = len(names)
  tree = nbdt.Hierarchy.from_children([list(range(classes))])
  return nbdt.tree_svg(tree, class_names=names, **options)


def test_own_drawings_of_any_names_come_through_unchanged(tmp_path):
  image = np.zeros((3, 5, 3), np.uint8)
  svg = drawn(
    NAMES,
    node_notes=[*NAMES[::-1], "onload=1"],
    logits=np.arange(len(NAMES), dtype=np.float32),
    leaf_images=[image] * len(NAMES),
    name='my "run" <1>',
    label="]]> of javascript:",
  )
  (tmp_path / "tree.svg").write_text(svg, "utf-8")
  assert read_drawing(tmp_path, "tree.svg") == svg
  assert r"\u202egnp.exe" in svg and "\u202e" not in svg
  # As a file of its own, and from an editor of Windows.
  declared = '\ufeff<?xml version="1.0" encoding="utf-16"?>\r\n' + svg + "\r\n"
  (tmp_path / "tree.svg").write_text(declared, "utf-8")
  assert read_drawing(tmp_path, "tree.svg") == svg


@settings(max_examples=30, deadline=None)
@given(
  names=st.lists(st.text(max_size=30), min_size=2, max_size=5, unique=True),
  label=st.text(max_size=30),
)
def test_own_drawings_of_random_names_come_through(names, label):
  svg = drawn(names, name=label, label=label)
  assert embedded.drawing(svg, "tree.svg") == svg


PNG = "data:image/png;base64,AAAA"
# Each in a drawing that is legal without it.
INSIDE = [
  "<script>alert(1)</script>",
  "<SCRIPT>alert(1)</SCRIPT>",
  "<style>*{background:url(http://a.invalid)}</style>",
  "<foreignObject><p>x</p></foreignObject>",
  '<a href="https://a.invalid"><text>x</text></a>',
  '<a href="java&#115;cript:alert(1)"><text>x</text></a>',
  '<use href="https://a.invalid/x.svg#y"/>',
  '<animate attributeName="href" to="javascript:alert(1)"/>',
  '<set attributeName="href" to="https://a.invalid"/>',
  '<meta http-equiv="refresh" content="0;url=https://a.invalid"/>',
  '<iframe src="https://a.invalid"/>',
  '<form action="https://a.invalid"/>',
  '<base href="https://a.invalid"/>',
  '<object data="https://a.invalid"/>',
  '<embed src="https://a.invalid"/>',
  '<image href="https://a.invalid/x.png"/>',
  '<image href="//a.invalid/x.png"/>',
  '<image href="data:image/svg+xml;base64,AAAA"/>',
  '<image href="data:text/html,x"/>',
  f'<image href="{PNG}" onload="x"/>',
  f'<image HREF="{PNG}"/>',
  '<image xmlns:x="http://www.w3.org/1999/xlink" x:href="https://a.invalid"/>',
  f'<x:image xmlns:x="http://www.w3.org/2000/svg" href="{PNG}"/>',
  '<image xmlns="http://www.w3.org/1999/xhtml" href="x"/>',
  '<text onclick="x">x</text>',
  '<text fill="url(https://a.invalid)">x</text>',
  '<rect style="background:url(https://a.invalid)"/>',
  '<text font-size="1;x">x</text>',
  "<text><tspan>x</tspan></text>",
  "<title><b>x</b></title>",
  "<g><g/></g>",
  "<![CDATA[<script>x</script>]]>",
  "<!-- x -->",
  "<?xml-stylesheet href='https://a.invalid'?>",
  "words",
]
WHOLE = [
  "",
  "<p>x</p>",
  "<svg/onload=alert(1)></svg>",
  f'<svg {XMLNS} onload="alert(1)"/>',
  f'<svg {XMLNS} style="background:url(https://a.invalid)"/>',
  '<svg xmlns="http://www.w3.org/1999/xhtml"/>',
  f"<SVG {XMLNS}/>",
  f"{OWN}<meta/>",
  f"{OWN}words",
  f"<!DOCTYPE svg>{OWN}",
  '<!DOCTYPE s [<!ENTITY a "b">]><svg><title>&a;</title></svg>',
  "<svg><title>&nbsp;</title></svg>",
  "<svg>" + "<g>" * 100_000,
]


@pytest.mark.parametrize(
  "document",
  [*WHOLE, *(OWN.replace("</svg>", f"{part}</svg>") for part in INSIDE)],
)
def test_what_no_drawing_of_a_tree_has_is_refused(document):
  assert embedded.drawing(OWN, "a.svg") == OWN
  with pytest.raises(
    ValueError, match=r"^a\.svg is no drawing of a tree: "
  ) as e:
    embedded.drawing(document, "a.svg")
  assert "\n" not in str(e.value) and len(str(e.value)) < 300


def test_what_is_refused_is_named():
  for part, words in (
    ("<script/>", "element <script> in <svg>; legal: g, image, path, rect,"),
    ('<text onclick="x"/>', "attribute onclick of <text>; legal: fill, font-"),
    (
      '<image href="x"/>',
      "href of <image> is 'x'; legal: a PNG or JPEG in the",
    ),
    ('<rect fill="x"/>', "fill of <rect> is 'x'; legal: none, or a colour"),
  ):
    with pytest.raises(ValueError, match=words):
      embedded.drawing(OWN.replace("</svg>", f"{part}</svg>"), "a.svg")


def test_a_bomb_of_entities_is_refused_unread():
  levels = "".join(
    f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 20)
  )
  bomb = (
    f'<!DOCTYPE s [<!ENTITY a0 "x">{levels}]><svg><title>&a19;</title></svg>'
  )
  with pytest.raises(ValueError, match="it has a document type"):
    embedded.drawing(bomb, "a.svg")
