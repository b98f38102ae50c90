"""Records of progress that were damaged: what was written, or nothing.

Files as a run leaves them, with lines cut, doubled, reordered, changed by hand,
of other files and of other kinds. What is read is a part of what was written,
value by value; a row that nobody touched is not lost; nothing is an error but a
file that the system refuses. Afterwards the file is sound: it reads the same
once more, and takes new rows.

The command of the long version: `encodings_fuzz_test.py` beside this file.
"""

import json
import logging
import random as random_module
import re
import shutil
from typing import Any, NamedTuple

import pytest

from fbnax.base import records
from tests.faults import mutations
from tests.faults.cases import SEED, check, is_told_in_a_line, share

LIMIT = 5.0  # CPU-seconds of a case.
NAMES = ("ridge", "small-200k", "é日本", "a/b", "", "javascript: x", "\x1b[2J")


class Drawn(NamedTuple):
  """A file of records.

  Attributes:
    content: its bytes as it was left; None for a folder in its place.
    written: the values by key, before it was damaged.
    whole: keys of the rows that nobody touched.
    notes: what was done.
  """

  content: bytes | None
  written: dict[Any, Any]
  whole: tuple[Any, ...]
  notes: tuple[str, ...]


def value(random, depth=0):
  """What a job may record."""
  kind = random.randrange(9 if depth < 2 else 6)
  if kind == 0:
    return random.choice((None, True, False, 0, 1, -1, 2**40))
  if kind in (1, 2):
    number = random.choice((random.random(), 1e-300, 0.1 + 0.2, -0.0, 3.0))
    return number
  if kind in (3, 4):
    return random.choice(NAMES)
  if kind == 5:
    return random.randrange(1000)
  if kind == 6:
    return [value(random, depth + 1) for _ in range(random.randrange(4))]
  return {
    name: value(random, depth + 1)
    for name in random.sample(NAMES, random.randrange(4))
  }


def key(random):
  """What a job may record it under."""
  return random.choice(
    (
      random.randrange(30),
      random.choice(NAMES),
      (random.randrange(9), random.choice(NAMES)),
    )
  )


def same(a, b):
  """Whether both are equal, and of the same types, to the bit."""
  return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def by_hand(random, line):
  """A line in which somebody changed something, and left it JSON."""
  try:
    document = json.loads(line)
  except (ValueError, RecursionError):  # Damaged already.
    document = None
  changed = mutations.changed(random, document)
  words = json.dumps(changed, ensure_ascii=False).encode(
    "utf-8", "surrogatepass"
  )
  return mutations.expanded(words)


def number_changed(random, line):
  """A line with another digit somewhere."""
  digits = [m.start() for m in re.finditer(rb"\d", line)]
  at = random.choice(digits or [0])
  return line[:at] + b"%d" % random.randrange(10) + line[at + 1 :]


def flipped(random, line):
  return mutations.flipped(random, line) if line else b"\0"


def garbage(random, line):
  del line
  return random.choice(
    (
      *(b"", b"{}", b"[]", b"null", b"[1, 2]", b"[1, 2, 3]", b"\0" * 40),
      *(b"[[], [], []]", b"\xff\xfe", b"[" * 60_000, b'{"a":' * 60_000),
      *(b"[1, {}, 2]", b"NaN", b"1e999", b'["a", 1, "' + b"0" * 64 + b'"]'),
    )
  )


CHANGES = (by_hand, by_hand, number_changed, number_changed, flipped, garbage)


