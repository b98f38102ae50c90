"""The READMEs and the heads of configs: what they show and name is there."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
LONGEST = 250
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
TEXTS = [
  ROOT / "README.md",
  ROOT / "launch" / "README.md",
  ROOT / "tests" / "benchmarks" / "README.md",
  *CONFIGS,
]
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


def test_the_readme_is_short():
  assert len(README.splitlines()) <= LONGEST


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_are_named_are_there(path):
  text = path.read_text("utf-8")
  files = set(
    re.findall(
      r"(?<![\w/])((?:launch|configs|tests|fbnax)/[\w/.-]+\.\w+)", text
    )
  )
  links = set(re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", text))
  missing = {name for name in files if not (ROOT / name).exists()}
  missing |= {name for name in links if not (path.parent / name).exists()}
  assert not missing


def _commands(text):
  """Commands of `fbnax.main`: the config's name, its preset, and the keys."""
  for command in re.findall(r"fbnax\.main((?:[^\n`]*\\\n)*[^\n`]*)", text):
    flags = re.findall(r"--config(?:\.([\w.]+))?=([^\s\"']*)", command)
    for name in (value for key, value in flags if not key):
      yield *name.partition(":")[::2], [key for key, _ in flags if key]


def _unknown_keys(name, preset, keys):
  spec = importlib.util.spec_from_file_location("config", ROOT / name)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  # `study.py:$study` stands in a loop of the shell.
  config = module.get_config(*([preset] if preset.isidentifier() else []))
  unknown = set()
  for key in keys:
    node = config
    for part in key.split("."):
      if part not in node:
        unknown.add(key)
        break
      node = node[part]
  return unknown


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_name_configs_and_keys_that_are_there(path):
  commands = list(_commands(path.read_text("utf-8")))
  if path.parent.name != "benchmarks":
    assert commands
  for name, preset, keys in commands:
    assert not _unknown_keys(name, preset, keys), (name, preset)


def test_a_misspelt_key_is_seen():
  text = (
    "python -m fbnax.main --config=configs/nars.py:digits \\\n  --config.sed=1"
  )
  ((name, preset, keys),) = _commands(text)
  assert (name, preset, keys) == ("configs/nars.py", "digits", ["sed"])
  assert _unknown_keys(name, preset, ["seed", *keys]) == {"sed"}


def test_every_config_has_its_row():
  for path in CONFIGS:
    assert re.search(rf"^\|.*`configs/{path.name}[:`]", README, re.M), path.name


def test_every_notebook_has_its_row():
  notebooks = {p.name for p in (ROOT / "launch" / "colab").glob("*.ipynb")}
  assert notebooks == set(re.findall(r"^\| `(\w+\.ipynb)` \|", README, re.M))
