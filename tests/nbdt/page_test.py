"""The page of a tree: what is in it, and how it behaves in a browser."""

import base64
import hashlib
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from fbnax import nbdt
from tests.browser import needs_chromium, visit
from tests.nbdt import trees

NAMES = ["cat", "dog", "car", "truck"]
TREE = nbdt.Hierarchy.from_children(
  [[0, 1], [2, 3], [4, 5]], labels=[*NAMES, "animal", "vehicle", "thing"]
)
EVIL = [
  "</script><img src=x onerror=console.error('run')>",
  "<b>&amp;\"'`${1}",
  "a\u2028b\0c\ud800d",
  "--><!-- {x} %s",
]
LOGITS = np.asarray(
  [[3.0, 1.0, 0.0, -1.0], [0.0, 0.1, 2.0, 1.5], [2.0, -3.0, 1.0, 1.1]],
  np.float32,
)


def samples(labels=(0, 3, 2)):
  random = np.random.default_rng(0)
  images = random.integers(0, 256, (3, 8, 8, 1), np.uint8)
  return nbdt.Samples(images, LOGITS, labels)


def data_of(page):
  text = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
  return json.loads(text)


def test_what_is_in_a_page():
  images = [np.full((200, 100, 3), 40 * k, np.uint8) for k in range(3)]
  page = nbdt.tree_page(
    TREE,
    title="A & B",
    samples=samples(),
    leaf_images=[*images, None],
    node_accuracy=[None, None, None, None, 0.5, float("nan"), 1.0],
    node_visits=np.arange(7),
  )
  assert "<title>A &amp; B</title>" in page
  data = data_of(page)
  assert data["names"] == list(TREE.labels)
  assert data["accuracy"] == [None] * 4 + [0.5, None, 1.0]
  assert data["visits"] == list(range(7)) and data["open"] == [4, 5, 6]
  assert data["images"][3] is None
  png = base64.b64decode(data["images"][1].partition(",")[2])
  picture = Image.open(io.BytesIO(png))
  assert picture.size == (32, 64) and picture.getpixel((3, 3)) == (40, 40, 40)
  # Against the independent product over paths, and decisions in plain loops.
  steps = np.asarray([s["steps"] for s in data["samples"]])
  wanted = np.exp(trees.node_log_probs(LOGITS, TREE.children, 4))
  np.testing.assert_allclose(steps, wanted, rtol=1e-5)
  paths = trees.path_log_probs(LOGITS, TREE.children, 4)
  assert [s["soft"] for s in data["samples"]] == paths.argmax(1).tolist()
  hard = trees.hard_predictions(LOGITS, TREE.children, 4)
  assert [s["hard"] for s in data["samples"]] == hard.tolist()
  assert [s["plain"] for s in data["samples"]] == [0, 2, 0]
  assert [s["label"] for s in data["samples"]] == [0, 3, 2]


def test_equal_arguments_give_equal_pages():
  made = [nbdt.tree_page(TREE, title="x", samples=samples()) for _ in range(2)]
  assert made[0] == made[1]


def test_only_its_own_script_may_run():
  page = nbdt.tree_page(TREE, title="x")
  policy = html.unescape(re.search(r'Policy" content="([^"]*)"', page)[1])
  script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
  assert len(script) == 1
  digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest())
  assert f"script-src 'sha256-{digest.decode()}'" in policy
  assert "default-src 'none'" in policy and "http" not in policy
  addresses = set(re.findall(r"https?://[^\s\"']+", page))
  assert addresses == {"http://www.w3.org/2000/svg"}  # A name, not asked for.


def test_names_are_no_markup():
  page = nbdt.tree_page(TREE, title=EVIL[0], class_names=EVIL)
  assert "<img" not in page and "<!--" not in page.replace("<!-- {x}", "<!--")
  shown = [*EVIL[:2], r"a\u2028b\x00c\ud800d", EVIL[3]]
  assert data_of(page)["names"][:4] == shown
  assert page.count("</script>") == 2


def test_what_would_turn_or_hide_names_is_shown_escaped():
  hidden = ["\u202egnp.exe", "\x1b[2J", "a\u2066b\u2069", "zero\u200bwidth"]
  page = nbdt.tree_page(TREE, title="\u202etxt.html", class_names=hidden)
  assert r"<title>\u202etxt.html</title>" in page
  names = data_of(page)["names"][:4]
  assert names == [
    *(r"\u202egnp.exe", r"\x1b[2J", r"a\u2066b\u2069", r"zero\u200bwidth")
  ]