def draw_rows(random, folder):
  """A file of rows, of which some were damaged."""
  written = {}
  path = folder / "rows.jsonl"
  path.unlink(missing_ok=True)
  rows = records.open_rows(path)
  for _ in range(random.randint(1, 4)):
    added = {key(random): value(random) for _ in range(random.randrange(1, 4))}
    added = {k: v for k, v in added.items() if k not in written}
    rows.add(added)
    written |= added
  lines = path.read_bytes().splitlines(keepends=True)
  assert len(lines) == len(written)
  other = folder / "other.jsonl"
  other.unlink(missing_ok=True)
  records.open_rows(other).add({k: 0 for k in written})
  foreign = other.read_bytes().splitlines(keepends=True)
  labelled = list(zip(lines, written, strict=True))
  notes = []
  for _ in range(random.choice((0, 1, 1, 2, 3))):
    if not labelled:
      break
    at = random.randrange(len(labelled))
    line, name = labelled[at]
    kind = random.choice(
      ("change", "change", "change", "double", "move", "drop", "other")
    )
    notes.append(kind)
    if kind == "change":
      content = random.choice(CHANGES)(random, line.rstrip(b"\n")) + b"\n"
      labelled[at] = content, name if content == line else None
    elif kind == "double":
      labelled.insert(random.randrange(len(labelled) + 1), (line, name))
    elif kind == "move":
      labelled.insert(random.randrange(len(labelled)), labelled.pop(at))
    elif kind == "drop":
      del labelled[at]
    else:
      labelled.insert(at, (random.choice(foreign), None))
  if labelled and random.random() < 0.2:
    line, _ = labelled[-1]
    labelled[-1] = line[: random.randrange(len(line))], None
    notes.append("cut")
  content = b"".join(line for line, _ in labelled)
  whole = {name for _, name in labelled if name is not None}
  return Drawn(content, written, tuple(whole), tuple(notes))


def put(path, content):
  """Makes the file, or a folder in its place."""
  if path.is_dir():
    shutil.rmtree(path)
  path.unlink(missing_ok=True)
  if content is None:
    path.mkdir()
  else:
    path.write_bytes(content)


def read_rows(folder, drawn):
  """Opens the rows, and compares them with those that were written."""
  path = folder / "rows.jsonl"
  put(path, drawn.content)
  found = dict(records.open_rows(path).values)
  for name, row in found.items():
    assert name in drawn.written, f"row {name!r} was never written"
    assert same(row, drawn.written[name]), f"row {name!r} is another one"
  lost = set(drawn.whole) - set(found)
  assert not lost, f"rows {lost} were not touched"
  again = records.open_rows(path)
  assert list(again.values) == list(found)
  again.add({"new": [1.5]})
  last = records.open_rows(path).values
  assert last["new"] == [1.5] and len(last) == len(found) + 1


def draw_value(random, folder):
  """A file of one value, perhaps damaged."""
  written = value(random)
  path = folder / "record.json"
  put(path, b"")
  records.write(path, written)
  content = path.read_bytes()
  other = folder / "another.json"
  records.write(other, value(random))
  kind = random.choice(
    ("none", "change", "change", "change", "cut", "moved", "twice", "folder")
  )
  if kind == "change":
    content = random.choice(CHANGES)(random, content)
  if kind == "cut":
    content = content[: random.randrange(len(content))]
  if kind == "moved":
    content = other.read_bytes()
  if kind == "twice":
    content *= 2
  if kind == "folder":
    content = None
  whole = (None,) if kind == "none" else ()
  return Drawn(content, {None: written}, whole, (kind,))


def read_value(folder, drawn):
  """Reads the value, and compares it with the one that was written."""
  path = folder / "record.json"
  put(path, drawn.content)
  found = records.read(path)
  if found is None:
    assert not drawn.whole or drawn.written[None] is None
  else:
    assert same(found, drawn.written[None]), f"{found!r} was never written"


def _drawn_and_read(name, folder):
  """What draws files of a kind, and what reads and checks them."""
  draw, read = {
    "rows": (draw_rows, read_rows),
    "values": (draw_value, read_value),
  }[name]
  return lambda random: draw(random, folder), lambda drawn: read(folder, drawn)


KINDS = {"rows": (60, 0.06), "values": (60, 0.04)}


@pytest.fixture(autouse=True)
def without_warnings():
  """Each damaged file is told, and pytest would keep it all."""
  logging.disable(logging.WARNING)
  yield
  logging.disable(logging.NOTSET)


def _check(name, cases, folder):
  drawn, read = _drawn_and_read(name, folder)
  seen = check(drawn, read, cases, LIMIT, is_told_in_a_line)
  print(f"records, {name}: seed {SEED}, {dict(seen)}")
  return seen


@pytest.mark.parametrize("name", KINDS)
def test_records(name, tmp_path):
  seen = _check(name, KINDS[name][0], tmp_path)
  assert seen["read"]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_records(name, tmp_path):
  _check(name, share(KINDS[name][1]), tmp_path)


def test_what_is_changed_by_hand_is_still_json():
  random = random_module.Random(0)
  for _ in range(20):
    json.loads(by_hand(random, b'[1.5, "key", "digest"]'))
