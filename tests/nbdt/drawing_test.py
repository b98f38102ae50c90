"""Still pictures of trees: places, markup, pixels."""

import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fbnax import nbdt
from fbnax.nbdt import sketch
from tests.nbdt import trees

NAMES = ["cat", "dog", "car", "truck"]
TREE = nbdt.Hierarchy.from_children(
  [[0, 1], [2, 3], [4, 5]], labels=[*NAMES, "animal", "vehicle", "thing"]
)
LOGITS = np.asarray([3.0, 1.0, 0.0, -1.0], np.float32)
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
  root = ElementTree.fromstring(svg)
  return [element.text for element in root.iter(f"{SVG}text")]


@settings(max_examples=40, deadline=None)
@given(
  seed=st.integers(0, 2**16),
  classes=st.integers(2, 60),
  rows=st.integers(1, 70),
)
def test_places(seed, classes, rows):
  random = np.random.default_rng(seed)
  tree = nbdt.Hierarchy.from_children(trees.random_children(random, classes, 5))
  opened = sketch.opened(tree, rows)
  places = sketch.places(tree, opened)
  assert opened[0] == tree.root
  assert all(n == tree.root or int(tree.parents[n]) in opened for n in opened)
  shown = {tree.root} | {
    child for n in opened for child in tree.children[n - classes]
  }
  assert set(places) == shown
  ends = [n for n in shown if n not in opened]
  first = len(tree.children[tree.root - classes])
  assert len(ends) <= max(rows, first)
  # Rows are whole and each once; every class is under one of them.
  assert sorted(places[n].row for n in ends) == list(range(len(ends)))
  assert sorted(c for n in ends for c in tree.leaves(n)) == list(range(classes))
  depths = tree.depths
  assert all(place.column == depths[n] for n, place in places.items())
  for node in opened:
    below = [places[c].row for c in tree.children[node - classes]]
    assert below == sorted(below) and below[0] <= places[node].row <= below[-1]


def test_a_chain_is_no_recursion():
  tree = nbdt.Hierarchy.from_children(trees.chain(3000))
  places = sketch.places(tree, sketch.opened(tree, 3000))
  assert max(place.column for place in places.values()) == 2999


def test_an_svg_shows_the_tree_and_a_path():
  svg = nbdt.tree_svg(TREE, name="t")
  assert sorted(texts(svg)) == sorted(TREE.labels)
  assert svg == nbdt.tree_svg(TREE, name="t") and "script" not in svg
  root = ElementTree.fromstring(svg)
  assert root.get("id") == "t" and root.get("class") == "chart"
  assert len(list(root.iter(f"{SVG}path"))) == 6
  chosen = nbdt.tree_svg(TREE, logits=LOGITS, node_notes=["97% right"] * 7)
  found = texts(chosen)
  steps = np.exp(trees.node_log_probs(LOGITS[None], TREE.children, 4))[0]
  for node in (4, 0, 1):
    assert f"{steps[node]:.0%}" in found
  assert "7.6%" in found  # To two digits where it is small.
  assert len([t for t in found if t and "%" in t]) == 4 + 7
  assert chosen.count('stroke="#0072b2"') == 2 + 3  # Curves and frames.
  # The bar of a child is as long as its probability.
  widths = [
    float(box.get("width"))
    for box in ElementTree.fromstring(chosen).iter(f"{SVG}rect")
    if box.get("fill") == "#d4e6f3"
  ]
  full = max(
    float(box.get("width"))
    for box in ElementTree.fromstring(chosen).iter(f"{SVG}rect")
  )
  wanted = sorted((full - 2) * steps[n] for n in (4, 0))
  np.testing.assert_allclose(sorted(widths), wanted, atol=0.06)


def test_names_are_escaped_and_cut():
  evil = ["</svg><script>x</script>", "a\x00\x0bb", '"&<', "w" * 99]
  svg = nbdt.tree_svg(TREE, class_names=evil, name='"><x', label="<&>\x01")
  assert "<script" not in svg
  root = ElementTree.fromstring(svg)
  titles = [title.text for title in root.iter(f"{SVG}title")]
  assert evil[0] in titles and evil[2] in titles and evil[3] in titles
  assert max(len(t) for t in texts(svg)) < 40


def test_many_classes_are_counted():
  tree = nbdt.random_hierarchy(200, seed=1)
  svg = nbdt.tree_svg(tree, rows=10)
  cards = texts(svg)
  assert len(cards) < 22
  shown = sketch.places(tree, sketch.opened(tree, 10))
  assert len(cards) == len(shown)
  closed = set(shown) - set(sketch.opened(tree, 10)) - set(range(200))
  assert closed
  # A second rectangle behind each node that holds more.
  assert svg.count('fill="#eef1f5"') == len(closed)


def test_pictures_are_saved(tmp_path):
  red = np.zeros((6, 9, 3), np.uint8)
  red[..., 0] = 250
  options = {"logits": LOGITS, "leaf_images": [red, None, None, red[..., 0]]}
  path = nbdt.save_picture(tmp_path / "a.svg", TREE, **options)
  assert len(re.findall("data:image/png", path.read_text())) == 2
  ElementTree.parse(path)
  path = nbdt.save_picture(tmp_path / "a.png", TREE, dpi=96, **options)
  pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
  root = ElementTree.fromstring(nbdt.tree_svg(TREE, **options))
  width, height = map(float, root.get("viewBox").split()[2:])
  assert abs(pixels.shape[1] - width) <= 1
  assert abs(pixels.shape[0] - height) <= 1
  is_red = (pixels[..., 0] > 240) & (pixels[..., 1:].max(-1) < 10)
  assert is_red.sum() > 300
  blue = np.abs(pixels - [0x00, 0x72, 0xB2]).max(-1) < 8
  assert blue.sum() > 300
  again = nbdt.save_picture(tmp_path / "b.png", TREE, dpi=96, **options)
  assert again.read_bytes() == path.read_bytes()
  with pytest.raises(ValueError, match=r"a\.pdf'; legal endings: \.svg, \.png"):
    nbdt.save_picture(tmp_path / "a.pdf", TREE)
  with pytest.raises(ValueError, match="node_notes has 1 entries; legal: 7"):
    nbdt.tree_svg(TREE, node_notes=["x"])
  assert Image.open(io.BytesIO(path.read_bytes())).format == "PNG"
