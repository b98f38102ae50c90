"""Malformed files: an error that the user can mend, or what was really meant.

Each reader gets valid documents with something wrong in them (`mutations`). It
may refuse with an error that the command line would tell in a line
(`fbnax.jobs.runtime.messages.explain`), and no other. What it takes, it must
write and read back the same, and a network of it must have a cost. No case may
take longer than `LIMIT`. The long version, 20,000 files:

    python -m pytest -n 0 -m slow -s tests/faults/fuzz_test.py

prints for each reader the seed, and how many cases were read and refused;
`FBNAX_FUZZ_SEED=7` draws other ones.
"""

import dataclasses
import json
import math
from functools import partial
from html.parser import HTMLParser

import jax
import numpy as np
import pytest

from fbnax import costs, nbdt, spaces
from fbnax.costs import LatencyTable
from fbnax.costs.latency_convert import convert
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key
from fbnax.jobs.runtime import networks
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.nbdt import Hierarchy
from fbnax.nbdt.files import class_ids
from fbnax.report.trees import read_drawing
from fbnax.search.autobuild import labelled
from fbnax.spaces import (
  Architecture,
  Block,
  Head,
  Recipe,
  ResNet,
  Stem,
  Surroundings,
  zoo,
)
from tests.faults.cases import SEED, TooLongError, check, is_told
from tests.faults.mutations import (
  csv_document,
  json_document,
  text_document,
)

LIMIT = 5.0  # CPU-seconds of a case; the slowest of them takes a tenth.

NETWORK = Architecture(
  resolution=32,
  stem=Stem(16),
  blocks=(
    Block(16, 1, expansion=1.0),
    Block(24, 2, kernel=5, expansion=4.5, stride=2, squeeze_excite=True),
    Block(24, 2, op="skip"),
    Block(48, 3, groups=2, stride=2, padding=2, activation="hswish"),
  ),
  head=Head(128, expansion=0.0),
)
_INVERTED = Key(
  "inverted_residual", 16, 16, 96, 32, kernel=5, activation="relu"
)
TABLE = LatencyTable(
  {
    Key("stem", 32, 3, c_out=16, kernel=3, stride=2, activation="relu"): Entry(
      0.5, 0.01, 50
    ),
    Key("skip", 8, c_in=16, c_out=24, stride=2): Entry(0.1),
    _INVERTED: Entry(0.7, None, 3),
    _INVERTED._replace(squeeze_excite=True, activation="hswish"): Entry(1.25),
  },
  const=2.5,
  const_parts=("head",),
  device="a phone",
  note="made up",
)
SPACE = spaces.get("small").fix(
  resolution=(8, 12), **{"stage1.depth": 1, "stage2.depth": (1, 2)}
)


def _json(value):
  return json.loads(value.to_json())


def _hierarchy(path):
  tree = Hierarchy.from_children(
    [[0, 1], [2, 3, 4], [5, 6]],
    ids=[f"n{i:08d}" for i in range(8)],
    labels=["cat", "dog", "car", "bus", "van", "animal", "vehicle", "all"],
  )
  tree.save(path)
  text = path.read_text()
  path.unlink()
  document = json.loads(text)
  edges = dict(document)
  edges["edges"] = edges.pop("links")
  del edges["graph"]
  return [document, edges]


def _networks():
  """The same three networks, as items with decisions and with architectures."""
  genotypes = SPACE.sample(jax.random.key(0), 3)
  items, described = [], []
  for i, genotype in enumerate(genotypes):
    values = zip(SPACE.decisions, genotype.tolist(), strict=True)
    items.append({d.name: d.values[c] for d, c in values} | {"ms": i + 0.5})
    network = _json(SPACE.architecture(genotype))
    described.append({"architecture": network, "ms": i + 0.5, "acc": 0.7})
  return items, described


def _read_network(path):
  try:
    networks.read_network(str(path))
  except ValueError as error:
    assert is_told(error)
  found = spaces.from_json(path.read_bytes().decode("utf-8", "replace"))
  again = spaces.from_json(found.to_json())
  assert again == found and hash(again) == hash(found)
  if isinstance(found, Architecture):
    counted = costs.count(found, 10)
    assert counted.macs > 0 and counted.params > 0


