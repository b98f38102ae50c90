"""The work directory: all that a run leaves, and what a restart goes on from.

`config.json` is what the run was started with, `times.json` the seconds each
phase has taken over all starts and `compiling.json` those of them that went
into programs before they ran, `result.json` its end; `lock` is held while a
process works here. Starting the same command again resumes.

A run that fails before it has left anything to go on from is forgotten, so that
another one may be started in its place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from absl import logging

from fbnax.base import files, json_values, records
from fbnax.base.files import naming, write_atomically
from fbnax.base.flat import flat
from fbnax.base.json_values import plain, to_json
from fbnax.jobs.runtime import compile_times

_T = TypeVar("_T")
CONFIG = "config.json"
TIMES = "times.json"
COMPILING = "compiling.json"
_SECONDS = (TIMES, COMPILING)
RESULT = "result.json"
REPORT = "report.html"
LOCK = "lock"
TRIALS = "trials.sqlite"
PROXIES = "proxies.json"
_ABSENT = "(absent)"
# What is there before a run has done anything.
_BEFORE_WORK = (CONFIG, *_SECONDS, LOCK, PROXIES)
_EVENTS = "tensorboard"  # Drawn from the metrics.
# What jobs go on from, whatever its config was.
_PROGRESS = (
  *("checkpoints", "members", "hierarchies", "searches", "cases", TRIALS),
  "supernet",
  *("metrics.jsonl", "scores.jsonl", "parts.jsonl", "networks.jsonl"),
  *("hierarchies.jsonl", "parts.json"),
  *("search.json", "memory.json", "pretraining.json", "predictor0.npz"),
)


@dataclasses.dataclass(frozen=True)
class WorkDir:
  """An open work directory; `open_workdir` makes it.

  Attributes:
    path: its absolute path.
    config: what the run was started with, as JSON gives it back.
    resumed: it was there before.
    before: files and folders that were there, of a run that begins.
    lock: descriptor of the locked file; the lock goes with the process.
  """

  path: Path
  config: dict[str, Any]
  resumed: bool
  before: frozenset[Path]
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
    return records.read(self.path / TIMES) or {}

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
      "compiling": records.read(self.path / COMPILING) or {},
    }

  def _add(self, file: str, name: str, seconds: float) -> None:
    found = records.read(self.path / file) or {}
    found[name] = found.get(name, 0.0) + seconds
    records.write(self.path / file, found)

  def kept(self, name: str, make: Callable[[], _T]) -> _T:
    """What a file holds, if it is there as it was written; else made now.

    Args:
      name: of the file in this directory; folders are made.
      make: gives what `records.write` takes.

    Returns:
      The value as JSON has it, lists in place of tuples.

    Raises:
      OSError: the file cannot be read or written.
    """
    path = self.path / name
    value: _T | None = records.read(path)
    if value is None:
      made = make()
      path.parent.mkdir(parents=True, exist_ok=True)
      value = records.write(path, made)
    return value

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
    # Being told to stop is no fault of the run.
    if kind is not None and issubclass(kind, Exception):
      # What cannot be taken away must not hide what happened.
      with contextlib.suppress(OSError):
        if next(work_left(self.path, self.before), None) is None:
          self._forget()
    self.close()

  def _forget(self) -> None:
    """A run that failed before it left anything binds no later one."""
    files.clear_unfinished(self.path, own=True)
    names = [*_BEFORE_WORK, *(p.name for p in self.path.glob(f"{TRIALS}*"))]
    for path in (self.path / name for name in names):
      if path.name != LOCK and path not in self.before:
        path.unlink(missing_ok=True)
    if self.path / _EVENTS not in self.before:
      shutil.rmtree(self.path / _EVENTS, ignore_errors=True)
    for folder, _, _ in os.walk(self.path, topdown=False):
      if not self.resumed and Path(folder) not in {self.path, *self.before}:
        with contextlib.suppress(OSError):  # It holds something.
          os.rmdir(folder)


def open_workdir(
  path: str | Path, config: Mapping[str, Any], ignore: Sequence[str] = ()
) -> WorkDir:
  """Makes the work directory, or opens it to go on.

  Args:
    path: of the directory.
    config: dict or ConfigDict; what JSON can say.
    ignore: keys that do not matter for the result, `log_every` or, with all
      that is below, `report`. They may differ from those of the first start.

  Raises:
    ValueError: it holds a run of another config (each key that differs is
      named with both values), its `config.json` is damaged or missing, another
      process works in it, or a link in it leads out of it.
    OSError: it cannot be made or written.
  """
  path = Path(path).absolute()
  wanted = plain(config, "config")
  with naming(path, "cannot be made a work directory"):
    path.mkdir(parents=True, exist_ok=True)
    files.check_links(path)
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
  try:
    _take(lock, path)
    files.clear_unfinished(path, own=True)
    file = path / CONFIG
    resumed = file.exists() or _is_of(path, wanted, ignore)
    found = wanted
    before: frozenset[Path] = frozenset()
    if file.exists():
      found = _read(file)
      if found is None:
        raise ValueError(
          f"{file}: damaged; choose another work directory, or put back the"
          " config that this run was started with"
        )
      _compare(path, found, wanted, ignore)
    else:
      if not resumed:
        before = frozenset(path.rglob("*"))
      write_atomically(file, to_json(wanted, indent=2) + "\n")
  except BaseException:
    os.close(lock)
    raise
  return WorkDir(path, found, resumed, before, lock)


def work_left(path: Path, before: Collection[Path] = ()) -> Iterator[Path]:
  """The files that a run has left of its work, in all folders.

  Neither what is there before a run has done anything, nor what is empty or was
  never finished, nor a store without trials is of worth.

  Args:
    path: of its work directory.
    before: files that are not the run's.
  """
  from fbnax.search import trials  # Slow to import.

  for folder, folders, names in os.walk(path):
    at_top = Path(folder) == path
    passed = (_EVENTS,) if at_top else ()
    folders[:] = sorted(
      name
      for name in folders
      if name not in passed and not name.startswith(".unfinished-")
    )
    for name in sorted(names):
      file = Path(folder, name)
      if file in before or files.is_unfinished(name):
        continue
      if at_top and name in _BEFORE_WORK:
        continue
      if at_top and name.startswith(TRIALS) and trials.is_empty(path / TRIALS):
        continue
      if file.lstat().st_size:
        yield file


def is_done(path: str | Path) -> bool:
  """A run has ended in this directory, and it is known of which config."""
  path = Path(path)
  return (path / CONFIG).exists() and _read(path / RESULT) is not None


def read_run(path: str | Path, job: str) -> dict[str, Any]:
  """The `result.json` of a finished run of a job.

  Raises:
    ValueError: there is none; the file is named.
  """
  file = files.inside(path, Path(path) / RESULT)
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
  if (path / RESULT).exists():
    return f"finds a result without {CONFIG} in {path}"
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


def _is_of(path: Path, config: dict[str, Any], ignore: Sequence[str]) -> bool:
  """Whether a run of this config is in a directory without `config.json`.

  Raises:
    ValueError: there is a run of another config, or of an unknown one.
  """
  if (path / RESULT).exists():
    result = _read(path / RESULT) or {}
    if not isinstance(result.get("config"), dict):
      raise ValueError(
        f"{path}: holds a {RESULT} of an unknown config, without {CONFIG};"
        " choose another work directory"
      )
    _compare(path, result["config"], config, ignore)
    return True
  for file in work_left(path):
    name = file.relative_to(path)
    if name.parts[0] in _PROGRESS:
      raise ValueError(
        f"{path}: holds {name} of a run, without {CONFIG}; choose another work"
        " directory, or put back the config"
      )
  return False


def _read(path: Path) -> dict[str, Any] | None:
  """The JSON object in a file; None if there is no file, or no object in it.

  Raises:
    ValueError: it is a link that leads out of its directory, or no file.
  """
  files.inside(path.parent, path)
  try:
    return json_values.read_object(path)
  except (FileNotFoundError, NotADirectoryError):
    return None
  except ValueError as error:
    logging.warning("%s: damaged: %s", path, error)
    return None


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
