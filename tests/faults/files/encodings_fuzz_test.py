"""Text files as other programs save them: the words written, or an error.

Names, ids, JSON and CSV in many encodings, with a byte-order mark, other line
ends, blank lines, NULs, cut within a character, absent, or a folder. UTF-8 with
or without a mark is read as what was written; what is no UTF-8 is refused, in a
line that a terminal shows; what was altered is read as its UTF-8 text says.

The long version of all kinds of files, 10,000 of them, or as many as
`FBNAX_FUZZ_CASES` says:

    python -m pytest -n 0 -m slow -s tests/faults/files

prints for each kind the seed, and how many were read and refused;
`FBNAX_FUZZ_SEED=7` draws other ones.
"""

import json
import re
from typing import NamedTuple

import numpy as np
import pytest

from fbnax.base import text
from fbnax.costs import LatencyTable, latency_convert
from fbnax.jobs.runtime import networks
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.nbdt import Hierarchy
from fbnax.nbdt import files as nbdt_files
from fbnax.search.autobuild import labelled
from fbnax.spaces import Recipe
from tests.faults import fuzz_test
from tests.faults.cases import SEED, check, is_told_in_a_line, share

LIMIT = 5.0  # CPU-seconds of a case.
ENCODINGS = (
  *("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-8-sig"),
  *("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"),
  *("latin-1", "cp1252", "shift_jis", "gb18030", "mac_roman"),
)
NAMES = (
  *("cat", "tench, Tinca tinca", "Forêt", "e\u0301te\u0301", "ß", "naïve"),
  *("日本語", "シャツ", "Ёлка", "🦊", "👩\u200d🚀", "مها", "size one = 1"),
  *("a;b", '"quoted"', "javascript: the good parts", "0", "None", "x\ty"),
  *("next\x85line", "line\u2028separator", "\u202egnp.exe", "N/A", "a" * 300),
)
IDS = ("n02084071", "n02121808", "f00000001", "café", "猫", "cat", "7", "dog")
ENDS = ("\n", "\n", "\r\n", "\r")
MARK = b"\xef\xbb\xbf"


class Drawn(NamedTuple):
  """A text file.

  Attributes:
    content: its bytes; None where there is no file, "" for a folder.
    written: the text that was written, before it was damaged.
    lacks_nothing: whether that is all of what was to be written.
  """

  content: bytes | str | None
  written: str
  lacks_nothing: bool


def encoded(random, words):
  """The words in some encoding, which lacks what that has no sign for."""
  encoding = random.choice(ENCODINGS)
  content = words.encode(encoding, "ignore")
  written = content.decode(encoding)
  lacks_nothing = written == words
  kind = random.randrange(24)
  at = random.randrange(len(content) + 1)
  if kind == 0:
    content = content[:at]
  elif kind == 1:
    more = random.choice((b"\x00", b"\xff", b"\x80", b"\xe3\x81", b"\xc3"))
    content = content[:at] + more + content[at:]
  elif kind == 2:
    content = content[:at] + b"\x00" * random.choice((1, 4096))
  elif kind == 3:
    content = random.choice((b"", MARK, b"\xff\xfe", b"\x00", b"\r\n \n"))
  elif kind == 4:
    return Drawn(random.choice((None, "")), written, lacks_nothing)
  return Drawn(content, written, lacks_nothing)


def truth(content):
  """What UTF-8 bytes say, None for others and for those with a NUL."""
  if not isinstance(content, bytes):
    return None
  try:
    words = content.removeprefix(MARK).decode("utf-8")
  except UnicodeDecodeError:
    return None
  return None if "\0" in words else words


def lines(words):
  """The names in a text, without the blank lines at its end."""
  found = [line.strip() for line in re.split("\r\n|\r|\n", words)]
  while found and not found[-1]:
    found.pop()
  return found


def draw_names(random, pool=NAMES):
  """A file of names, one a line as a rule."""
  names = random.sample(pool, random.randint(2, 6))
  for _ in range(random.choice((0, 0, 0, 0, 1))):
    names.insert(random.randrange(len(names)), random.choice(("", " ", "\t")))
  end = random.choice(ENDS)
  words = end.join(random.choice(("", "", "", " ")) + n for n in names)
  return encoded(random, words + end * random.choice((0, 1, 1, 2, 5)))


def put(path, content):
  """Makes the file, the folder, or nothing."""
  if path.is_dir():
    path.rmdir()
  path.unlink(missing_ok=True)
  if content == "":
    path.mkdir()
  elif content is not None:
    path.write_bytes(content)


def read_as_names(read, path, drawn):
  """Checks a reader of names."""
  put(path, drawn.content)
  words = truth(drawn.content)
  names = [] if words is None else lines(words)
  try:
    found = list(read(path, names))
  except Exception:
    # A list of distinct names in UTF-8 is all that is asked for, two of them.
    assert "" in names or len(set(names)) < max(len(names), 2), names
    raise
  assert words is not None, f"{found} of what is no UTF-8"
  assert found == names or found == [name for name in names if name]


def _class_names(path, names):
  # As many classes as the file has names.
  classes = [str(i) for i in range(max(len(names), 2))]
  return tree_settings.named(str(path), classes, "config.class_names")


NAME_READERS = {
  "names": (lambda path, names: text.read_names(path), NAMES),
  "class names": (_class_names, NAMES),
  "ids of classes": (lambda path, names: nbdt_files.class_ids(path), IDS),
}


def _hierarchy(path):
  found = Hierarchy.load(path)
  return found.children, found.ids, found.labels


def _labels(path):
  found = labelled.load(path, fuzz_test.SPACE)
  columns = {name: list(values) for name, values in found.columns.items()}
  return found.genotypes.tolist(), columns


