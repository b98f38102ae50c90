import csv
import json

import jax
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.autobuild import labelled

SPACE = spaces.get("mobilenetv3").fix(resolution=(192, 224))
NAMES = [d.name for d in SPACE.decisions]


def rows(count=6):
  """Networks as a CSV has them, those of absent layers empty."""
  genotypes = np.asarray(SPACE.sample(jax.random.key(0), count))
  active = np.asarray(SPACE.active(genotypes))
  found = []
  for i, (genotype, on) in enumerate(zip(genotypes, active, strict=True)):
    row = {
      d.name: str(d.values[c]) if a else ""
      for d, c, a in zip(SPACE.decisions, genotype, on, strict=True)
    }
    found.append(row | {"acc": str(0.7 + 0.01 * i), "ms": str(5.0 + i)})
  return found, genotypes


def write(path, found):
  with open(path, "w", newline="") as file:
    writer = csv.DictWriter(file, list(found[0]))
    writer.writeheader()
    writer.writerows(found)
  return path


def test_csv_and_json_say_the_same(tmp_path):
  found, genotypes = rows()
  of_csv = labelled.load(write(tmp_path / "a.csv", found), SPACE)
  np.testing.assert_array_equal(of_csv.genotypes, genotypes)
  np.testing.assert_allclose(of_csv.columns["ms"], 5.0 + np.arange(6))
  items = [
    {
      "architecture": json.loads(SPACE.architecture(g).to_json()),
      "acc": float(row["acc"]),
      "ms": float(row["ms"]),
    }
    for row, g in zip(found, genotypes, strict=True)
  ]
  (tmp_path / "a.json").write_text(json.dumps(items))
  of_json = labelled.load(tmp_path / "a.json", SPACE)
  np.testing.assert_array_equal(of_json.genotypes, genotypes)
  np.testing.assert_allclose(of_json.columns["acc"], of_csv.columns["acc"])


def set_cell(name, value, row=2):
  def change(found):
    found[row][name] = value

  return change


def repeat(found):
  found[4] = found[1] | {"acc": "0.5"}


@pytest.mark.parametrize(
  "change, words",
  [
    (set_cell("ms", ""), "row 4: column 'ms' is empty"),
    (set_cell("ms", "fast"), "row 4: column 'ms' has 'fast'; legal: a finite"),
    (set_cell("acc", "nan"), "row 4: column 'acc' has 'nan'"),
    (
      set_cell("stage1.depth", "7"),
      r"row 4: column 'stage1.depth' has '7'; legal: \(2, 3, 4\)",
    ),
    (set_cell("stage1.layer0.kernel", ""), "'stage1.layer0.kernel' is empty"),
    (set_cell("ms", "1" * 400), "column 'ms' has '1"),
    (repeat, "row 6 is the network of row 3"),
  ],
)
def test_what_is_wrong_is_named(tmp_path, change, words):
  found, _ = rows()
  change(found)
  with pytest.raises(ValueError, match=words):
    labelled.load(write(tmp_path / "a.csv", found), SPACE)


def test_what_is_no_table(tmp_path):
  path = tmp_path / "a.csv"
  for text, words in (
    ("acc,acc\n1,2\n", "header has"),
    ("", "no networks"),
    ("resolution,acc\n192\n", "row 2 has 1 values"),
    ("resolution,acc\n192,1\n", "no column 'stage1.depth'"),
  ):
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
      labelled.load(path, SPACE)
  with pytest.raises(ValueError, match="space is not given"):
    labelled.load(path, None)
  with pytest.raises(ValueError, match=r"legal: \.csv, \.json, \.npz"):
    labelled.load(tmp_path / "a.txt", SPACE)
  item = rows(1)[0][0]
  for name, value in (
    ("stage1.depth", 10**400),
    ("stage1.depth", True),
    ("ms", 10**400),
  ):
    (tmp_path / "b.json").write_text(json.dumps([item | {name: value}]))
    with pytest.raises(ValueError, match=f"item 0: column {name!r} has"):
      labelled.load(tmp_path / "b.json", SPACE)
  (tmp_path / "b.json").write_text('[{"architecture": {"x": 1}, "acc": 1}]')
  with pytest.raises(ValueError, match="item 0: column 'architecture'"):
    labelled.load(tmp_path / "b.json", SPACE)


