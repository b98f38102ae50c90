"""Evaluators: what turns candidates into accuracies.

An evaluator is called with candidates and a number of epochs and yields
outcomes, some at a time, as they end. NARS does not know which one it has.

Symbols: `P` members of a population.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from fbnax.models.network import Supernet
from fbnax.spaces.space import SearchSpace
from fbnax.training import loop, population
from fbnax.training.recipes import Settings
from fbnax.training.step import Model


class Candidate(NamedTuple):
  """What is to be evaluated.

  Attributes:
    id: of the trial.
    genotype: `int[D]`.
    seed: of its training.
  """

  id: int
  genotype: tuple[int, ...]
  seed: int


class Outcome(NamedTuple):
  """What came of it.

  Attributes:
    id: of the trial.
    curve: validation accuracy after each epoch, 0 to 1.
    log_loss: at the end, nats.
    seconds: its share of the time.
    error: why it failed, None if it did not.
    losses: log-loss after each epoch, nats; empty where it is not known.
  """

  id: int
  curve: tuple[float, ...]
  log_loss: float
  seconds: float
  error: str | None
  losses: tuple[float, ...] = ()


class Evaluator(Protocol):
  """Evaluates candidates."""

  def __call__(
    self,
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    """Yields outcomes as they end.

    Args:
      candidates: all of a round.
      epochs: of training.
      progress: called with the number of epochs that have been trained.
      ended: ids that have been evaluated before a restart and are left out.
        All are given, so that the others are evaluated in the same company
        and come out the same to the last bit.
    """


def by_training(
  space: SearchSpace,
  num_classes: int,
  channels: int,
  settings_at: Callable[[int], Settings],
  train: loop.Feed,
  validation: loop.Feed,
  size: int,
) -> Evaluator:
  """An evaluator that trains candidates on this machine, `P` at a time.

  Args:
    space: the space.
    num_classes: outputs.
    channels: of the images.
    settings_at: training settings at a resolution.
    train: images to train on.
    validation: images to measure on.
    size: `P`. Candidates of one resolution are trained together; a part that
      is left over repeats its last candidate, so that nothing is compiled for
      it.

  Returns:
    The evaluator. What it yields depends on a candidate's genotype, seed and
    epochs alone, up to the rounding of `P`'s program.
  """
  model = Model(Supernet(space, num_classes))

  def evaluate(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    for side, part in parts(space, candidates, size):
      if not all(c.id in ended for c in part):
        yield _train(part, settings_at(side), epochs, progress)

  def _train(
    part: list[Candidate],
    settings: Settings,
    epochs: int,
    progress: Callable[[float], None],
  ) -> list[Outcome]:
    start = time.monotonic()
    filled = part + [part[-1]] * (size - len(part))
    genotypes = np.asarray([c.genotype for c in filled], np.int32)
    stacked = population.members(
      space,
      genotypes,
      [space.recipe(g) for g in genotypes],
      [c.seed for c in filled],
    )
    fitted = loop.fit(
      model,
      settings,
      population.initial(space, num_classes, channels, stacked),
      stacked,
      train,
      epochs=epochs,
      validation=validation,
      stacked=True,
      seed=0,  # Of a stream's order: no candidate's, since all share it.
      on_epoch=lambda *_: progress(len(part)),
    )
    curves = fitted.curves
    seconds = (time.monotonic() - start) / len(part)
    outcomes = []
    for i, candidate in enumerate(part):
      losses = curves.train_loss[:, i], curves.log_loss[:, i]
      finite = all(np.isfinite(values).all() for values in losses)
      outcomes.append(
        Outcome(
          id=candidate.id,
          curve=tuple(curves.accuracy[:, i].tolist()),
          log_loss=float(curves.log_loss[-1, i]),
          seconds=seconds,
          error=None if finite else _diverged(*losses),
          losses=tuple(curves.log_loss[:, i].tolist()),
        )
      )
    return outcomes

  return evaluate


def parts(
  space: SearchSpace, candidates: Sequence[Candidate], size: int
) -> Iterator[tuple[int, list[Candidate]]]:
  """Cuts a round into what is trained side by side.

  Args:
    space: the space.
    candidates: all of the round.
    size: `P`.

  Yields:
    A resolution, and up to `P` candidates of it in the order of their ids; what
    they are depends on the candidates alone.
  """

  def resolution(candidate: Candidate) -> int:
    return space.architecture(np.asarray(candidate.genotype)).resolution

  ordered = sorted(candidates, key=lambda c: (resolution(c), c.id))
  for side, group in itertools.groupby(ordered, resolution):
    alike = list(group)
    for start in range(0, len(alike), size):
      yield side, alike[start : start + size]


def _diverged(train_loss: np.ndarray, log_loss: np.ndarray) -> str:
  bad = ~np.isfinite(train_loss) | ~np.isfinite(log_loss)
  return f"diverged: the loss is not finite after epoch {np.argmax(bad) + 1}"
