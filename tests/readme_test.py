"""The README's front page: what it shows and names is there."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PICTURE = ROOT / "launch" / "picture.svg"


def _picture_program():
  path = ROOT / "launch" / "picture.py"
  spec = importlib.util.spec_from_file_location("picture", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_the_picture_is_small_and_needs_nothing_else():
  assert "](launch/picture.svg)" in README
  text = PICTURE.read_text("utf-8")
  assert len(text) < 150_000
  root = ElementTree.fromstring(text)
  assert root.tag.endswith("svg")
  ids = [e.get("id") for e in root.iter() if e.get("id")]
  assert len(set(ids)) == len(ids)
  assert not [e for e in root.iter() if e.tag.endswith("script")]
  for element in root.iter():
    for key, value in element.attrib.items():
      if key.endswith("href"):
        assert value.startswith(("#", "data:image/png")), value


def test_drawings_are_stacked_without_overlap():
  program = _picture_program()
  svg = '<svg id="{}" viewBox="0 0 200 100" style="x"><g/></svg>'
  text = program.stacked([("a < b", svg.format("p")), ("c", svg.format("q"))])
  root = ElementTree.fromstring(text)
  space = "{http://www.w3.org/2000/svg}"
  first, second = root.findall(f"{space}svg")
  assert (first.get("id"), second.get("id")) == ("p", "q")
  assert float(first.get("width")) / 2 == pytest.approx(
    float(first.get("height")), rel=1e-2
  )
  titles = root.findall(f"{space}text")
  assert [t.text for t in titles] == ["a < b", "c"]
  end = float(first.get("y")) + float(first.get("height"))
  assert end < float(titles[1].get("y")) < float(second.get("y"))
  bottom = float(second.get("y")) + float(second.get("height"))
  assert bottom <= float(root.get("viewBox").split()[3])


def test_files_that_are_named_are_there():
  named = re.findall(
    r"(?<![\w/])((?:launch|configs|tests|fbnax)/[\w/.-]+\.\w+)", README
  )
  assert len(named) > 50
  missing = {name for name in named if not (ROOT / name).exists()}
  assert not missing


def test_every_notebook_has_its_row():
  notebooks = {p.name for p in (ROOT / "launch" / "colab").glob("*.ipynb")}
  assert notebooks == set(re.findall(r"^\| `(\w+\.ipynb)` \|", README, re.M))


def test_citations_are_whole():
  (text,) = re.findall(r"```bibtex\n(.*?)```", README, re.S)
  entries = re.findall(r"@\w+\{(\w+),\n(.*?)\n\}\n", text, re.S)
  assert len(entries) == text.count("@") == 8
  for name, body in entries:
    assert body.count("{") == body.count("}"), name
    for key in ("title", "author", "year"):
      assert re.search(rf"^  {key} = \{{", body, re.M), (name, key)
