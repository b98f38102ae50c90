import json
import math
import os

import numpy as np
import pytest

from fbnax.base import records

VALUE = {"b": [0.1 + 0.2, 1e-300, None], "a": {"name": "größe", "n": 2**53 + 1}}


def test_a_record_comes_back_to_the_last_bit(tmp_path):
  path = tmp_path / "search.json"
  assert records.read(path) is None
  assert records.write(path, VALUE) == VALUE == records.read(path)
  assert list(records.read(path)) == ["b", "a"]
  values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)
  records.write(
    path, {"x": values, "y": [-math.inf, math.nan, np.float32(0.1)]}
  )
  back = records.read(path)
  assert back["x"] == values.tolist()
  assert back["y"] == [None, None, float(np.float32(0.1))]


def _digit(text):
  return text.replace("0.3", "0.4")


def _cut(text):
  return text[: len(text) // 2]


def _old(text):
  """As without digests."""
  return json.dumps(json.loads(text)["value"])


@pytest.mark.parametrize(
  "alter",
  [
    _digit,
    _cut,
    _old,
    lambda text: text.replace('"b"', '"c"'),
    lambda text: text.replace("größe", "\\ud800"),
    lambda text: text.replace('"sha256": "', '"sha256": "0'),
    lambda text: text.replace('"value"', '"values"'),
    lambda text: text[:-3] + ', "more": 1}',
    lambda text: "",
    lambda text: "[" * 100_000,
    lambda text: "[1, 2]",
    lambda text: '"sha256 value"',
    lambda text: "\0\0\0",
  ],
)
def test_a_record_that_is_not_as_it_was_written_is_named(
  tmp_path, alter, caplog
):
  path = tmp_path / "search.json"
  records.write(path, VALUE)
  altered = alter(path.read_text("utf-8"))
  path.write_text(altered, "utf-8")
  assert records.read(path) is None
  assert str(path) in caplog.text and len(caplog.records) == 1


def test_no_byte_of_a_record_can_change_unseen(tmp_path):
  path = tmp_path / "a.json"
  value = {"accuracy": [0.5, None], "name": "a"}
  records.write(path, value)
  content = path.read_bytes()
  for place in range(0, len(content), 2):
    damaged = bytearray(content)
    damaged[place] ^= 1 << place % 8
    path.write_bytes(damaged)
    assert records.read(path) in (None, value)


def test_a_record_of_another_name_is_none(tmp_path, caplog):
  records.write(tmp_path / "safe-0.json", VALUE)
  (tmp_path / "safe-0.json").rename(tmp_path / "safe-1.json")
  assert records.read(tmp_path / "safe-1.json") is None
  assert "safe-1.json" in caplog.text


def test_a_record_that_cannot_be_read_is_an_error(tmp_path):
  (tmp_path / "a.json").mkdir()
  with pytest.raises(OSError, match=r"a\.json: cannot be read"):
    records.read(tmp_path / "a.json")


ROWS = {0: [0.1, None], "ridge": {"rmse": 1e-300}, ("ridge", 16, 1): 0.3}


def _rows(path):
  rows = records.open_rows(path)
  rows.add({0: ROWS[0]})
  rows.add({key: value for key, value in ROWS.items() if key != 0})
  return rows


def test_rows_come_back_in_order(tmp_path):
  path = tmp_path / "scores.jsonl"
  assert records.open_rows(path).values == {} and not path.exists()
  assert _rows(path).values == ROWS
  again = records.open_rows(path)
  assert list(again.values.items()) == list(ROWS.items())
  with pytest.raises(ValueError, match=r"has rows \['0'\] already"):
    again.add({0: [0.2], 1: [0.3]})
  again.add({})
  again.add({1: [-math.inf, np.float64(math.pi)]})
  assert records.open_rows(path).values == ROWS | {1: [None, math.pi]}


@pytest.mark.parametrize(
  "alter, line, lost",
  [
    (lambda lines: [lines[0].replace(b"0.1", b"1.1"), *lines[1:]], 1, [0]),
    (lambda lines: [lines[0], b"[1.0]\n", lines[2]], 2, ["ridge"]),
    (lambda lines: [lines[0], b"\xff\xfe\0\n", lines[2]], 2, ["ridge"]),
    (lambda lines: [*lines[:2], lines[2][:-9]], 3, [("ridge", 16, 1)]),
    (lambda lines: [*lines[:2], lines[2][:-1]], 3, [("ridge", 16, 1)]),
    (lambda lines: [*lines, lines[0]], 4, []),
    (lambda lines: [*lines, b"[" * 100_000 + b"\n"], 4, []),
    (lambda lines: [*lines, b"\n"], 4, []),
    (
      lambda lines: [lines[0].replace(b", 0, ", b", 7, "), *lines[1:]],
      1,
      [0],
    ),
  ],
)
def test_rows_that_are_not_as_they_were_written_are_named(
  tmp_path, alter, line, lost, caplog
):
  """All others are gone on with, and what was lost can be added again."""
  path = tmp_path / "scores.jsonl"
  _rows(path)
  path.write_bytes(b"".join(alter(path.read_bytes().splitlines(True))))
  rows = records.open_rows(path)
  assert rows.values == {k: v for k, v in ROWS.items() if k not in lost}
  assert f"{path}: line {line} " in caplog.text
  assert len(caplog.records) == 1
  rows.add({key: ROWS[key] for key in lost})
  caplog.clear()
  assert records.open_rows(path).values == ROWS
  assert not caplog.records


def test_rows_of_another_kind_are_named(tmp_path, caplog):
  path = tmp_path / "scores.jsonl"
  _rows(path)
  rows = records.open_rows(path, lambda key, _: isinstance(key, tuple))
  assert rows.values == {("ridge", 16, 1): 0.3}
  assert "line 1 is another kind of row" in caplog.text
  # Rows of another file are none of this one.
  path.rename(tmp_path / "networks.jsonl")
  assert records.open_rows(tmp_path / "networks.jsonl").values == {}


def test_rows_that_cannot_be_added_leave_those_that_are_there(
  tmp_path, monkeypatch
):
  path = tmp_path / "scores.jsonl"
  rows = _rows(path)
  before = path.read_bytes()

  def full(_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match=r"scores\.jsonl: cannot be written: No sp"):
    rows.add({1: [0.5]})
  monkeypatch.undo()
  assert path.read_bytes() == before and rows.values == ROWS
  rows.add({1: [0.5]})
  assert records.open_rows(path).values == ROWS | {1: [0.5]}