def _read_surroundings(path):
  found = Surroundings.from_json(path.read_bytes().decode("utf-8", "replace"))
  assert Surroundings.from_json(found.to_json()) == found
  space = found.space()
  whole = space.architecture([count - 1 for count in space.choices])
  least = space.architecture([0] * len(space.choices))
  largest, smallest = (costs.count(a, 10).params for a in (whole, least))
  assert 0 < smallest <= largest
  assert largest == costs.count(found.architecture, 10).params


def _read_recipe(path):
  found = networks.read_recipe_file(str(path))
  assert Recipe.from_json(found.to_json()) == found
  numbers = (found.learning_rate, found.weight_decay, found.mixup)
  assert all(math.isfinite(float(n)) for n in numbers)


def _read_hierarchy(path):
  found = Hierarchy.load(path)
  other = path.with_name("again.json")
  found.save(other)
  assert Hierarchy.load(other) == found
  leaves = sorted(found.leaves(found.root))
  assert leaves == list(range(found.num_classes))
  nbdt.Hierarchy.from_children(found.children, found.num_classes)


def _read_table(path):
  found = LatencyTable.load(path)
  other = path.with_name("again.json")
  found.save(other)
  again = LatencyTable.load(other)
  assert again.entries == found.entries and again.to_json() == found.to_json()
  # A sum of times is a time.
  assert math.isfinite(found.const + sum(e.ms for e in found.entries.values()))


def _read_labels(path):
  found = labelled.load(path, SPACE)
  assert len(found.genotypes) == len(
    {tuple(g) for g in found.genotypes.tolist()}
  )
  for genotype in found.genotypes:
    SPACE.architecture(genotype)
  for values in found.columns.values():
    assert all(map(math.isfinite, values))


def _read_published(path):
  found = convert(path)
  assert all(math.isfinite(e.ms) for e in found.entries.values())
  other = path.with_name("again.json")
  found.save(other)
  assert LatencyTable.load(other).to_json() == found.to_json()


def _read_names(path):
  found = tree_settings.named(str(path), NAMES, "config.class_names")
  assert len(found) == len(NAMES) and all(n == n.strip() != "" for n in found)


def _read_ids(path):
  found = class_ids(path)
  assert found and len(found) == len(set(found))


def _read_drawing(path):
  """What a browser makes of it, which reads HTML, is a drawing too."""
  seen = []
  parser = HTMLParser()
  parser.handle_starttag = lambda tag, pairs: seen.append((tag, dict(pairs)))
  for other in ("comment", "decl", "pi"):
    setattr(parser, f"handle_{other}", seen.append)
  parser.unknown_decl = seen.append
  parser.feed(read_drawing(path.parent, path.name))
  assert seen[0][0] == "svg"
  legal = {"svg", "title", "g", "path", "rect", "text", "image"}
  for tag, attributes in seen:
    assert tag in legal and not any(n.startswith("on") for n in attributes)
    assert attributes.get("href", "data:image/png;").startswith("data:image/")


NAMES = ("tench, Tinca", "forêt", "\u732b", "a b")
_ROW = "  count: 154\n  mean: 5.3\n  var: 0.2\n"
_BLOCK = "4x4x8-output:4x4x8-expand:6-kernel:3-stride:1-idskip:1"
_OPS = (
  *("Conv-input:8x8x3-output:4x4x8", f"expanded_conv-input:{_BLOCK}"),
  *("Conv_1-input:4x4x8-output:4x4x16", "Logits-input:4x4x16-output:10"),
)
# Of files that are no JSON: documents, ending, what reads and checks.
_TEXTS = {
  "published": (
    ["".join(f"{n}:\n{_ROW}" for n in _OPS)],
    ".yaml",
    _read_published,
  ),
  "names": (["\n".join(NAMES) + "\n"], ".txt", _read_names),
  "wnids": (["n01\nn02\nn03\n", "f1 f2 f3"], ".txt", _read_ids),
}


