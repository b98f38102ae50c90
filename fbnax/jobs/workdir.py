"""The work directory: all that a run leaves, and what a restart goes on from.

`config.json` is what the run was started with, `times.json` the seconds each
phase has taken over all starts and `compiling.json` those of them that went
into programs before they ran, `result.json` its end; `lock` is held while a
process works here. Starting the same command again resumes.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absl import logging

from fbnax.base import json_values
from fbnax.base.files import naming, write_atomically
from fbnax.base.flat import flat
from fbnax.base.json_values import plain, to_json
from fbnax.jobs import compile_times

CONFIG = "config.json"
TIMES = "times.json"
COMPILING = "compiling.json"
_SECONDS = (TIMES, COMPILING)
RESULT = "result.json"
REPORT = "report.html"
LOCK = "lock"
_ABSENT = "(absent)"


@dataclasses.dataclass(frozen=True)
class WorkDir:
  """An open work directory; `open_workdir` makes it.

  Attributes:
    path: its absolute path.
    config: what the run was started with, as JSON gives it back.
    resumed: it was there before.
    lock: descriptor of the locked file; the lock goes with the process.
  """

  path: Path
  config: dict[str, Any]
  resumed: bool
  lock: int

  @contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """Adds the time of this block to that of the phase.

    A phase that is stopped counts; of one that is killed (SIGKILL) the time
    since it last began is lost.

    Raises:
      OSError: the times cannot be written.
    """
    spans = compile_times.listen()
    start, compiled = time.monotonic(), spans.total
    try:
      yield
    finally:
      self._add(TIMES, name, time.monotonic() - start)
      self._add(COMPILING, name, spans.total - compiled)

  def times(self) -> dict[str, float]:
    """Seconds by phase, in the order in which they first ended."""
    return _read(self.path / TIMES) or {}

  def spent(self) -> dict[str, Any]:
    """`times` of a result.

    Returns:
      `phases`, seconds by phase; `total`, of all; and `compiling`, those of
      each phase in which programs were traced, lowered and compiled, or read
      from the cache.
    """
    phases = self.times()
    return {
      "phases": phases,
      "total": sum(phases.values()),
      "compiling": _read(self.path / COMPILING) or {},
    }

  def _add(self, file: str, name: str, seconds: float) -> None:
    found = _read(self.path / file) or {}
    found[name] = found.get(name, 0.0) + seconds
    text = to_json(found, indent=2, sort=False)
    write_atomically(self.path / file, text + "\n")

  def is_done(self) -> bool:
    """The run has written its result."""
    return is_done(self.path)

  def result(self) -> dict[str, Any] | None:
    """What `write_result` wrote, or None."""
    return _read(self.path / RESULT)

  def write_result(self, result: Mapping[str, Any]) -> None:
    """Ends the run: the result is there as a whole or not at all.

    Args:
      result: of numbers, strings, arrays, lists and dicts; NaN and infinities
        become null.

    Raises:
      ValueError: something else is in it; its key is named.
      OSError: it cannot be written.
    """
    text = to_json(plain(result, "result"), indent=2, sort=False)
    write_atomically(self.path / RESULT, text + "\n")

  def close(self) -> None:
    """Lets other processes work here."""
    os.close(self.lock)

  def __enter__(self) -> WorkDir:
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    if kind is not None and issubclass(kind, ValueError):
      self._forget_config()
    self.close()

  def _forget_config(self) -> None:
    """A run that was refused before it left anything binds no later one."""
    if {file.name for file in self.path.iterdir()} <= {CONFIG, *_SECONDS, LOCK}:
      for name in (CONFIG, *_SECONDS):
        (self.path / name).unlink(missing_ok=True)


def open_workdir(
  path: str | Path, config: Any, ignore: Sequence[str] = ()
) -> WorkDir:
  """Makes the work directory, or opens it to go on.

  Args:
    path: of the directory.
    config: dict or ConfigDict; what JSON can say.
    ignore: keys that do not matter for the result, `log_every` or, with all
      that is below, `report`. They may differ from those of the first start.

  Raises:
    ValueError: it holds a run of another config (each key that differs is
      named with both values), its `config.json` is damaged, or another process
      works in it.
    OSError: it cannot be made or written.
  """
  path = Path(path).absolute()
  wanted = plain(config, "config")
  with naming(path, "cannot be made a work directory"):
    path.mkdir(parents=True, exist_ok=True)
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
  try:
    _take(lock, path)
    file = path / CONFIG
    resumed = file.exists()
    found = wanted
    if resumed:
      found = _read(file)
      if found is None:
        raise ValueError(
          f"{file}: damaged; choose another work directory, or put back the"
          " config that this run was started with"
        )
      _compare(path, found, wanted, ignore)
    else:
      write_atomically(file, to_json(wanted, indent=2) + "\n")
  except BaseException:
    os.close(lock)
    raise
  return WorkDir(path, found, resumed, lock)


def is_done(path: str | Path) -> bool:
  """A run has ended in this directory."""
  return _read(Path(path) / RESULT) is not None


def read_run(path: str | Path, job: str) -> dict[str, Any]:
  """The `result.json` of a finished run of a job.

  Raises:
    ValueError: there is none; the file is named.
  """
  file = Path(path) / RESULT
  try:
    result = json_values.read_object(file)
  except (FileNotFoundError, NotADirectoryError):
    raise ValueError(f"{path} holds no finished run: no {file}") from None
  except ValueError as error:
    raise ValueError(f"{file} is damaged: {error}") from error
  found = result.get("job")
  if found != job:
    raise ValueError(
      f"{file} is of job {json_values.shown(found)}; legal: {job!r}"
    )
  return result


def describe(path: str | Path) -> str:
  """One line: what starting a run in this directory means."""
  path = Path(path)
  if is_done(path):
    end = next(
      f for f in (REPORT, RESULT) if f == RESULT or (path / f).exists()
    )
    return f"all is done: {path / end}"
  if (path / CONFIG).exists():
    return f"goes on in {path}"
  return f"starts in {path}"


def _take(lock: int, path: Path) -> None:
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
    raise ValueError(
      f"{path}: process {holder or '(unknown)'} works here; wait for it, stop"
      " it, or choose another work directory"
    ) from None
  except OSError as error:  # Some network file systems know no locks.
    logging.warning("%s: not locked against other processes: %s", path, error)
    return
  with naming(path / LOCK, "cannot be written"):
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _read(path: Path) -> dict[str, Any] | None:
  """The JSON object in a file; None if there is no file, or no object in it."""
  try:
    with naming(path, "cannot be read"):
      content = json.loads(path.read_text("utf-8"))
  except (FileNotFoundError, NotADirectoryError):
    return None
  except ValueError as error:
    logging.warning("%s: damaged: %s", path, error)
    return None
  return content if isinstance(content, dict) else None


def _compare(
  path: Path, found: dict[str, Any], wanted: Any, ignore: Sequence[str]
) -> None:
  before, now = flat(found), flat(wanted)
  lines = []
  for key in sorted({*before, *now}):
    if any(key == name or key.startswith(f"{name}.") for name in ignore):
      continue
    values = [flat.get(key, _ABSENT) for flat in (before, now)]
    if to_json(values[0]) != to_json(values[1]):
      lines.append(f"  {key}: there {values[0]!r}, now {values[1]!r}")
  if lines:
    raise ValueError(
      f"{path}: holds a run of another config:\n"
      + "\n".join(lines)
      + "\nchoose"
      " another work directory, or the values that are there"
    )
