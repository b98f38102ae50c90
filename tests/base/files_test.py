import os

import pytest

from fbnax.base import files


def test_interrupted_writing_leaves_the_old_text(tmp_path, monkeypatch):
  path = tmp_path / "a.json"
  files.write_atomically(path, "old")

  def stop(_):
    raise KeyboardInterrupt

  monkeypatch.setattr(files.os, "fsync", stop)
  with pytest.raises(KeyboardInterrupt):
    files.write_atomically(path, "new")
  assert path.read_text() == "old"
  assert list(tmp_path.iterdir()) == [path]
  monkeypatch.undo()
  files.write_atomically(path, "new")
  assert path.read_text() == "new"


def test_an_error_inside_leaves_the_old_content(tmp_path):
  path = tmp_path / "a.bin"
  files.write_atomically(path, b"old")
  with pytest.raises(RuntimeError), files.writing(path) as file:
    file.write(b"half")
    raise RuntimeError
  assert path.read_bytes() == b"old"
  assert list(tmp_path.iterdir()) == [path]


def test_what_killed_processes_were_writing_is_cleared(tmp_path):
  inner = tmp_path / "members" / "a"
  inner.mkdir(parents=True)
  killed = inner / ".model.json.1.tmp"
  mine = inner / f".model.json.{os.getpid()}.tmp"
  other = inner / ".hidden"
  for path in (killed, mine, other):
    path.write_text("half")
  assert files.clear_unfinished(tmp_path) == [killed]
  assert sorted(inner.iterdir()) == sorted([mine, other])


def test_the_path_that_cannot_be_written_is_named(tmp_path):
  path = tmp_path / "nowhere" / "a.json"
  with pytest.raises(OSError, match=r"nowhere/a\.json: cannot be written: No"):
    files.write_atomically(path, "text")
