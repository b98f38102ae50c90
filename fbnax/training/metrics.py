"""Metrics of a run: lines of `metrics.jsonl`, and TensorBoard's event files.

A line is one JSON object: `run` (what trains, "round 1" or "final"), `step`,
and the values; NaN and infinities are null. All runs of a work directory share
the file, and each has its own folder under `tensorboard/`.

A run that is resumed at a step repeats what came after it, so opening it there
drops its lines of that step and later ones; TensorBoard is told to forget them
(`purge_step`). A line that a kill cut in half is dropped too, and one that is
no line of metrics, with a warning. The lines are for people and their programs
and carry no digest: no run goes on from what they say.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from fbnax.base import json_values, records
from fbnax.base.files import naming, write_atomically
from fbnax.base.json_values import plain, to_json

FILE = "metrics.jsonl"
FOLDER = "tensorboard"


@dataclasses.dataclass(frozen=True)
class MetricsWriter:
  """Writes the metrics of one run; `open_metrics` makes it.

  Attributes:
    path: the file of all runs. It is opened for each line, so that several
      writers may share it.
    run: the name of this one.
    board: the event files' writer, or None.
  """

  path: Path
  run: str
  board: Any

  def write(self, step: int, **values: Any) -> None:
    """Adds a line; numbers also go to TensorBoard.

    Args:
      step: in the run's own units; the same as at a resume.
      **values: anything that `json_values.plain` takes.

    Raises:
      ValueError: a value is none of these, or is called `run`.
      OSError: the line could not be written.
    """
    if "run" in values:
      raise ValueError(f"run={values['run']!r}: no metric may be called so")
    line = to_json({"run": self.run, "step": step, **values}, sort=False)
    records.append(self.path, line.encode() + b"\n")
    if self.board is not None:
      for name, value in values.items():
        if np.ndim(value) == 0:
          number = plain(value)
          if isinstance(number, int | float) and math.isfinite(number):
            self.board.add_scalar(name, number, step)

  def close(self) -> None:
    """Ends the event files."""
    if self.board is not None:
      self.board.close()

  def __enter__(self) -> MetricsWriter:
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


def open_metrics(
  directory: str | Path, run: str, step: int = 0, *, tensorboard: bool = True
) -> MetricsWriter:
  """Opens the metrics of a run that starts, or goes on, at a step.

  Args:
    directory: the work directory.
    run: its name, not empty.
    step: lines of this run at this step and later ones are dropped.
    tensorboard: also write event files.

  Raises:
    ValueError: the run has no name.
    OSError: the file cannot be read or written.
  """
  if not run:
    raise ValueError(f"run={run!r}; legal: a name")
  directory = Path(directory)
  path = directory / FILE
  with naming(path, "cannot be opened"):
    directory.mkdir(parents=True, exist_ok=True)
    _repair(path, run, step)
  board = None
  if tensorboard:
    from tensorboardX import SummaryWriter  # Slow, and not always wanted.

    folder = directory / FOLDER / (re.sub(r"[^\w.-]+", "_", run) or "run")
    board = SummaryWriter(
      str(folder),
      # Without older events there is nothing to forget.
      purge_step=step if folder.exists() else None,
      flush_secs=10,
    )
  return MetricsWriter(path, run, board)


def _repair(path: Path, run: str, step: int) -> None:
  """Drops broken lines and those the run will write again."""
  if not path.exists():
    return
  lines = path.read_bytes().split(b"\n")
  end = sum(len(line) + 1 for line in lines[:-1])
  if lines[-1]:
    os.truncate(path, end)
  kept = [
    line
    for number, line in enumerate(lines[:-1], 1)
    if _stays(line, f"{path}: line {number}", run, step)
  ]
  if len(kept) < len(lines) - 1:
    write_atomically(path, b"".join(line + b"\n" for line in kept))


def _stays(line: bytes, where: str, run: str, step: int) -> bool:
  try:
    entry = json_values.parse(line.decode(), where)
    if isinstance(entry["run"], str) and type(entry["step"]) is int:
      return bool(entry["run"] != run or entry["step"] < step)
  except (ValueError, KeyError, TypeError):
    pass
  logging.warning("%s is no line of metrics, dropped: %r", where, line[:80])
  return False
