"""What an evaluator is: candidates in, outcomes out as they end.

NARS and the searches it is compared with call an `Evaluator` and do not know
which one it is; a user's own is a function of this form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, Protocol


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
  """What came of a candidate.

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