@pytest.mark.parametrize(
  ("arrays", "words"),
  [
    ({"s_ks": np.ones((3, 20), int)}, "lacks the array 's_expand'"),
    (
      {"arch": np.ones(3), "devices": np.ones(2), "latency_ms": np.ones(2)},
      r"labels\.npz.* arch has shape \[3\], devices \[2\] and latency_ms",
    ),
  ],
)
def test_published_files_that_are_damaged(arrays, words, tmp_path):
  np.savez(tmp_path / "labels.npz", **arrays)
  with pytest.raises(ValueError, match=words):
    labelled.load(tmp_path / "labels.npz", None)


def text_of(found, delimiter=",", ends="\r\n"):
  lines = [list(found[0]), *(list(row.values()) for row in found)]
  return "".join(delimiter.join(line) + ends for line in lines)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_spreadsheets(tmp_path, delimiter):
  """With a mark, other delimiters, and rows of empty cells around it."""
  found, genotypes = rows()
  empty = delimiter * (len(found[0]) - 1) + "\r\n"
  content = text_of(found, delimiter)
  first, _, rest = content.partition("\r\n")
  path = tmp_path / "a.csv"
  for document in (
    "\ufeff" + content,
    "\r\n" + content + empty + "\r\n",
    f"{first}\r\n{empty}\r\n{rest}{empty}",
    content.replace("resolution", '"resolution"', 1).replace("\r\n", "\r"),
  ):
    path.write_bytes(document.encode())
    of_csv = labelled.load(path, SPACE)
    np.testing.assert_array_equal(of_csv.genotypes, genotypes)
    np.testing.assert_allclose(of_csv.columns["ms"], 5.0 + np.arange(6))
    assert list(of_csv.columns) == ["acc", "ms"]


def test_csv_that_is_refused_in_a_line(tmp_path):
  found, _ = rows(3)
  path = tmp_path / "a.csv"
  content = text_of(found)
  for document, words in (
    (content.replace("0.71", '"0,71"'), "row 3: .* '0,71'; .* after a point"),
    (text_of(found, ";").replace("0.71", "0,71"), "'0,71'; legal: a finite"),
    (content.replace("0.71", "0.71,"), "row 3 has .* values; the header has"),
    (content.replace(",0.71", ""), "row 3 has .* values; the header has"),
    (content.replace("0.71", '"0\r\n71"'), r"row 4: column 'acc' has '0\\r"),
    (content.replace("0.71", '"0.71'), "row 4 has .* values; the header has"),
    (content.replace("acc", "ms"), r"the header has \['ms'\]"),
    (content.replace("acc", " "), "the header has an empty name"),
    (content.replace("stage1.depth", "depth"), "no column 'stage1.depth'"),
    (content.replace("0.71", "1" * 200_000), "field larger than field limit"),
    (content.partition("\n")[0], "has no networks"),
    ("\r\n,,\r\n", "has no networks"),
    ("\ufeff", "has no networks"),
  ):
    path.write_bytes(document.encode())
    with pytest.raises(ValueError, match=words) as told:
      labelled.load(path, SPACE)
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    assert len(str(told.value)) < 400


def test_json_that_is_refused_in_a_line(tmp_path):
  item = rows(1)[0][0]
  path = tmp_path / "a.json"
  for content, words in (
    ([["x" * 9999]], r"item 0 is \[.{,60}; legal: an object"),
    ([item | {"ms": "9" * 9999}], r"'ms' has .{,60}; legal: a finite"),
    ([item | {"ms": ["\u202e"]}], r"'ms' has \['\\\\?u202e'\]; legal"),
    ([item | {"ms": None}], "'ms' is empty"),
    ({"a": 1}, "holds dict; legal: a list"),
  ):
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words) as told:
      labelled.load(path, SPACE)
    assert str(path) in str(told.value) and len(str(told.value)) < 300
