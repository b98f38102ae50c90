"""Files of text that other people wrote: read, or refused in one line.

Every reader meets every way in which a file of text is not what was meant: its
encoding, a byte-order mark, the line ends of other systems, no content, no
file. What is refused is told as the command line tells it, with the path.
"""

import csv
import io
import json

import jax
import numpy as np
import pytest

from fbnax import nbdt, spaces
from fbnax.costs import LatencyTable
from fbnax.costs.latency_convert import convert
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key
from fbnax.jobs.autobuild import data as autobuild_data
from fbnax.jobs.runtime import networks
from fbnax.jobs.runtime.messages import explain
from fbnax.jobs.runtime.trees.settings import named
from fbnax.nbdt.files import class_ids
from fbnax.report.trees import read_drawing
from fbnax.search.autobuild import labelled
from fbnax.spaces import Recipe

SPACE = spaces.get("mobilenetv3").fix(resolution=224)
TREE = nbdt.Hierarchy.from_children([[0, 1], [3, 2]])
ROWS = {
  "Conv-input:8x8x3-output:4x4x8": {"mean": 1.0, "var": 0.25, "count": 4},
  "Conv_1-input:4x4x8-output:4x4x16": {"mean": 2.0, "var": 0.0, "count": 4},
  "Logits-input:4x4x16-output:10": {"mean": 1.5, "var": 0.0, "count": 4},
}
YAML = "".join(
  f"{name}:\n" + "".join(f"  {k}: {v}\n" for k, v in row.items())
  for name, row in ROWS.items()
)


def networks_as_json():
  genotypes = np.asarray(SPACE.sample(jax.random.key(0), 2))
  return json.dumps(
    [
      {"architecture": json.loads(SPACE.architecture(g).to_json()), "ms": i}
      for i, g in enumerate(genotypes)
    ]
  )


def networks_as_csv(delimiter=","):
  genotypes = np.asarray(SPACE.sample(jax.random.key(0), 2))
  out = io.StringIO()
  writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
  writer.writerow([*(d.name for d in SPACE.decisions), "ms"])
  for i, genotype in enumerate(genotypes):
    pairs = zip(SPACE.decisions, genotype, strict=True)
    writer.writerow([*(d.values[c] for d, c in pairs), i])
  return out.getvalue()


def labels(path):
  found = labelled.load(path, SPACE)
  return found.genotypes.tolist(), found.columns["ms"].tolist()


def tree_file(folder):
  TREE.save(folder / "t.json")
  return (folder / "t.json").read_text()


TABLE = LatencyTable({Key("skip", 8, 16, c_out=16): Entry(0.5)}, device="a")
# What a file is called, what it holds, and how it is read.
READERS = {
  "names": (
    "a.txt",
    "a\nb\nc\n",
    lambda p: named(p, "xyz", "key"),
  ),
  "wnids": ("a.txt", "n01 n02\nn03\n", class_ids),
  "hierarchy": ("a.json", tree_file, nbdt.Hierarchy.load),
  "architecture": (
    "a.json",
    spaces.zoo.get("fbnet_a").to_json(),
    networks.read_architecture,
  ),
  "network": (
    "a.json",
    networks.read_network("resnet8").to_json(),
    networks.read_network,
  ),
  "recipe": (
    "a.json",
    Recipe(dropout=0.5).to_json(),
    networks.read_recipe_file,
  ),
  "table": (
    "a.json",
    TABLE.to_json(),
    lambda p: LatencyTable.load(p).to_json(),
  ),
  "published": ("a.json", json.dumps(ROWS), lambda p: convert(p).to_json()),
  "YAML": ("a.yaml", YAML, lambda p: convert(p).to_json()),
  "CSV": ("a.csv", lambda _: networks_as_csv(), labels),
  "semicolons": ("a.csv", lambda _: networks_as_csv(";"), labels),
  "JSON": ("a.json", lambda _: networks_as_json(), labels),
  "rows": ("a.json", "[1, 2]", lambda p: autobuild_data._rows(p, 9).tolist()),
  "drawing": (
    "a.svg",
    lambda _: nbdt.tree_svg(TREE),
    lambda p: read_drawing(p.rpartition("/")[0], "a.svg"),
  ),
}
SAME = {
  "a mark": lambda c: b"\xef\xbb\xbf" + c,
  "line ends of Windows": lambda c: c.replace(b"\n", b"\r\n"),
  "both": lambda c: b"\xef\xbb\xbf" + c.replace(b"\n", b"\r\n") + b"\r\n",
  "empty lines after it": lambda c: c + b"\n\n \n",
}
OTHER = {
  "latin-1": lambda c: c + b"\xe9\n",
  "UTF-16": lambda c: c.decode().encode("utf-16"),
  "UTF-16, no mark": lambda c: c.decode().encode("utf-16-be"),
  "NUL": lambda c: c + b"\0",
  "nothing": lambda c: b"",
  "a mark alone": lambda c: b"\xef\xbb\xbf",
  "empty lines": lambda c: b"\n\r\n\n",
  "nested": lambda c: b"[ " * 100_000,
  "binary": lambda c: b"\x89PNG\r\n\x1a\n\x00\x00",
}


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
  """A file, what it holds, and its reader."""
  name, content, read = READERS[request.param]
  if callable(content):
    content = content(tmp_path)
  return tmp_path / name, content.encode(), read


def told(read, path):
  with pytest.raises((ValueError, OSError)) as caught:
    read(str(path))
  words = explain(caught.value)
  assert words is not None, "a fault of the program"
  assert "\n" not in words and len(words) < 600
  return words


def test_what_is_meant_is_read(reader):
  path, content, read = reader
  path.write_bytes(content)
  plain = read(str(path))
  for name, change in SAME.items():
    path.write_bytes(change(content))
    assert read(str(path)) == plain, name


def test_what_is_not_is_refused_in_a_line(reader):
  path, content, read = reader
  for change in OTHER.values():
    path.write_bytes(change(content))
    assert str(path) in told(read, path)
  path.unlink()
  path.mkdir()
  assert str(path) in told(read, path)


def test_an_absent_file_is_named(reader, request):
  path, _, read = reader
  if request.node.callspec.params["reader"] == "drawing":
    assert read(str(path)) == ""  # A run may have left none.
  else:
    assert str(path) in told(read, path)