def _files(name, folder):
  """What draws a reader's files, their ending, and what reads and checks."""
  if name == "network":
    cell = spaces.get("nasbench201")
    documents = [
      _json(NETWORK),
      _json(zoo.get("fbnet_96")),
      _json(cell.architecture([0] * len(cell.decisions))),
      _json(ResNet((1, 2), (16, 32), 8)),
    ]
    return partial(json_document, documents=documents), ".json", _read_network
  if name == "surroundings":
    blocks = tuple(b for b in NETWORK.blocks if b.groups == 1)
    network = dataclasses.replace(NETWORK, blocks=blocks)
    documents = [
      _json(Surroundings(network, (32, 64), depths=2)),
      _json(Surroundings(zoo.get("timm_mobilenetv3_small_100"))),
    ]
    return (
      partial(json_document, documents=documents),
      ".json",
      _read_surroundings,
    )
  if name == "recipe":
    documents = [_json(Recipe()), {"optimizer": "sgd"}]
    return partial(json_document, documents=documents), ".json", _read_recipe
  if name == "hierarchy":
    documents = _hierarchy(folder / "tree.json")
    return partial(json_document, documents=documents), ".json", _read_hierarchy
  if name == "table":
    documents = [json.loads(TABLE.to_json())]
    return partial(json_document, documents=documents), ".json", _read_table
  if name == "drawing":
    drawn = nbdt.tree_svg(
      Hierarchy.from_children([[0, 1], [2, 3], [4, 5]]),
      class_names=["<script>", "on=1", "javascript:x", "]]>"],
      leaf_images=[np.zeros((2, 2, 3), np.uint8), None, None, None],
    )
    # In lines, which may go or come twice.
    documents = [drawn.replace("><", ">\n<")]
    return partial(text_document, documents=documents), ".svg", _read_drawing
  if name in _TEXTS:
    documents, ending, read_text = _TEXTS[name]
    return partial(text_document, documents=documents), ending, read_text
  items, described = _networks()
  if name == "labels.json":
    return (
      partial(json_document, documents=[items, described]),
      ".json",
      _read_labels,
    )
  assert name == "labels.csv"
  rows = [list(items[0]), *([str(v) for v in i.values()] for i in items)]
  return partial(csv_document, rows=rows), ".csv", _read_labels


def _check(name, cases, folder):
  """Reads so many malformed files of a kind."""
  draw, ending, read = _files(name, folder)
  path = folder / f"file{ending}"

  def read_content(content):
    path.write_bytes(content)
    read(path)

  seen = check(draw, read_content, cases, LIMIT)
  print(f"{name}: seed {SEED}, {dict(seen)}")
  return seen


# How many files in the default and in the long version; by what one takes.
CASES = {
  "network": (150, 3500),
  "surroundings": (60, 1500),
  "recipe": (100, 1500),
  "hierarchy": (100, 2500),
  "table": (150, 2500),
  "labels.json": (20, 1000),
  "labels.csv": (20, 1000),
  "published": (80, 1500),
  "names": (60, 1000),
  "wnids": (60, 1000),
  "drawing": (120, 3000),
}


@pytest.mark.parametrize("name", CASES)
def test_malformed_files(name, tmp_path):
  seen = _check(name, CASES[name][0], tmp_path)
  assert seen["read"] and seen["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_many_malformed_files(name, tmp_path):
  seen = _check(name, CASES[name][1], tmp_path)
  assert sum(seen.values()) >= CASES[name][1]


def test_what_is_no_error_of_the_input_is_noticed(tmp_path):
  def read(content):
    json.loads(content)["a"]

  for content, error in (('{"b": 1}', KeyError), ("{", ValueError)):
    with pytest.raises(error):
      check(lambda _, content=content: content, read, 5, LIMIT)


def test_what_never_ends_is_noticed():
  def read(_):
    while True:
      pass

  with pytest.raises(TooLongError):
    check(lambda random: random, read, 1, 0.05)
