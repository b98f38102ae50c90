"""Copies the work directory of a run that goes on.

    python launch/snapshot.py WORKDIR ARCHIVE.tgz

A run can go on from the copy as from a kill at that moment. SQLite's files are
copied by SQLite, since the pages of a file that is written meanwhile would be
of two states; all others appear as a whole and are never changed, or only
added to. What vanishes while it is copied, old checkpoints, was not needed.
"""

import contextlib
import pathlib
import sqlite3
import sys
import tarfile
import tempfile


def snapshot(workdir: pathlib.Path, archive: pathlib.Path) -> None:
  """Writes the files of a work directory, by their paths in it."""
  with (
    tempfile.TemporaryDirectory() as folder,
    tarfile.open(archive, "w:gz") as tar,
  ):
    for path in sorted(workdir.glob("*.sqlite")):
      copy = pathlib.Path(folder, path.name)
      with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
      ):
        source.backup(target)
      tar.add(copy, path.name)
    for path in sorted(workdir.rglob("*")):
      name = path.relative_to(workdir).as_posix()
      is_copied = ".sqlite" in path.name and path.parent == workdir
      if is_copied or name == "lock" or path.name.endswith(".tmp"):
        continue
      with contextlib.suppress(FileNotFoundError):
        tar.add(path, name, recursive=False)


if __name__ == "__main__":
  snapshot(*map(pathlib.Path, sys.argv[1:]))
