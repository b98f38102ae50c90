"""Parts of a round as tasks, with workers made up: what ends, what is lost."""

import contextlib
import json
import math
import re

import numpy as np
import pytest

from fbnax.search.evaluators import Candidate, Outcome, grouping, task_messages
from fbnax.search.evaluators.tasks import Lost, by_tasks
from tests.search.evaluators_test import MANY, SPACE

EPOCHS, SIZE = 2, 3
# Those of resolution 4 are cut into 2, 3, 5 and 9; of 6 there are 1 and 7.
WHOLE = [[2, 3, 5], [9], [1, 7]]


def _outcome(candidate):
  """What any worker makes of a candidate."""
  value = (candidate.seed % 7) / 7
  return Outcome(candidate.id, (value, value), value, 1.5, None, (value, value))


class FakeWorkers:
  """Runs a task when it is waited for, the last one that was started first.

  Attributes:
    trouble: called with the ids of a task and how often one of just these was
      started; what it returns, if anything, is the answer.
    rooms: tasks at a time of each kind.
    started: ids and kind of each task, in order.
    cancelled: how many tasks were, in the end.
  """

  def __init__(self, trouble=lambda ids, count: None, rooms=(100,)):
    self.trouble = trouble
    self.rooms = rooms
    self.kinds = len(rooms)
    self.started = []
    self.cancelled = None
    self.left = False
    self._texts = {}

  @contextlib.contextmanager
  def connect(self):
    assert not self.started
    yield self
    self.left = True

  def submit(self, text, name, kind):
    found = json.loads(text)
    assert found["config"] == "{}" and found["epochs"] == EPOCHS
    ids = [c.id for c in task_messages.candidates(found)]
    assert re.fullmatch(r"trials? [\d, ]+", name)
    assert [int(i) for i in re.findall(r"\d+", name)] == ids
    handle = len(self.started)
    self.started.append((ids, kind))
    self._texts[handle] = found
    return handle

  def wait(self, running):
    assert running
    handle = running[-1]
    ids, _ = self.started[handle]
    count = sum(ids == other for other, _ in self.started[: handle + 1])
    found = self.trouble(ids, count)
    if found is None:
      candidates = task_messages.candidates(self._texts[handle])
      found = task_messages.answer([_outcome(c) for c in candidates])
    return [(handle, found)]

  def room(self, kind):
    return self.rooms[kind]

  def cancel(self, running):
    self.cancelled = len(running)


def _evaluate(workers, ended=(), attempts=3):
  told = []
  with by_tasks(
    SPACE, SIZE, workers.connect, attempts=attempts, more={"config": "{}"}
  ) as evaluate:
    yielded = list(evaluate(MANY, EPOCHS, told.append, ended))
  return {o.id: o for part in yielded for o in part}, told


def _ids(workers):
  return [ids for ids, _ in workers.started]


WANTED = {c.id: _outcome(c) for c in MANY}


def test_a_round_is_cut_as_for_training_here():
  workers = FakeWorkers()
  outcomes, told = _evaluate(workers)
  assert _ids(workers) == WHOLE
  assert outcomes == WANTED
  # They ended in another order than they were started in.
  assert told == [2 * EPOCHS, 1 * EPOCHS, 3 * EPOCHS]
  assert workers.cancelled == 0 and workers.left


def test_messages_are_read_as_they_were_meant():
  candidate = Candidate(
    np.int64(4), tuple(np.asarray([0, 2], np.int32)), 2**32 - 1
  )
  plain = Candidate(4, (0, 2), 2**32 - 1)
  for holds, read in (
    (None, None),
    ((candidate.genotype, (1, np.int32(1))), ((0, 2), (1, 1))),
  ):
    group = grouping.ProgramGroup(8, (candidate,), 2, holds)
    found = json.loads(task_messages.request(group, 3, {"more": [1]}))
    assert (found["epochs"], found["more"]) == (3, [1])
    assert task_messages.candidates(found) == [plain]
    assert task_messages.group(found) == grouping.ProgramGroup(
      8, (plain,), 2, read
    )
  diverged = Outcome(
    4, (0.1, 1 / 3), math.nan, 1e-3, "diverged", (2.0, math.inf)
  )
  (back,) = task_messages.read_answer(task_messages.answer([diverged]))
  assert math.isnan(back.log_loss)
  assert back._replace(log_loss=0.0) == diverged._replace(log_loss=0.0)
  assert task_messages.read_answer(task_messages.refusal("why")) == "why"


def test_what_is_lost_with_its_machine_is_run_again_as_it_was():
  lost = Lost("NodeDiedError", "machine")
  workers = FakeWorkers(lambda ids, n: lost if 5 in ids and n == 1 else None)
  outcomes, told = _evaluate(workers)
  assert _ids(workers) == [*WHOLE, [2, 3, 5]]
  assert outcomes == WANTED
  assert sum(told) == len(MANY) * EPOCHS


