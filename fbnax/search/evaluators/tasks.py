"""Evaluation by tasks that run elsewhere, and are lost now and then.

A round is cut into the parts of groups that `local` trains at a time, and
each part is a task. Outcomes come as tasks end, in whatever order. A task that
is lost is run again: with its machine as it was, otherwise candidate by
candidate, by the same program, so that a crash is pinned on its culprit. A
candidate whose task is lost too often is a failed outcome. Borrowed machines
are taken away as a matter of course, so that only many of them count as a loss.
What happened is counted here and not in the workers, so a driver that is
started again counts from zero.

Symbols: `P` candidates trained side by side.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Literal, NamedTuple, Protocol

from absl import logging

from fbnax.search.evaluators import Candidate, Evaluator, Outcome, task_messages
from fbnax.search.evaluators.grouping import Grouping, ProgramGroup, by_masks
from fbnax.spaces.space import SearchSpace

_MACHINES = 10  # Lost machines that count as one lost task.


class Lost(NamedTuple):
  """A task that gave no outcomes.

  Attributes:
    error: what happened.
    blame: whose fault it may be: that of the candidates, of the machine, which
      is gone, or of what the worker found before it began.
  """

  error: str
  blame: Literal["candidates", "machine", "worker"] = "candidates"


class Workers(Protocol):
  """Where tasks run; `ray_cluster` has Ray's."""

  @property
  def kinds(self) -> int:
    """How many kinds of workers there are, the best ones first."""

  def submit(self, text: str, name: str, kind: int) -> Any:
    """Starts a task on a worker of a kind, or lines it up; its handle."""

  def wait(self, running: Sequence[Any]) -> list[tuple[Any, str | Lost]]:
    """Waits for tasks to end, but not for ever; those that have ended."""

  def room(self, kind: int) -> int:
    """Tasks at a time that the machines there are can hold of a kind."""

  def cancel(self, running: Collection[Any]) -> None:
    """Stops tasks that nobody waits for any more."""


class _Task(NamedTuple):
  part: ProgramGroup
  kind: int


@contextmanager
def by_tasks(
  space: SearchSpace,
  size: int,
  connect: Callable[[], AbstractContextManager[Workers]],
  *,
  plan: Grouping | None = None,
  attempts: int = 3,
  more: Mapping[str, Any] | None = None,
) -> Iterator[Evaluator]:
  """An evaluator whose trainings are tasks of workers.

  Args:
    space: the space.
    size: `P`.
    connect: reaches the workers. Called when there is something to evaluate;
      left when this context is.
    plan: which candidates share a program; None for all of a resolution.
    attempts: so often a candidate's task may be lost until it has failed, or
      ten times as many machines.
    more: what the workers need to know besides, see `task_messages`.

  Yields:
    The evaluator. It raises ValueError where workers cannot begin.
  """
  planned = plan or by_masks(size)
  with ExitStack() as stack:
    reached: list[Workers] = []

    def evaluate(
      candidates: Sequence[Candidate],
      epochs: int,
      progress: Callable[[float], None],
      ended: Collection[int] = (),
    ) -> Iterator[list[Outcome]]:
      groups = planned(space, candidates, epochs)
      waiting = collections.deque(_unfinished(groups, ended))
      if not waiting:
        return
      if not reached:
        reached.append(stack.enter_context(connect()))
      workers = reached[0]
      losses: collections.Counter[int] = collections.Counter()
      running: dict[Any, _Task] = {}
      try:
        while waiting or running:
          _start(workers, waiting, running, epochs, more or {})
          for handle, text in workers.wait(list(running)):
            task = running.pop(handle)
            outcomes = _read(text)
            if isinstance(outcomes, Lost):
              again, outcomes = _after(outcomes, task.part, losses, attempts)
              waiting.extendleft(reversed(again))
            if outcomes:
              progress(epochs * len(outcomes))
              yield outcomes
      finally:
        workers.cancel(list(running))

    yield evaluate


def _unfinished(
  groups: Sequence[ProgramGroup], ended: Collection[int]
) -> Iterator[ProgramGroup]:
  """The parts of a round that have not ended.

  Of a part that has ended in parts the candidates were being run one by one.
  """
  for group in groups:
    for part in group.parts():
      left = [c for c in part.candidates if c.id not in ended]
      if len(left) == len(part.candidates):
        yield part
      else:
        yield from (part._replace(candidates=(c,)) for c in left)


def _start(
  workers: Workers,
  waiting: collections.deque[ProgramGroup],
  running: dict[Any, _Task],
  epochs: int,
  more: Mapping[str, Any],
) -> None:
  """Starts what can be started, the first in line first."""
  while waiting:
    kind = _kind(workers, running)
    if kind is None:
      return
    part = waiting.popleft()
    text = task_messages.request(part, epochs, more)
    name = _name(part.candidates)
    running[workers.submit(text, name, kind)] = _Task(part, kind)


def _kind(workers: Workers, running: Mapping[Any, _Task]) -> int | None:
  """Which kind of workers gets the next task; None to wait for one.

  One kind gets all at once, which tells a cluster that grows how much there is
  to do. Of several, a worse one gets what a better one has no room for.
  """
  if workers.kinds == 1:
    return 0
  busy = collections.Counter(task.kind for task in running.values())
  for kind in range(workers.kinds):
    if busy[kind] < workers.room(kind):
      return kind
  return None if running else 0


def _read(text: str | Lost) -> list[Outcome] | Lost:
  if isinstance(text, Lost):
    return text
  answer = task_messages.read_answer(text)
  return Lost(answer, "worker") if isinstance(answer, str) else answer


def _after(
  lost: Lost,
  part: ProgramGroup,
  losses: collections.Counter[int],
  attempts: int,
) -> tuple[list[ProgramGroup], list[Outcome]]:
  """The parts to run again, and the outcomes of those that have failed."""
  allowed = attempts * _MACHINES
  weight = 1 if lost.blame == "machine" else _MACHINES
  for c in part.candidates:
    losses[c.id] += weight
  spent = [c for c in part.candidates if losses[c.id] >= allowed]
  if spent and lost.blame == "worker":
    raise ValueError(
      f"workers cannot begin with {_name(part.candidates)}, tried {attempts} "
      f"times: {lost.error}"
    )
  left = [c for c in part.candidates if losses[c.id] < allowed]
  each = [(c,) for c in left] if lost.blame == "candidates" else [tuple(left)]
  most = max(losses[c.id] for c in part.candidates)
  logging.warning(
    "%s: lost (%g of %d attempts): %s; %s",
    _name(part.candidates),
    most / _MACHINES,
    attempts,
    lost.error,
    "recorded as failed" if spent else "run again",
  )
  failed = [
    Outcome(
      id=c.id,
      curve=(),
      log_loss=float("nan"),
      seconds=0.0,  # Not known: it may have waited in line.
      error=f"lost {attempts} times, at last: {lost.error}",
    )
    for c in spent
  ]
  return [part._replace(candidates=some) for some in each if some], failed


def _name(part: Sequence[Candidate]) -> str:
  ids = ", ".join(str(c.id) for c in part)
  return f"trial {ids}" if len(part) == 1 else f"trials {ids}"
