"""The evaluator that trains on this machine, a population at a time.

What it yields depends on a candidate's genotype, seed and epochs alone, up to
the rounding of its group's program.

Symbols: `P` members of a population.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

import numpy as np

from fbnax.models.network import Supernet
from fbnax.search.evaluators.contract import Candidate, Evaluator, Outcome
from fbnax.search.evaluators.grouping import Grouping, ProgramGroup
from fbnax.spaces.hull import hull
from fbnax.spaces.space import SearchSpace
from fbnax.training import loop, population, programs
from fbnax.training.recipes import Settings
from fbnax.training.step import Model


class Trainer(Protocol):
  """Trains candidates that share a program, `P` of them."""

  def __call__(
    self, part: ProgramGroup, epochs: int, progress: Callable[[float], None]
  ) -> list[Outcome]:
    """Outcomes of a part of a group; the rest as an `Evaluator` has it."""


def planned(space: SearchSpace, trained: Trainer, plan: Grouping) -> Evaluator:
  """An evaluator of groups, one after the other.

  Args:
    space: the space.
    trained: trains a part of a group.
    plan: cuts a round into groups.
  """

  def evaluate(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    for group in plan(space, candidates, epochs):
      for part in group.parts():
        if not all(c.id in ended for c in part.candidates):
          yield trained(part, epochs, progress)

  return evaluate


def trainer(
  space: SearchSpace,
  num_classes: int,
  channels: int,
  settings_at: Callable[[int], Settings],
  train: loop.Feed,
  validation: loop.Feed,
) -> Trainer:
  """What trains a part of a group on this machine.

  A group's own programs are dropped when the next group comes: nobody else has
  a use for them.

  Args:
    space: the space.
    num_classes: outputs.
    channels: of the images.
    settings_at: training settings at a resolution.
    train: images to train on.
    validation: images to measure on.
  """
  held: tuple[tuple[int, ...], ...] | None = None  # By the programs there are.

  def trained(
    part: ProgramGroup, epochs: int, progress: Callable[[float], None]
  ) -> list[Outcome]:
    start = time.monotonic()
    nonlocal held
    if held not in (None, part.holds):
      programs.forget()
    held = part.holds
    count = len(part.candidates)
    # What is left over is filled, so that nothing is compiled for it.
    filled = part.candidates + part.candidates[-1:] * (part.size - count)
    genotypes = np.asarray([c.genotype for c in filled], np.int32)
    stacked = population.members(
      space,
      genotypes,
      [space.recipe(g) for g in genotypes],
      [c.seed for c in filled],
    )
    inner, choice = None, stacked.choice
    if part.holds is not None:
      inner, rows = hull(space, part.holds)
      places = [part.holds.index(c.genotype) for c in filled]
      choice = population.choices(inner, rows[places])
    state = population.initial(space, num_classes, channels, stacked, inner)
    stacked = stacked._replace(choice=choice)
    fitted = loop.fit(
      Model(Supernet(inner or space, num_classes)),
      settings_at(part.resolution),
      state,
      stacked,
      train,
      epochs=epochs,
      validation=validation,
      stacked=True,
      seed=0,  # Of a stream's order: no candidate's, since all share it.
      on_epoch=lambda *_: progress(count),
    )
    seconds = (time.monotonic() - start) / count
    return [
      _outcome(candidate, fitted, i, seconds)
      for i, candidate in enumerate(part.candidates)
    ]

  return trained


def _outcome(
  candidate: Candidate, fitted: loop.Fitted, place: int, seconds: float
) -> Outcome:
  """What came of the member at a place of a population."""
  curves = fitted.curves
  losses = curves.train_loss[:, place], curves.log_loss[:, place]
  return Outcome(
    id=candidate.id,
    curve=tuple(curves.accuracy[:, place].tolist()),
    log_loss=float(curves.log_loss[-1, place]),
    seconds=seconds,
    error=_diverged(*losses, finite=fitted.finite[place]),
    losses=tuple(curves.log_loss[:, place].tolist()),
  )


def _diverged(
  train_loss: np.ndarray, log_loss: np.ndarray, *, finite: bool
) -> str | None:
  bad = ~np.isfinite(train_loss) | ~np.isfinite(log_loss)
  if bad.any():
    return f"diverged: the loss is not finite after epoch {np.argmax(bad) + 1}"
  # BN may hide it: an infinite variance gives zeros, and these a loss.
  return None if finite else "diverged: a weight is not finite"