@pytest.mark.parametrize("machines", (29, 30))
def test_a_candidate_fails_with_its_machine_only_after_many(machines):
  """Borrowed machines are taken away, which is no candidate's fault."""
  lost = Lost("NodeDiedError", "machine")
  workers = FakeWorkers(
    lambda ids, n: lost if 9 in ids and n <= machines else None
  )
  outcomes, _ = _evaluate(workers)
  failed = {i: o.error for i, o in outcomes.items() if o.error}
  if machines < 30:
    assert outcomes == WANTED
  else:
    assert failed == {9: "lost 3 times, at last: NodeDiedError"}


def test_a_crash_is_pinned_on_its_culprit():
  workers = FakeWorkers(lambda ids, _: Lost("killed") if 3 in ids else None)
  outcomes, told = _evaluate(workers)
  assert sorted(map(tuple, _ids(workers))) == sorted(
    [(2, 3, 5), (9,), (1, 7), (2,), (3,), (3,), (5,)]
  )
  failed = outcomes.pop(3)
  assert outcomes == {i: o for i, o in WANTED.items() if i != 3}
  assert failed.error == "lost 3 times, at last: killed"
  assert failed.curve == () and math.isnan(failed.log_loss)
  # Progress reaches its end all the same.
  assert sum(told) == len(MANY) * EPOCHS


def test_what_is_lost_is_run_again_by_the_program_of_its_group():
  def plan(space, candidates, epochs):
    return [
      grouping.alone(side, alike, 2)
      for side, alike in grouping.by_resolution(space, candidates)
    ]

  class Listening(FakeWorkers):
    def submit(self, text, name, kind):
      asked.append(task_messages.group(json.loads(text)))
      return super().submit(text, name, kind)

  asked = []
  lost = Lost("killed")
  workers = Listening(lambda ids, _: lost if ids == [5, 9] else None)
  with by_tasks(
    SPACE, SIZE, workers.connect, plan=plan, more={"config": "{}"}
  ) as evaluate:
    list(evaluate(MANY, EPOCHS, lambda _: None))
  assert _ids(workers) == [[2, 3], [5, 9], [1, 7], [5], [9]]
  programs = {(g.resolution, g.size, g.holds) for g in asked}
  assert len(programs) == 2
  (four,) = (holds for side, _, holds in programs if side == 4)
  assert four == tuple(c.genotype for c in sorted(MANY) if c.id in (2, 3, 5, 9))


@pytest.mark.parametrize("attempts", (1, 2, 5))
def test_a_candidate_fails_after_so_many_attempts(attempts):
  workers = FakeWorkers(lambda ids, _: Lost("no") if 9 in ids else None)
  outcomes, _ = _evaluate(workers, attempts=attempts)
  assert _ids(workers).count([9]) == attempts
  assert {i for i, o in outcomes.items() if o.error} == {9}


def test_a_worker_that_cannot_begin_is_no_candidates_fault():
  def refuses(ids, count):
    return task_messages.refusal("no data there") if count <= times else None

  times = 2
  outcomes, _ = _evaluate(FakeWorkers(refuses))
  assert outcomes == WANTED
  times = 3
  workers = FakeWorkers(refuses)
  with pytest.raises(ValueError, match="tried 3 times: no data there"):
    _evaluate(workers)
  assert workers.cancelled == 2


def test_nothing_that_has_ended_is_run_again():
  workers = FakeWorkers()
  outcomes, told = _evaluate(workers, ended=(3, 9))
  # The others of a part of which one has ended: as after its loss.
  assert sorted(map(tuple, _ids(workers))) == [(1, 7), (2,), (5,)]
  assert outcomes == {i: WANTED[i] for i in (1, 2, 5, 7)}
  assert sum(told) == 4 * EPOCHS


def test_workers_are_reached_when_there_is_something_to_do():
  workers = FakeWorkers()
  assert _evaluate(workers, ended=[c.id for c in MANY]) == ({}, [])
  assert not workers.left


def test_the_best_workers_come_first():
  workers = FakeWorkers(rooms=(1, 1))
  outcomes, _ = _evaluate(workers)
  assert outcomes == WANTED
  # The second ends first, and its worker takes the third part.
  assert [kind for _, kind in workers.started] == [0, 1, 1]
  # Where there is room for none yet, one task asks for it.
  workers = FakeWorkers(rooms=(0, 0))
  assert _evaluate(workers)[0] == WANTED
  assert [kind for _, kind in workers.started] == [0, 0, 0]


def test_tasks_are_cancelled_when_the_round_is_left():
  workers = FakeWorkers()
  with by_tasks(
    SPACE, SIZE, workers.connect, more={"config": "{}"}
  ) as evaluate:
    outcomes = evaluate(MANY, EPOCHS, lambda _: None)
    next(outcomes)
    outcomes.close()
  assert workers.cancelled == 2