def test_large_trees_begin_with_nodes_closed():
  tree = nbdt.random_hierarchy(300, seed=0)
  data = data_of(nbdt.tree_page(tree, title="x"))
  opened = set(data["open"])
  assert tree.root in opened
  assert all(n == tree.root or data["parents"][n] in opened for n in opened)
  assert 30 < 1 + len(opened) <= 40  # Binary: a row more than open nodes.


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"class_names": ["a"]}, "class_names has 1 names; legal: 4"),
    ({"class_names": list("abca")}, "class_names repeats 'a'"),
    ({"node_accuracy": [1.0]}, "node_accuracy has 1 entries; legal: 7"),
    ({"node_visits": [1.0]}, "node_visits has 1 entries; legal: 7"),
    ({"leaf_images": [None]}, "leaf_images has 1; legal: 4"),
    ({"leaf_images": [np.ones((2, 2, 3))] * 4}, "dtype float64; legal: uint8"),
    (
      {"leaf_images": [np.ones((2, 2, 4), np.uint8)] * 4},
      r"shape \(2, 2, 4\); legal: \[H, W\]",
    ),
    ({"samples": nbdt.Samples(None, LOGITS[:, :3])}, r"shape \(3, 3\); legal"),
    ({"samples": nbdt.Samples(None, LOGITS[0])}, r"shape \(4,\); legal"),
    ({"samples": nbdt.Samples(None, LOGITS * np.nan)}, "are not finite"),
    ({"samples": nbdt.Samples(None, LOGITS, [0])}, "labels has 1 entries"),
    ({"samples": nbdt.Samples([], LOGITS)}, "images has 0 entries; legal: 3"),
    ({"samples": samples([0, 4, 1])}, "labels has 4; legal: 0 to 3"),
  ],
)
def test_arguments_that_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    nbdt.tree_page(TREE, title="x", **options)


def test_without_samples_and_names():
  tree = nbdt.Hierarchy.from_children([[0, 1, 2, 3, 4, 5]])
  data = data_of(
    nbdt.tree_page(tree, title="x", samples=nbdt.Samples(None, np.ones((0, 6))))
  )
  assert data["names"] == ["0", "1", "2", "3", "4", "5", "0, 1, 2 +3"]
  assert data["samples"] == []


# In a browser.


def cards_of(document):
  """The nodes that are drawn: their classes, text and state, by number."""
  found = {}
  for attributes, inside in re.findall(
    r'<g (class="card [^"]*"(?: [\w-]+="[^"]*")*)>(.*?)</g>',
    document,
    re.DOTALL,
  ):
    values = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
    values["text"] = re.findall(r"<text[^>]*>([^<]*)<", inside)
    found[int(values["data-node"])] = values
  return found


def marked(document, kind):
  cards = cards_of(document)
  return {n for n, c in cards.items() if kind in c["class"].split()}


def opened(tmp_path, page, hash_="", script=""):
  """The document after loading, and after a script that plays the user."""
  if script:
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    page = page.replace("</body>", f"<script>{script}</script></body>")
  file = tmp_path / "tree.html"
  file.write_text(page, "utf-8")
  requests, console, document = visit(file, tmp_path, hash_)
  assert requests == [] and console == []
  return document


@needs_chromium
def test_a_page_of_any_names_loads_alone(tmp_path):
  images = [np.full((8, 8), 60 * k, np.uint8) for k in range(4)]
  page = nbdt.tree_page(
    TREE,
    title=EVIL[0],
    class_names=EVIL,
    samples=samples(),
    leaf_images=images,
  )
  document = opened(tmp_path, page)
  cards = cards_of(document)
  assert set(cards) == set(range(7))
  assert "<img src=" not in document.replace('<img src="data:image/png', "")
  label = html.unescape(cards[0]["aria-label"])
  assert label.startswith(EVIL[0])
  # The first sample is chosen: its path, and why.
  assert marked(document, "path") == {6, 4, 0}
  # Means 2 and -0.5: the logistic function of 2.5.
  assert "92%" in cards[4]["text"] and "7.6%" in cards[5]["text"]


@needs_chromium
def test_a_sample_is_highlighted_and_explained(tmp_path):
  page = nbdt.tree_page(TREE, title="x", samples=samples())
  document = opened(tmp_path, page, "#sample=2")
  assert marked(document, "path") == {6, 5, 2}
  assert marked(document, "true") == {3}
  steps = np.exp(trees.node_log_probs(LOGITS, TREE.children, 4))[1]
  cards = cards_of(document)
  for node in (4, 5, 2, 3):
    assert f"{steps[node]:.0%}" in cards[node]["text"]
  assert not any("%" in text for text in cards[0]["text"])
  why = document[document.index('id="why"') : document.index('id="stage"')]
  words = re.sub(r"<[^>]*>", " ", why)
  assert f"car {steps[5] * steps[2]:.0%}" in words
  assert "True class: truck." in words
  assert [m for m in re.findall(r"thing|vehicle|animal", words)] == [
    *("thing", "vehicle", "animal", "vehicle")
  ]


