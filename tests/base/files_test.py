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
  assert files.clear_unfinished(tmp_path, own=True) == [mine]


def test_the_path_that_cannot_be_written_is_named(tmp_path):
  path = tmp_path / "nowhere" / "a.json"
  with pytest.raises(OSError, match=r"nowhere/a\.json: cannot be written: No"):
    files.write_atomically(path, "text")


def _tree(tmp_path):
  """A directory, a link to it, and a file beside it."""
  root = tmp_path / "disk" / "run"
  (root / "members" / "a").mkdir(parents=True)
  (root / "members" / "a" / "card.json").write_text("{}")
  (tmp_path / "run").symlink_to(root)
  (tmp_path / "outside.json").write_text("{}")
  return tmp_path / "run"


@pytest.mark.parametrize(
  "target",
  [
    "members/a/card.json",
    "members",
    "absent.json",
    "members/../members/a/card.json",
  ],
)
def test_links_that_stay_inside(tmp_path, target):
  root = _tree(tmp_path)
  (root / "link").symlink_to(target)
  files.check_links(root)
  assert files.inside(root, root / "link") == root / "link"
  (root / "link").unlink()
  (root / "link").symlink_to((root / target).absolute())
  files.check_links(root)


@pytest.mark.parametrize(
  "place, target",
  [
    ("a.json", "../../outside.json"),
    ("members/b", "../../../outside.json"),
    ("members/c", "../../.."),
    ("d.json", "/dev/null"),
    ("e.json", "/nowhere/at/all"),
    # A longer name that begins as the directory's.
    ("f.json", "../run-2/result.json"),
  ],
)
def test_links_that_lead_out(tmp_path, place, target):
  root = _tree(tmp_path)
  (root / place).symlink_to(target)
  with pytest.raises(ValueError, match=rf"{place} leads out of .*, to /"):
    files.check_links(root)
  with pytest.raises(ValueError, match="leads out of"):
    files.inside(root, root / place)


def test_links_that_lead_out_by_another_link(tmp_path):
  root = _tree(tmp_path)
  (root / "a").symlink_to("b")
  (root / "b").symlink_to("../../outside.json")
  with pytest.raises(ValueError, match="leads out of"):
    files.inside(root, root / "a")
  # So does a file below a folder that is such a link.
  (root / "c").symlink_to("../..")
  with pytest.raises(ValueError, match="leads out of"):
    files.inside(root, root / "c" / "outside.json")


def test_what_is_neither_a_file_nor_a_folder(tmp_path):
  root = _tree(tmp_path)
  os.mkfifo(root / "members" / "pipe")
  with pytest.raises(ValueError, match="pipe is a named pipe, a socket or a"):
    files.check_links(root)
  (root / "link").symlink_to("members/pipe")
  with pytest.raises(ValueError, match="link is a named pipe"):
    files.inside(root, root / "link")


def test_a_circle_of_links_and_a_directory_that_is_not_there(tmp_path):
  files.check_links(tmp_path / "absent")
  (tmp_path / "a").symlink_to("b")
  (tmp_path / "b").symlink_to("a")
  files.check_links(tmp_path)
