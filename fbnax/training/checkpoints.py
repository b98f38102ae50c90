"""Checkpoints: a pytree of arrays, a step and a little metadata, by Orbax.

`DIRECTORY/00000012/` holds the checkpoint of step 12 (`checkpoint_files`).

A checkpoint is written under a name that starts with a dot and renamed when it
is whole. Nothing is ever replaced: a step that is saved again becomes
`00000012.1`, and only then the other one goes. So a process may be killed at
any moment; what it leaves is removed by the next save. One run at a time may
write in a directory (`jobs.runtime.workdir` sees to it).

Of several processes that run one program (`jax.distributed`) all call these
functions, and the first one reads and writes; nobody else needs the files.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from fbnax.base.files import sync_directory
from fbnax.training.agreeing import Shared, by_first
from fbnax.training.checkpoint_files import (
  DamagedError,
  Restored,
  check,
  encode,
  is_whole,
  read,
  rebuild,
  write,
)

_NAME = re.compile(r"(\d{8,})(?:\.(\d+))?")
_UNFINISHED = ".unfinished-"


def save(
  directory: str | Path,
  step: int,
  tree: Any,
  metadata: dict[str, Any] | None = None,
  keep: int = 2,
  *,
  best: str | None = None,
  every: int | None = None,
) -> Path:
  """Saves the tree, then removes what the retention rule does not keep.

  Kept are the last `keep` checkpoints that are undamaged, the one with the
  greatest `metadata[best]`, and those whose step is a multiple of `every`.
  Checkpoints of later steps go: they are of a run that was set back.

  Args:
    directory: of all checkpoints of a run; made if it is not there.
    step: at least 0.
    tree: pytree of arrays: JAX, NumPy, typed keys.
    metadata: what JSON can say (`json_values.plain`).
    keep: at least 1.
    best: key of a number in the metadata.
    every: a number of steps.

  Returns:
    The directory of this checkpoint.

  Raises:
    ValueError: an argument or a leaf is not legal; it is named.
    OSError: it could not be written; those before it are untouched.
  """
  for name, value, least in (("step", step, 0), ("keep", keep, 1)):
    if value < least:
      raise ValueError(f"{name}={value}; legal: {least} or more")
  if every is not None and every < 1:
    raise ValueError(f"every={every}; legal: 1 or more, or None")
  index, arrays = encode(step, tree, metadata)
  directory = Path(directory).absolute()
  path, _ = by_first(
    lambda: (str(_save(directory, step, index, arrays, keep, best, every)), {})
  )
  return Path(path)


def _save(
  directory: Path,
  step: int,
  index: str,
  arrays: dict[str, np.ndarray],
  keep: int,
  best: str | None,
  every: int | None,
) -> Path:
  attempts = [number for s, number, _ in _saved(directory) if s == step]
  suffix = f".{max(attempts) + 1}" if attempts else ""
  path = directory / f"{step:08d}{suffix}"
  unfinished = directory / f"{_UNFINISHED}{path.name}"
  try:
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob(f"{_UNFINISHED}*"):
      shutil.rmtree(left)
    unfinished.mkdir()
    write(unfinished, index, arrays)
    unfinished.rename(path)
    sync_directory(directory)
  except Exception as error:
    shutil.rmtree(unfinished, ignore_errors=True)
    raise OSError(
      f"{path}: checkpoint not saved, those before it are untouched: {error}"
    ) from error
  _retain(directory, path, keep, best, every)
  return path


def restore(directory: str | Path, step: int, like: Any) -> Restored:
  """The checkpoint of that step.

  Args:
    directory: as in `save`.
    step: one of `steps(directory)`.
    like: pytree of arrays or `jax.ShapeDtypeStruct`: what is expected. A leaf
      comes back as NumPy where `like` has NumPy, else as a `jax.Array` on the
      devices of its counterpart.

  Raises:
    ValueError: there is none of this step, it is damaged (`DamagedError`), or
      its leaves are not those of `like`: the first that differs is named.
  """

  def find() -> Shared:
    there = _saved(Path(directory))
    paths = [path for s, _, path in there if s == step]
    if not paths:
      saved = tuple(sorted({s for s, _, _ in there}))
      raise ValueError(
        f"{directory}: no checkpoint of step {step}; found: {saved}"
      )
    return read(paths[-1], like)

  return rebuild(*by_first(find), like)


def restore_latest(directory: str | Path, like: Any) -> Restored | None:
  """The newest checkpoint that loads; None where there is none.

  One that does not load is named in a warning and skipped.

  Args:
    directory: as in `save`; it need not be there.
    like: as in `restore`.

  Raises:
    ValueError: the newest undamaged one holds other leaves than `like`.
  """

  def find() -> Shared:
    for _, _, path in reversed(_saved(Path(directory))):
      try:
        return read(path, like)
      except DamagedError as error:
        logging.warning("checkpoint skipped: %s", error)
    return None, {}

  index, arrays = by_first(find)
  return None if index is None else rebuild(index, arrays, like)


def steps(directory: str | Path) -> tuple[int, ...]:
  """The steps there are checkpoints of, ascending, damaged or not."""

  def find() -> Shared:
    return sorted({step for step, _, _ in _saved(Path(directory))}), {}

  return tuple(by_first(find)[0])


def newest(directory: str | Path) -> int:
  """The step of the newest undamaged checkpoint, 0 where there is none."""

  def find() -> Shared:
    there = (s for s, _, p in reversed(_saved(Path(directory))) if is_whole(p))
    return next(there, 0), {}

  return int(by_first(find)[0])


def best_step(directory: str | Path, best: str) -> int | None:
  """The step of the undamaged checkpoint with the greatest `metadata[best]`."""

  def find() -> Shared:
    whole = [path for _, _, path in _saved(Path(directory)) if is_whole(path)]
    path = _best(whole, best)
    return (None if path is None else int(path.name.split(".")[0])), {}

  return by_first(find)[0]


def _saved(directory: Path) -> list[tuple[int, int, Path]]:
  """(step, attempt, path) of every checkpoint, ascending."""
  listed = []
  for path in directory.iterdir() if directory.is_dir() else ():
    if match := _NAME.fullmatch(path.name):
      listed.append((int(match[1]), int(match[2] or 0), path))
  return sorted(listed)


def _best(paths: list[Path], best: str) -> Path | None:
  scores = []
  for path in paths:
    value = check(path)["metadata"].get(best)
    if isinstance(value, int | float):
      scores.append((value, path))
  return max(scores)[1] if scores else None


def _retain(
  directory: Path, new: Path, keep: int, best: str | None, every: int | None
) -> None:
  step = int(new.name.split(".")[0])
  whole: dict[int, Path] = {}
  for s, _, path in _saved(directory):
    if path == new or (s < step and is_whole(path)):
      whole[s] = path
  kept = set(sorted(whole.values())[-keep:])
  if every is not None:
    kept |= {path for s, path in whole.items() if s % every == 0}
  if best is not None and (top := _best(list(whole.values()), best)):
    kept.add(top)
  for _, _, path in _saved(directory):
    if path not in kept:
      # Renamed first: a checkpoint that is half removed is none.
      removed = path.rename(directory / f"{_UNFINISHED}{path.name}")
      shutil.rmtree(removed)
