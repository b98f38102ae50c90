"""The pages of trees and of their tables, from results that are made up."""

import html
import json
import re

import numpy as np
import pytest

import fbnax.report
from fbnax.jobs.nbdt import page as nbdt_page
from fbnax.jobs.nbdt.analyses import png
from fbnax.jobs.nbdt.result import NbdtResult
from fbnax.jobs.nbdt_tables import page as nbdt_tables_page
from fbnax.jobs.nbdt_tables.result import TablesResult, TrainedCell
from fbnax.jobs.nbdt_tables.summary import summarize
from fbnax.report.schema import as_json
from fbnax.report.tree_schema import UnseenClasses
from fbnax.report.trees import read_drawing
from tests.browser import needs_chromium, visit

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"
SVG = '<svg id="tree" viewBox="0 0 9 9"><title>tree</title></svg>'
PNG = "iVBORw0KGgo="


def shown(index=0, label="cat", predicted="dog"):
  return {
    "index": index,
    "label": label,
    "predicted": predicted,
    "score": 0.61,
    "path": [{"name": "pet", "probability": 0.97}],
    "png": PNG,
  }


def tree_result():
  """A whole result of schema version 1."""
  labels = ["plane", "cat", "dog", "pet", "all"]
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "nbdt",
    "config": {"job": "nbdt", "tree": {"hierarchy": "induced", "loss": "soft"}},
    "dataset": {"name": "made", "num_classes": 3, "test": 400, "train": 900},
    "network": {"kind": "resnet", "resolution": 8},
    "hierarchy": {
      "kind": "induced",
      "num_classes": 3,
      "depth": 2,
      "children": [[1, 2], [0, 3]],
      "labels": labels,
    },
    "accuracies": {
      "plain": {"network": 0.95, "soft": 0.8, "hard": 0.79},
      "tree": {"network": 0.96, "soft": 0.955, "hard": 0.94},
    },
    "nodes": [
      {
        "node": 3,
        "name": "pet",
        "children": [1, 2],
        "classes": 2,
        "accuracy": 0.9,
        "visits": 200,
      },
      {
        "node": 4,
        "name": "all",
        "children": [0, 3],
        "classes": 3,
        "accuracy": 0.99,
        "visits": 400,
      },
    ],
    "ambiguous": {
      "by_tree": [shown(7)],
      "by_network": [shown(9, "cat", "cat")],
      "errors": {
        "tree": 18,
        "path_entropy": 0.91,
        "top_two_entropy": 0.85,
        "confusion": 0.7,
      },
    },
    "examples": [{"node": 4, "name": "all", "images": [shown(1)]}],
    "traversals": {
      "groups": ["plane", "cat", "dog", "cow"],
      "unseen": 1,
      "nodes": [0, 3, 1, 2],
      "shares": [[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0.2, 0.8], [0, 1, 0, None]],
    },
    "unseen": {
      "images": 100,
      "plain": 0.6,
      "tree": 0.7,
      "plain_sum": 0.62,
      "tree_sum": 0.69,
      "node": 4,
      "classes": [
        {
          "name": "cow",
          "images": 100,
          "superclass": "animal",
          "plain": 0.6,
          "tree": 0.7,
          "plain_sum": 0.62,
          "tree_sum": 0.69,
        }
      ],
    },
    "members": [],
    "pictures": {"page": "tree.html", "drawing": "tree.svg"},
    "times": {"phases": {"tree training": 30.0}, "total": 40.0},
  }


def write(folder, result, drawing=SVG):
  (folder / "result.json").write_text(json.dumps(result))
  if drawing is not None:
    (folder / "tree.svg").write_text(drawing, "utf-8")
  return fbnax.report.write(folder).read_text("utf-8")


def words_of(page):
  return html.unescape(re.sub(r"<[^>]+>", " ", page))