# The JSON documents of a kind, the file's ending, and what reads it.
READERS = {
  "hierarchy": (".json", _hierarchy),
  "network": (".json", lambda path: networks.read_network(str(path))),
  "architecture": (".json", lambda path: networks.read_architecture(str(path))),
  "recipe": (".json", lambda path: networks.read_recipe_file(str(path))),
  "latency table": (".json", lambda path: LatencyTable.load(path).to_json()),
  "published table": (
    ".json",
    lambda path: latency_convert.convert(path, None).to_json(),
  ),
  "published.yaml": (
    ".yaml",
    lambda path: latency_convert.convert(path, None).to_json(),
  ),
  "labels.json": (".json", _labels),
  "labels.csv": (".csv", _labels),
}


def document(name):
  """A valid text of a kind, with names that are not ASCII where it has any."""
  if name == "hierarchy":
    names = ["日本語", "Forêt", "ß", "🦊", "tous", "alles"]
    tree = Hierarchy.from_children(
      [[0, 1], [2, 3, 4]], ids=[f"é{i}" for i in range(6)], labels=names
    )
    nodes = [
      {"id": i, "label": label}
      for i, label in zip(tree.ids, tree.labels, strict=True)
    ]
    links = [
      {"source": tree.ids[4 + i], "target": tree.ids[child]}
      for i, children in enumerate(tree.children)
      for child in children
    ]
    return {"graph": {}, "nodes": nodes, "links": links}
  if name in ("network", "architecture"):
    return json.loads(fuzz_test.NETWORK.to_json())
  if name == "recipe":
    return json.loads(Recipe().to_json())
  if name == "latency table":
    table = json.loads(fuzz_test.TABLE.to_json())
    return table | {"device": "Gerät №5 — 電話", "note": "mesuré à 25 °C"}
  if name == "published table":
    # A layer that changes the shape cannot be skipped.
    types = [9, *(8, 9, 9, 9) * 5, 8]
    rows = [np.linspace(100.5, 900.5, n).tolist() for n in types]
    return {"table": [None, *rows, None], "note": "Raspberry π"}
  if name == "published.yaml":
    return _yaml()
  items, _ = fuzz_test._networks()
  if name == "labels.json":
    return [item | {"Präzision": 0.5, "精度": 0.25} for item in items]
  columns = [*items[0], "Präzision", "精度"]
  rows = [[*map(str, item.values()), "0.5", "0.25"] for item in items]
  return "\n".join(",".join(row) for row in [columns, *rows]) + "\n"


def _yaml():
  """Rows as ProxylessNAS publishes them."""
  block = "-expand:6-kernel:3-stride:1-idskip:1"
  rows = [
    f"expanded_conv-input:{s}x{s}x8-output:{s}x{s}x8{block}" for s in "47"
  ]
  rows.append("Conv_1-input:4x4x8-output:4x4x16")
  rows.append("Logits-input:4x4x16-output:10")
  return "# gemessen für 電話\n" + "".join(
    f"{row}:\n  count: 154\n  mean: {0.1 + i / 7}\n  std: 0.2\n"
    for i, row in enumerate(rows)
  )


def draw_document(random, content):
  """A document in some encoding and form."""
  if not isinstance(content, str):
    content = json.dumps(
      content,
      ensure_ascii=random.random() < 0.2,
      indent=random.choice((None, 1)),
    )
  end = random.choice(("\n", "\n", "\r\n"))
  content = content.replace("\n", end) + random.choice(("", end))
  return encoded(random, content)


def read_as_document(read, path, drawn, whole):
  """Checks a reader of documents: what it reads is what UTF-8 bytes say.

  Args:
    read: the reader.
    path: for the file.
    drawn: the file.
    whole: what the reader makes of the document that was to be written.
  """
  put(path, drawn.content)
  words = truth(drawn.content)
  try:
    found = read(path)
  except Exception:
    # Each was valid before it was damaged.
    assert words is None or words != drawn.written
    raise
  assert words is not None, "what is no UTF-8 was read"
  if words == drawn.written and drawn.lacks_nothing:
    assert found == whole
  else:
    clean = path.parent / "clean" / path.name
    clean.parent.mkdir(exist_ok=True)
    clean.write_bytes(words.encode())
    assert found == read(clean)


def _drawn_and_read(name, folder):
  """What draws a reader's files, and what reads and checks them."""
  if name in NAME_READERS:
    read, pool = NAME_READERS[name]
    path = folder / "names.txt"
    return (
      lambda random: draw_names(random, pool),
      lambda drawn: read_as_names(read, path, drawn),
    )
  ending, read = READERS[name]
  content = document(name)
  path = folder / f"file{ending}"
  words = content if isinstance(content, str) else json.dumps(content)
  path.write_text(words, "utf-8")
  whole = read(path)
  return (
    lambda random: draw_document(random, content),
    lambda drawn: read_as_document(read, path, drawn, whole),
  )


def _check(name, cases, folder):
  """Reads so many files by one reader."""
  drawn, read = _drawn_and_read(name, folder)
  seen = check(drawn, read, cases, LIMIT, is_told_in_a_line)
  print(f"text, {name}: seed {SEED}, {dict(seen)}")
  return seen


KINDS = (*NAME_READERS, *READERS)


@pytest.mark.parametrize("name", KINDS)
def test_encodings(name, tmp_path):
  seen = _check(name, 60 if name in NAME_READERS else 25, tmp_path)
  assert seen["read"] and seen["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_encodings(name, tmp_path):
  _check(name, share(0.3 / len(KINDS)), tmp_path)
