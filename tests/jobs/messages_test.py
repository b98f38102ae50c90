import json
from pathlib import Path

import numpy as np
import pytest

from fbnax.base import text
from fbnax.jobs.runtime.messages import escaping, explain
from fbnax.spaces import zoo


def _raised(function):
  with pytest.raises(Exception) as caught:
    function()
  return caught.value


def test_files_that_the_system_refuses_are_told(tmp_path):
  (tmp_path / "file").touch()
  for path, words in (
    (tmp_path / "absent", "No such file or directory"),
    (tmp_path / "file" / "below", "Not a directory"),
    (tmp_path / ("a" * 300), "File name too long"),
  ):
    assert explain(_raised(path.read_text)) == f"{path}: {words}"


def test_files_that_this_package_could_not_read_are_told(tmp_path):
  error = _raised(lambda: text.read(tmp_path / "a"))
  words = f"{tmp_path / 'a'}: cannot be read: No such file or directory"
  assert explain(error) == words


def test_what_libraries_raise_of_their_own_accord_is_not():
  for function in (
    lambda: np.zeros(3).reshape(2, 2),
    lambda: {}["a"],
    lambda: json.loads("{"),
  ):
    assert explain(_raised(function)) is None


def test_what_is_echoed_is_told_escaped():
  error = _raised(lambda: zoo.get("a\x1b[2J\u202eb"))
  assert r"a\x1b[2J\u202eb" in explain(error)
  assert "\x1b" not in explain(error) and "\u202e" not in explain(error)
  path = "\u2066/absent\x07"
  told = explain(_raised(Path(path).read_bytes))
  assert told == r"\u2066/absent\x07: No such file or directory"


def test_what_is_printed_is_escaped(capsys):
  with escaping():
    print("tables/a: 3 entries of pixel\u202e3\x1b]0;x\x07", flush=True)
    print("caf\u00e9", "\ud800", end="\n\n")
  print("\x1b as it is")
  shown = capsys.readouterr().out
  assert shown == (
    "tables/a: 3 entries of pixel\\u202e3\\x1b]0;x\\x07\n"
    "caf\u00e9 \\ud800\n\n\x1b as it is\n"
  )