def test_a_tree_is_told(tmp_path):
  page = write(tmp_path, tree_result())
  words = " ".join(words_of(page).split())
  for text in (
    "95.50% soft tree",
    "94.00% hard tree",
    "96.00% the network itself",
    "95.00% plainly trained network",
    "Induced hierarchy over 3 classes: 2 decisions, depth 2.",
    "path entropy 0.910 for the tree's 18 errors",
    "labelled cat",
    "0.61 nats",
    "one node tells the superclasses apart",
    "python -m fbnax.main --config=configs/nbdt.py",
  ):
    assert text in words, text
  assert '<a href="tree.html">' in page
  assert SVG in page
  assert page.count(f'src="data:image/png;base64,{PNG}"') == 3
  assert 'title="pet 97%"' in page
  row = re.search(r"pet</th>(.*?)</tr>", page)[1]
  cells = re.findall(r"<td>(.*?)</td>", row)
  assert cells == ["cat | dog", "2", "200", "90.00%", "20"]
  chart = re.search(r'<svg id="chart-traversals".*?</svg>', page, re.DOTALL)[0]
  assert ">80<" in chart
  assert "cow" in chart
  assert "chart-accuracies" in page


def test_what_is_missing_is_left_out(tmp_path):
  page = write(tmp_path, {"schema_version": 1, "job": "nbdt"}, None)
  assert "nothing is measured" in words_of(page)
  assert "<svg" not in page
  names = [s.name for s in nbdt_page.sections(NbdtResult())]
  assert names == ["finding"]
  # A drawing that is gone leaves the link.
  page = write(tmp_path, tree_result(), None)
  assert '<a href="tree.html">' in page


def test_names_are_escaped(tmp_path):
  result = tree_result()
  result["dataset"]["name"] = HOSTILE
  result["hierarchy"]["labels"] = [HOSTILE] * 5
  result["hierarchy"]["kind"] = HOSTILE
  result["nodes"][0]["name"] = HOSTILE
  result["ambiguous"]["by_tree"] = [shown(1, HOSTILE, HOSTILE + "2")]
  result["ambiguous"]["by_tree"][0]["path"][0]["name"] = HOSTILE
  result["examples"][0]["name"] = HOSTILE
  result["traversals"]["groups"][0] = HOSTILE
  result["unseen"]["classes"][0]["name"] = HOSTILE
  page = write(tmp_path, result)
  assert "<script" not in page
  assert "<b>猫" not in page
  assert HOSTILE in html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.parametrize(
  "drawing",
  [
    "<p>no drawing</p>",
    "<svg><script>alert(1)</script></svg>",
    '<svg onload="alert(1)"></svg>',
    '<svg><a href="javascript:alert(1)"></a></svg>',
    "<svg><foreignObject></foreignObject></svg>",
  ],
)
def test_what_is_no_drawing(drawing, tmp_path):
  with pytest.raises(ValueError, match=r"tree.svg is no drawing"):
    write(tmp_path, tree_result(), drawing)


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    (("hierarchy", "labels"), ["a"], "has 1 names; the tree has 5 nodes"),
    (("traversals", "groups"), ["a"], "shares has 4 rows; traversals.groups"),
    (("traversals", "nodes"), [0, 1], r"shares\[0\] has 4 values"),
    (("traversals", "nodes"), [0, 1, 2, 9], "nodes has 9"),
    (("pictures", "page"), "../x.html", "must be a file's name"),
    (("ambiguous", "by_tree"), [shown() | {"png": '"><b>'}], "no base64"),
    (("nodes",), [{"accuracy": "good"}], r"nodes\[0\].accuracy must be"),
  ],
)
def test_broken_results_are_named(path, value, message, tmp_path):
  result = tree_result()
  *outer, last = path
  part = result
  for key in outer:
    part = part[key]
  part[last] = value
  with pytest.raises(ValueError, match=message):
    write(tmp_path, result)


def tables_result():
  cases = []
  for seed in range(3):
    for kind, loss, soft in (
      ("induced", "none", 0.8),
      ("random", "none", 0.5),
      ("induced", "soft", 0.93),
      ("random", "soft", 0.85),
    ):
      for unseen in (False, True):
        cases.append(
          TrainedCell(
            kind,
            loss,
            "" if loss == "none" else "growing",
            unseen=unseen,
            seed=seed,
            network_accuracy=0.9 + 0.001 * seed,
            soft_accuracy=soft + 0.002 * seed,
            hard_accuracy=soft - 0.01,
            superclasses=UnseenClasses(
              50,
              plain=0.6,
              plain_within=0.61,
              tree=0.65,
              plain_sum=0.6,
              tree_sum=0.66,
              node=3,
            )
            if unseen
            else None,
          )
        )
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "nbdt_tables",
    "config": {
      "job": "nbdt_tables",
      "architecture": "resnet8",
      "unseen": {"classes": HOSTILE, "superclasses": "a=b;c=d"},
    },
    "dataset": {"name": HOSTILE, "train": 900, "test": 400},
    "network": {"kind": "resnet", "resolution": 8},
    "cases": as_json(cases),
    "summary": as_json(summarize(cases)),
    "times": {"phases": {"training": 30.0}, "total": 40.0},
  }


