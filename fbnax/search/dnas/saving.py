"""Checkpoints of a differentiable search, and the rows that go with them.

A checkpoint has the state, a row for each finished epoch, and where streamed
images stand, so a search goes on from it bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fbnax.search.dnas.state import SearchState


class Row(NamedTuple):
  """What an epoch was like; means over its steps, and `theta` at its end.

  Attributes:
    epoch: from 1.
    temperature: of the relaxation.
    loss: cross entropy of the weight steps, nats.
    accuracy: of the weight steps.
    theta_loss: cross entropy of the theta steps; None while theta is frozen.
    theta_accuracy: likewise.
    objective: what the theta steps made small; likewise.
    expected: cost under `softmax(theta)`.
    derived: cost of the most likely network.
    entropies: of each decision as a share of what it has where all choices are
      as likely, `[D]`; 0 for a decision with one choice.
    probabilities: `softmax(theta)`, `[D][choices]`.
  """

  epoch: int
  temperature: float
  loss: float
  accuracy: float
  theta_loss: float | None
  theta_accuracy: float | None
  objective: float | None
  expected: float
  derived: float
  entropies: list[float]
  probabilities: list[list[float]]


@dataclasses.dataclass(frozen=True)
class Checkpointing:
  """Where and how often states are saved, besides at the end of each epoch.

  Attributes:
    directory: of the checkpoints.
    every: steps between them; 0 for the ends of epochs alone.
    keep: how many of the last stay.
  """

  directory: Path
  every: int = 0
  keep: int = 2


def save(
  checkpointing: Checkpointing,
  step: int,
  state: SearchState,
  rows: Sequence[Row],
  streams: Sequence[Any],
) -> None:
  """Saves the state after `step` steps.

  Args:
    checkpointing: where.
    step: number of steps.
    state: of the search.
    rows: of the finished epochs.
    streams: one for each kind of step, None where images are on the device.
  """
  from fbnax.training import checkpoints  # Orbax is slow to import.

  metadata = {
    "rows": [row._asdict() for row in rows],
    "streams": [None if s is None else s.get_state() for s in streams],
  }
  checkpoints.save(
    checkpointing.directory, step, state, metadata, checkpointing.keep
  )


def resume(
  checkpointing: Checkpointing, state: SearchState, streams: Sequence[Any]
) -> tuple[SearchState, list[Row]]:
  """The newest saved state and its rows, or the given state and none.

  Args:
    checkpointing: where.
    state: what a search starts with; its shapes are those of what was saved.
    streams: as in `save`; they are set to where they were.
  """
  from fbnax.training import checkpoints  # Orbax is slow to import.

  found = checkpoints.restore_latest(checkpointing.directory, state)
  if found is None:
    return state, []
  _, restored, metadata = found
  for stream, position in zip(streams, metadata["streams"], strict=True):
    if stream is not None:
      stream.set_state(position)
  return restored, [Row(**row) for row in metadata["rows"]]
