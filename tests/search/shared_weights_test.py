"""Evaluation by shared weights: nothing is trained."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.data import Split
from fbnax.models import Network
from fbnax.search.evaluators import Candidate, shared
from fbnax.training import corners, loop, recalibration
from fbnax.training.model import Model
from tests.data.streams import streamed
from tests.training.tiny_shared import SPACE, K, examples, settings, variables

TRAIN, VALIDATION = Split(*examples(24)), Split(*examples(20, seed=1))
FEEDS = {"in memory": loop.place, "streamed": streamed}
# The first two have the same network.
CANDIDATES = (
  Candidate(4, (1, 1, 1, 2, 1, 1), 7),
  Candidate(9, (1, 1, 1, 2, 1, 1), 8),
  Candidate(3, (0, 0, 0, 0, 0, 0), 7),
  Candidate(5, (0, 1, 0, 1, 1, 1), 7),
)


def _at(resolution):
  return settings(resolution=resolution)


def _evaluator(feed="in memory", tree=None):
  return shared.by_shared_weights(
    SPACE,
    K,
    tree or variables(),
    _at,
    FEEDS[feed](TRAIN),
    FEEDS[feed](VALIDATION),
    images=16,
  )


def _outcomes(evaluator, candidates=CANDIDATES, ended=()):
  parts = list(evaluator(candidates, 5, lambda _: None, ended))
  assert all(len(part) == 1 for part in parts)
  return {outcome.id: outcome for (outcome,) in parts}


@functools.cache
def _all():
  return _outcomes(_evaluator())


@pytest.mark.parametrize(
  ("feed", "candidates"),
  [("in memory", CANDIDATES[1:]), ("streamed", CANDIDATES[3:])],
)
def test_an_outcome_is_that_of_the_network_cut_out(feed, candidates):
  outcomes = (
    _all() if feed == "in memory" else _outcomes(_evaluator(feed), candidates)
  )
  for candidate in candidates:
    architecture = SPACE.architecture(candidate.genotype)
    at = _at(architecture.resolution)
    train, validation = FEEDS[feed](TRAIN), FEEDS[feed](VALIDATION)
    tree = recalibration.inherited(
      SPACE,
      candidate.genotype,
      variables(),
      at,
      recalibration.sample(at, train, 16),
    )
    model = Model(Network(architecture, K))
    expected = loop.measure(model, at, tree, None, validation)
    found = outcomes[candidate.id]
    assert found.error is None and found.seconds > 0
    np.testing.assert_allclose(found.curve, [expected.accuracy], rtol=1e-6)
    np.testing.assert_allclose(found.log_loss, expected.loss, rtol=1e-4)
    assert found.losses == (found.log_loss,)


def test_a_genotype_is_measured_once(monkeypatch):
  measured, program = [], loop.measure

  def measure(*arguments):
    measured.append(arguments)
    return program(*arguments)

  monkeypatch.setattr(loop, "measure", measure)
  evaluator = _evaluator()
  outcomes = _outcomes(evaluator)
  assert len(measured) == 3
  assert outcomes[4]._replace(id=9) == outcomes[9]
  again = _outcomes(evaluator, (Candidate(11, CANDIDATES[3].genotype, 1),))
  assert len(measured) == 3
  assert again[11]._replace(id=5) == outcomes[5]


def test_it_goes_on_after_those_that_have_ended():
  told = []
  evaluator = _evaluator()
  parts = list(evaluator(CANDIDATES, 5, told.append, ended=(4, 3)))
  assert [outcome.id for (outcome,) in parts] == [5, 9]
  assert told == [5, 5]
  for (outcome,) in parts:
    expected = _all()[outcome.id]
    assert outcome._replace(seconds=0.0) == expected._replace(seconds=0.0)


def test_programs_are_dropped_where_there_would_be_too_many(monkeypatch):
  """And outcomes are the same."""
  dropped = []
  forget = shared.forget
  monkeypatch.setattr(shared, "HELD", 1)
  monkeypatch.setattr(shared, "forget", lambda: dropped.append(forget()))
  found = _outcomes(_evaluator())
  assert len(dropped) == 1
  for i, outcome in found.items():
    assert outcome._replace(seconds=0.0) == _all()[i]._replace(seconds=0.0)


def test_a_box_has_a_program_where_that_saves_more_than_it_takes():
  boxes = shared.boxes_of(SPACE, K)
  whole, between = corners.whole(SPACE, K), corners.corners(SPACE, K)[1:-1]
  assert boxes == (*whole, *between)
  box = between[-1]
  at = next(b for b in whole if b.resolution == box.resolution)
  inside = [Candidate(i, box.top, 0) for i in (5, 1, 3)]
  outside = [Candidate(i, at.top, 0) for i in (4, 2)]
  saved = 3 * (at.macs - box.macs)
  enough = int(shared.PROGRAMS * shared.SECOND / saved) + 1
  found = shared.by_box(boxes, (*inside, *outside), enough)
  assert [(c.id, b) for c, b in found] == [
    *((i, box) for i in (1, 3, 5)),
    *((i, at) for i in (2, 4)),
  ]
  found = shared.by_box(boxes, (*inside, *outside), enough // 2)
  assert [(c.id, b) for c, b in found] == [(i, at) for i in range(1, 6)]


def test_an_outcome_does_not_depend_on_the_box(monkeypatch):
  monkeypatch.setattr(shared, "PROGRAMS", 0.0)
  box = corners.corners(SPACE, K)[-2]
  candidate = Candidate(6, box.low, 0)
  found = _outcomes(_evaluator(), (candidate,))
  monkeypatch.undo()
  expected = _outcomes(_evaluator(), (candidate,))
  np.testing.assert_allclose(found[6].curve, expected[6].curve, atol=1e-6)
  np.testing.assert_allclose(found[6].log_loss, expected[6].log_loss, rtol=1e-4)


def test_an_accelerator_has_a_program_for_each_resolution(monkeypatch):
  monkeypatch.setattr(shared.jax, "default_backend", lambda: "gpu")
  assert shared.boxes_of(SPACE, K) == corners.whole(SPACE, K)


def test_weights_that_are_no_numbers_are_an_error():
  tree = variables()
  head = tree["params"]["head"]["classifier"]
  head["bias"] = jnp.full_like(head["bias"], jnp.nan)
  (outcome,) = _outcomes(_evaluator(tree=tree), CANDIDATES[:1]).values()
  assert outcome.error.startswith("diverged: the log-loss")