def test_tables_are_told(tmp_path):
  page = write(tmp_path, tables_result(), None)
  words = " ".join(words_of(page).split())
  for text in (
    "90.10% plain network",
    "93.20% soft tree: induced hierarchy, soft loss",
    "The soft tree is +3.10 points from the plain network",
    "soft loss less none, soft tree 5.3, 5.8 +13.00",
    "Share of 50 test images",
    "3 of 3",
  ):
    assert text in words, text
  for chart in ("chart-claims", "chart-gains", "chart-cells"):
    assert f'id="{chart}"' in page
  assert "<script" not in page
  assert "holds" in words


def test_tables_of_nothing(tmp_path):
  page = write(tmp_path, {"schema_version": 1, "job": "nbdt_tables"}, None)
  assert "The result names no training." in page
  assert "<svg" not in page
  names = [s.name for s in nbdt_tables_page.sections(TablesResult())]
  assert names == ["finding"]


def test_equal_results_give_equal_pages(tmp_path):
  for result in (tree_result(), tables_result()):
    assert write(tmp_path, result) == write(tmp_path, result)


def test_trees_of_members(tmp_path):
  member = {
    "name": "small-1",
    "test_accuracy": 0.96,
    "tree": {
      "kind": "induced",
      "plain_accuracy": 0.95,
      "network_accuracy": 0.96,
      "soft_accuracy": 0.955,
      "hard_accuracy": 0.94,
      "depth": 3,
      "pictures": {"page": "tree.html", "drawing": "tree.svg"},
    },
  }
  folder = tmp_path / "members" / "small-1"
  folder.mkdir(parents=True)
  (folder / "tree.svg").write_text(SVG)
  result = {"schema_version": 1, "job": "nars", "members": [member]}
  page = write(tmp_path, result, None)
  words = " ".join(words_of(page).split())
  assert "small-1 95.00% 96.00% 95.50% 94.00% induced 3" in words
  assert '<a href="members/small-1/tree.html">' in page
  assert SVG in page
  del member["tree"]
  assert "The decisions of the members" not in write(tmp_path, result, None)


@needs_chromium
def test_pictures_are_part_of_the_page(tmp_path):
  """The page's policy lets them in, and nothing is asked for or complained."""
  result = tree_result()
  picture = png(np.full((4, 4, 1), 200, np.uint8))
  for row in (result["ambiguous"]["by_tree"], result["examples"][0]["images"]):
    row[0]["png"] = picture
  result["ambiguous"]["by_network"] = []
  write(tmp_path, result)
  requests, console, document = visit(tmp_path / "report.html", tmp_path)
  assert requests == []
  assert console == []
  assert document.count(picture) == 2


@needs_chromium
def test_pictures_in_a_drawing_are_let_in(tmp_path):
  """A refused one would be told on the console."""
  result = tree_result()
  result["ambiguous"] = {}
  result["examples"] = []
  address = png(np.full((4, 4, 1), 200, np.uint8))
  if not address.startswith("data:"):
    address = f"data:image/png;base64,{address}"
  picture = f'<image width="4" height="4" href="{address}"/>'
  write(tmp_path, result, SVG.replace("</svg>", f"{picture}</svg>"))
  _, console, document = visit(tmp_path / "report.html", tmp_path)
  assert console == []
  assert address in document


def test_a_drawing_elsewhere_is_refused(tmp_path):
  folder = tmp_path / "run"
  folder.mkdir()
  (folder / "tree.svg").write_text(SVG)
  (tmp_path / "tree.svg").write_text(SVG)
  assert read_drawing(folder, "tree.svg") == SVG
  for name in ("../tree.svg", str(tmp_path / "tree.svg")):
    with pytest.raises(ValueError, match=r"tree.svg' is outside of"):
      read_drawing(folder, name)
  (folder / "loop.svg").symlink_to("loop.svg")
  with pytest.raises(OSError, match=r"loop\.svg: cannot be read"):
    read_drawing(folder, "loop.svg")
