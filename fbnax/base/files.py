"""Files that are either whole or absent.

Everything a run leaves is read again when the run is restarted, so a file is
written beside its place, synced, and moved there in one step. What a killed
process was writing stays beside it under a name that `clear_unfinished` knows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

# The name beside a file while it is written, by which process.
_UNFINISHED = re.compile(r"\..+\.(\d+)\.tmp")


def write_atomically(
  path: str | os.PathLike[str], content: str | bytes
) -> None:
  """Replaces the file: whoever reads it finds the old content or the new one.

  Text is written in UTF-8, bytes as they are.

  Raises:
    OSError: it cannot be written; the path is named, the old content is there.
  """
  with writing(path) as file:
    file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
  """A file to write bytes to, which replaces `path` when the block ends.

  Where the block raises, or the process is killed in it, what was at `path`
  stays.

  Yields:
    The open file.

  Raises:
    OSError: it cannot be written; the path is named.
  """
  path = Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  with naming(path, "cannot be written"):
    try:
      with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
      temporary.replace(path)
    except BaseException:
      temporary.unlink(missing_ok=True)
      raise
    sync_directory(path.parent)


def clear_unfinished(
  directory: str | os.PathLike[str], *, own: bool = False
) -> list[Path]:
  """Removes what killed processes were writing, in all folders below.

  To be called by the one process that works in the directory. What belongs to
  the calling process is left alone.

  Args:
    directory: of the files.
    own: also what belongs to a process of the same number, as the next one has
      in a container; this one is not writing yet.

  Returns:
    The paths that were removed.
  """
  removed = []
  for folder, _, files in os.walk(directory):
    for name in files:
      match = _UNFINISHED.fullmatch(name)
      if match and (own or int(match[1]) != os.getpid()):
        path = Path(folder, name)
        path.unlink(missing_ok=True)
        removed.append(path)
  return removed


def is_unfinished(name: str) -> bool:
  """Whether a file of that name is one that was never finished."""
  return _UNFINISHED.fullmatch(name) is not None


def check_links(directory: str | os.PathLike[str]) -> None:
  """Looks at all that is below a directory, which may itself be a link.

  Raises:
    ValueError: a link leads out of it, or something is neither a file nor a
      folder nor a link (a named pipe, a socket, a device); it is named. A
      reader would open what is none of the directory's, or wait for ever.
  """
  root = os.path.realpath(directory)
  folders = [os.fspath(directory)]
  while folders:
    try:
      with os.scandir(folders.pop()) as entries:
        for entry in entries:
          if entry.is_symlink():
            inside(root, entry.path)
          elif entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
          elif not entry.is_file(follow_symlinks=False):
            _refuse_special(entry.path)
    except OSError:  # Absent, or taken away meanwhile; or told when it is read.
      continue


def inside(root: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
  """The path, where it leads to a file or a folder of the root, or to nothing.

  Args:
    root: a directory, which may itself be a link.
    path: below it.

  Raises:
    ValueError: links lead out of the root, or to what is neither a file nor a
      folder; the path and where it leads are named.
  """
  target = os.path.realpath(path)
  if not Path(target).is_relative_to(os.path.realpath(root)):
    raise ValueError(
      f"{path} leads out of {root}, to {target}; legal: files of the directory,"
      " and links to such"
    )
  path = Path(path)
  if path.exists() and not (path.is_file() or path.is_dir()):
    _refuse_special(path)
  return path


def _refuse_special(path: str | os.PathLike[str]) -> NoReturn:
  raise ValueError(
    f"{path} is a named pipe, a socket or a device; legal: files and folders"
  )


def sync_directory(path: str | os.PathLike[str]) -> None:
  """Makes the names in a directory last through a power cut."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


@contextmanager
def naming(path: str | os.PathLike[str], what: str) -> Iterator[None]:
  """Lets an OSError say which path failed at what; `write` itself does not."""
  try:
    yield
  except OSError as error:
    reason = error.strerror or str(error)
    raise OSError(error.errno, f"{path}: {what}: {reason}") from error
