"""Copies the work directory of a run that goes on.

    python launch/snapshot.py WORKDIR ARCHIVE.tgz

A run can go on from the copy as from a kill at that moment. SQLite's files are
copied by SQLite, since the pages of a file that is written meanwhile would be
of two states; all others appear as a whole and are never changed, or only
added to. Old checkpoints vanish while newer ones appear: compressing all takes
longer than that, so the files are linked first, which is done at once.
"""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import sys
import tarfile

from fbnax.base import files

_TRIES = 20  # To link all while nothing vanishes.


def snapshot(workdir: pathlib.Path, archive: pathlib.Path) -> None:
  """Writes the files of a work directory, by their paths in it."""
  # Beside it, since links do not lead to other file systems.
  folder = workdir.absolute().with_name(f".{workdir.name}.snapshot")
  try:
    for _ in range(_TRIES):
      shutil.rmtree(folder, ignore_errors=True)
      if _link(workdir, folder):
        break
    # Last, so that they know of all that the files are about.
    for path in workdir.glob("*.sqlite"):
      with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(folder / path.name)) as target,
      ):
        source.backup(target)
    with (
      files.writing(archive) as file,
      tarfile.open(fileobj=file, mode="w:gz") as tar,
    ):
      for item in sorted(folder.iterdir()):
        tar.add(item, item.name)
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def _link(workdir: pathlib.Path, folder: pathlib.Path) -> bool:
  """Links what is to be copied; whether nothing vanished meanwhile."""
  gone: list[OSError] = []
  for place, _, names in os.walk(workdir, onerror=gone.append):
    into = folder / pathlib.Path(place).relative_to(workdir)
    into.mkdir(parents=True)
    for name in names:
      file = pathlib.Path(place, name)
      of_workdir = file.parent == workdir and (
        ".sqlite" in name or name == "lock"
      )
      if of_workdir or name.endswith(".tmp"):
        continue
      try:
        _link_or_copy(file, into / name)
      except FileNotFoundError as error:
        gone.append(error)
  return not gone


def _link_or_copy(file: pathlib.Path, to: pathlib.Path) -> None:
  try:
    os.link(file, to)
  except FileNotFoundError:
    raise
  except OSError:  # Some file systems know no links.
    shutil.copy2(file, to)


if __name__ == "__main__":
  snapshot(*map(pathlib.Path, sys.argv[1:]))
