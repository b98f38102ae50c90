"""States of the training loop on disk: where, how often, and back again.

A checkpoint has the number of the epochs that are done. One that is made within
an epoch, when a run on a stream is told to stop, has the number of those before
it, and takes the place of theirs.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fbnax.training import mesh
from fbnax.training.step import TrainState


@dataclasses.dataclass(frozen=True)
class Checkpointing:
  """Where and how often states are saved.

  Attributes:
    directory: of the checkpoints.
    every: epochs between them.
    keep: how many of the last stay.
  """

  directory: Path
  every: int = 1
  keep: int = 2


class Done(NamedTuple):
  """What a training has behind it.

  Attributes:
    rows: of the epochs: loss, validation accuracy and log-loss, numbers or
      lists over members.
    steps: of the epoch that has begun, on a stream: loss and accuracy, as the
      step gives them (`step.Metrics`) or as numbers.
  """

  rows: list[list[Any]]
  steps: list[Any]


def save(
  checkpointing: Checkpointing, state: TrainState, done: Done, stream: Any
) -> None:
  """Saves a state; `stream` gives its position, None where there is none."""
  from fbnax.training import checkpoints  # Orbax is slow to import.

  metadata = {
    "rows": done.rows,
    "steps": [[_numbers(v) for v in step] for step in done.steps],
    "stream": None if stream is None else stream.get_state(),
  }
  checkpoints.save(
    checkpointing.directory,
    len(done.rows),
    state,
    metadata,
    checkpointing.keep,
  )


def resume(
  checkpointing: Checkpointing, state: TrainState, stream: Any
) -> tuple[TrainState, Done]:
  """The newest saved state, or the given one; the stream is set back to it."""
  from fbnax.training import checkpoints  # Orbax is slow to import.

  found = checkpoints.restore_latest(checkpointing.directory, state)
  if found is None:
    return state, Done([], [])
  _, restored, metadata = found
  if stream is not None:
    stream.set_state(metadata["stream"])
  # Numbers as they were, NaN too, which JSON has not.
  rows, steps = (
    [[_numbers(v) for v in row] for row in metadata.get(name, [])]
    for name in Done._fields  # Earlier versions saved no steps.
  )
  return restored, Done(rows, steps)


def _numbers(values: Any) -> Any:
  if isinstance(values, jax.Array):
    values = mesh.host(values)
  return np.asarray(values, np.float64).tolist()