@needs_chromium
def test_an_address_of_no_node_or_sample_changes_nothing(tmp_path):
  """One visit, since each of these once kept the page busy for ever."""
  page = nbdt.tree_page(TREE, title="x", samples=samples())
  hashes = [
    *("#node=length", "#node=constructor", "#node=__proto__", "#node=at"),
    *("#node=toString&sample=length", "#node=7", "#node=-1", "#node=NaN"),
    *("#node=1e99", "#node=0.5", "#node=", "#node=%E0%A4%A&sample=%", "#%%="),
    *("#sample=0", "#sample=-1", "#sample=4", "#sample=map", "#sample=1.5"),
    *("#open=valueOf", "#__proto__=1", "#node=" + "9" * 400, "#node=0x1"),
  ]
  script = f"""
    for (const hash of {json.dumps(hashes)}) {{
      history.replaceState(null, "", hash);
      window.dispatchEvent(new HashChangeEvent("hashchange"));
    }}
  """
  document = opened(tmp_path, page, "#node=length", script)
  cards = cards_of(document)
  assert set(cards) == set(range(7)) and not marked(document, "path")
  assert [n for n, card in cards.items() if card["tabindex"] == "0"] == [6]
  # What is a node and a sample still is.
  document = opened(tmp_path, page, "#sample=3&node=05&search=__proto__")
  assert cards_of(document)[5]["tabindex"] == "0"
  assert ">0 matches<" in document and marked(document, "path")


@needs_chromium
def test_search_finds_opens_and_highlights(tmp_path):
  tree = nbdt.random_hierarchy(300, seed=0)
  names = [f"class {i}" for i in range(300)]
  names[123] = "Éclair"
  page = nbdt.tree_page(tree, title="x", class_names=names)
  assert 123 not in cards_of(opened(tmp_path, page))
  document = opened(tmp_path, page, "#search=eclair")
  assert "current" in cards_of(document)[123]["class"].split()
  assert ">1 of 1<" in document
  assert set(tree.path(123)) <= set(cards_of(document))
  document = opened(tmp_path, page, "#search=nothing%20here")
  assert ">0 matches<" in document and not marked(document, "match")
  # Typed, and Enter for the next one.
  document = opened(
    tmp_path,
    page,
    script="""
    const box = document.getElementById("search");
    box.value = "class 29";
    box.dispatchEvent(new Event("input"));
    box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}));
    """,
  )
  assert ">2 of 11<" in document
  assert 2 <= len(marked(document, "match")) <= 11
  [current] = marked(document, "current")
  assert names[current].startswith("class 29")


@needs_chromium
def test_nodes_close_and_open_by_mouse_and_keys(tmp_path):
  page = nbdt.tree_page(TREE, title="x")
  click = "document.querySelector('[data-node=\"{}\"]').dispatchEvent"
  click += "(new MouseEvent('click', {{bubbles: true}}));"
  document = opened(tmp_path, page, script=click.format(4))
  assert set(cards_of(document)) == {2, 3, 4, 5, 6}
  assert cards_of(document)[4]["aria-expanded"] == "false"
  document = opened(tmp_path, page, script=click.format(4) * 2)
  assert set(cards_of(document)) == set(range(7))
  keys = """
    const press = (key) => document.activeElement.dispatchEvent(
      new KeyboardEvent("keydown", {key, bubbles: true}));
    document.querySelector('[data-node="6"]').focus();
  """
  # To the first child, the one below it, close it: vehicles are folded.
  walk = ["ArrowRight", "ArrowDown", "Enter"]
  document = opened(
    tmp_path, page, script=keys + "".join(f"press('{k}');" for k in walk)
  )
  assert set(cards_of(document)) == {0, 1, 4, 5, 6}
  assert cards_of(document)[5]["tabindex"] == "0"
  for open_, shown in (("none", {4, 5, 6}), ("all", set(range(7)))):
    document = opened(tmp_path, page, f"#open={open_}")
    assert set(cards_of(document)) == shown


@needs_chromium
def test_zoom_and_drag_move_the_scene(tmp_path):
  page = nbdt.tree_page(TREE, title="x")

  def scene(document):
    found = re.search(r"translate\((\S+) (\S+)\) scale\((\S+)\)", document)
    return [float(value) for value in found.groups()]

  x, y, scale = scene(opened(tmp_path, page))
  zoomed = scene(
    opened(tmp_path, page, script="document.getElementById('zoom-in').click();")
  )
  assert zoomed[2] == pytest.approx(1.25 * scale)
  drag = """
    const at = (kind, x, y) => document.getElementById("canvas").dispatchEvent(
      new PointerEvent(kind, {pointerId: 1, clientX: x, clientY: y,
                              bubbles: true}));
    at("pointerdown", 300, 300); at("pointermove", 340, 290);
    at("pointerup", 340, 290); at("pointermove", 400, 400);
  """
  assert scene(opened(tmp_path, page, script=drag)) == pytest.approx(
    [x + 40, y - 10, scale]
  )


@needs_chromium
@pytest.mark.skipif(not trees.DATA.exists(), reason="no ImageNet hierarchy")
def test_imagenet(tmp_path):
  tree = nbdt.Hierarchy.load(
    trees.DATA / "imagenet1000_induced_efficientnet_b7b.json",
    trees.DATA / "wnids_imagenet1000.txt",
  )
  page = nbdt.tree_page(tree, title="ImageNet", class_names=tree.ids[:1000])
  assert len(page) < 300_000
  document = opened(tmp_path, page)
  assert 60 < len(cards_of(document)) < 85
  assert len(cards_of(opened(tmp_path, page, "#open=all"))) == 1999
