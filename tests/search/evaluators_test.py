"""Evaluation by training, on a space of one block and a diverging recipe."""

import functools
import re

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import data
from fbnax.data import StreamedSplit
from fbnax.models import Supernet
from fbnax.search.evaluators import Candidate, grouping
from fbnax.search.evaluators.local import planned, trainer
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import Decision, SearchSpace, follow
from fbnax.training import loop, population, programs
from fbnax.training.recipes import Settings
from fbnax.training.step import Model

K, SIZE, EPOCHS = 3, 3, 2
ABSURD = 1e30


def _space():
  resolution = Decision("resolution", (4, 6))
  channels = Decision("stage1.channels", (4, 8))
  rate = Decision("recipe.learning_rate", (0.05, 0.5, ABSURD))
  optimizer = Decision("recipe.optimizer", ("rmsprop", "sgd"), True)
  return SearchSpace(
    name="tiny",
    decisions=(resolution, channels, rate, optimizer),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=4, stride=1),
      blocks=(Block(channels=follow(channels), stage=1),),
      head=Head(channels=8, expansion=0),
      input_channels=1,
    ),
    recipe_table=Recipe(
      learning_rate=follow(rate),
      optimizer=follow(optimizer),
      dropout=0.1,
      stochastic_depth=0.0,
      mixup=0.2,
    ),
    sgd_factor=1.0,
  )


SPACE = _space()


def _settings(resolution):
  return Settings(
    epochs=EPOCHS,
    batch_size=8,
    resolution=resolution,
    mean=(0.5,),
    std=(0.25,),
    ema_decay=0.5,
  )


def _arrays(seed):
  rng = np.random.default_rng(seed)
  labels = (np.arange(32) % K).astype(np.int32)
  images = rng.integers(0, 100, (32, 4, 4, 1))
  images += 70 * labels[:, None, None, None]
  return images.astype(np.uint8), labels


def _examples(seed):
  images, labels = _arrays(seed)
  return loop.Examples(jnp.asarray(images), jnp.asarray(labels))


@functools.cache
def _evaluator(plan=None):
  train = trainer(SPACE, K, 1, _settings, _examples(0), _examples(1))
  return planned(SPACE, train, plan or grouping.by_masks(SIZE))


def _parts(candidates, evaluator=None, progress=lambda _: None):
  evaluator = evaluator or _evaluator()
  return list(evaluator(candidates, EPOCHS, progress))


def _outcomes(candidates, **more):
  return {o.id: o for part in _parts(candidates, **more) for o in part}


# Resolutions 4 (ids 9, 2, 5, 3) and 6 (ids 7, 1).
MANY = (
  Candidate(9, (0, 0, 0, 0), 11),
  Candidate(7, (1, 1, 0, 0), 12),
  Candidate(2, (0, 1, 1, 1), 13),
  Candidate(1, (1, 0, 1, 1), 14),
  Candidate(5, (0, 1, 0, 0), 15),
  Candidate(3, (0, 0, 1, 1), 16),
)
# Those that the tests train: one resolution, one compilation.
FOUR = tuple(c for c in MANY if c.genotype[0] == 0)


def pairs(space, candidates, epochs):
  """A plan: a program for those of each resolution, two at a time."""
  return [
    grouping.alone(side, alike, 2)
    for side, alike in grouping.by_resolution(space, candidates)
  ]


@pytest.mark.parametrize(
  ("plan", "wanted", "sizes"),
  [
    (
      None,
      [[2, 3, 5], [9], [1, 7]],
      [(4, SIZE), (4, SIZE), (6, SIZE)],
    ),
    (pairs, [[2, 3], [5, 9], [1, 7]], [(4, 2), (4, 2), (6, 2)]),
    # Short trainings are left to masks.
    (
      grouping.by_size(SIZE, K, 32),
      [[2, 3, 5], [9], [1, 7]],
      [(4, SIZE), (4, SIZE), (6, SIZE)],
    ),
  ],
)
def test_the_candidates_of_a_resolution_are_trained_together(
  plan, wanted, sizes, monkeypatch
):
  def fit(model, settings, state, member, train, *, on_epoch, **_):
    trained.append((settings.resolution, member.key.shape[0]))
    for epoch in range(EPOCHS):
      on_epoch(epoch + 1, None, None)
    curves = loop.Curves(*np.ones((3, EPOCHS, SIZE)))
    return loop.Fitted(state, curves, np.ones(SIZE, bool))

  trained, told = [], []
  monkeypatch.setattr(loop, "fit", fit)
  evaluator = _evaluator(plan)
  parts = _parts(MANY, evaluator, progress=told.append)
  ids = [[outcome.id for outcome in part] for part in parts]
  assert ids == wanted
  # Parts of a group are of one size; progress does not count what fills them.
  assert trained == sizes
  assert told == [len(part) for part in wanted for _ in range(EPOCHS)]


def test_programs_are_dropped_when_another_group_comes(monkeypatch):
  """And not between the parts of one, nor those of masks before."""

  def fit(model, settings, state, member, train, **_):
    done.append("fit")
    curves = loop.Curves(*np.ones((3, EPOCHS, SIZE)))
    return loop.Fitted(state, curves, np.ones(SIZE, bool))

  def plan(space, candidates, epochs):
    masked, grouped = candidates[:3], candidates[3:]
    (some,) = grouping.by_masks(3)(space, masked, epochs)
    return [some, grouping.alone(4, grouped, 1)]

  done = []
  monkeypatch.setattr(loop, "fit", fit)
  monkeypatch.setattr(programs, "forget", lambda: done.append("drop"))
  evaluator = _evaluator(plan)
  four = tuple(sorted(FOUR))
  five = (*four, four[0]._replace(id=11))
  for _ in range(2):
    list(evaluator(five, EPOCHS, lambda _: None))
  assert done == ["fit"] * 3 + ["drop"] + ["fit"] * 3


def test_outcomes():
  outcomes = _outcomes(FOUR)
  assert sorted(outcomes) == [2, 3, 5, 9]
  for outcome in outcomes.values():
    assert len(outcome.curve) == EPOCHS
    assert all(0 <= accuracy <= 1 for accuracy in outcome.curve)
    assert np.isfinite(outcome.log_loss) and outcome.seconds > 0
    assert outcome.error is None


def test_outcomes_come_while_others_are_still_to_be_trained():
  told = []
  outcomes = _evaluator()(FOUR, EPOCHS, told.append)
  assert [o.id for o in next(outcomes)] == [2, 3, 5]
  assert len(told) == EPOCHS


def test_a_restart_evaluates_what_is_left_in_the_same_company():
  """A part of which anything is left is trained again, to the same bits."""
  whole = _outcomes(FOUR)
  (part,) = _evaluator()(FOUR, EPOCHS, lambda _: None, ended=(9, 3, 2))
  assert [outcome.id for outcome in part] == [2, 3, 5]
  for outcome in part:
    before = whole[outcome.id]
    assert outcome._replace(seconds=0.0) == before._replace(seconds=0.0)


def test_no_candidates_no_outcomes():
  assert _parts(()) == []


def test_the_outcome_is_that_of_training():
  """Of the genotype's weights, recipe and seed, through `loop.fit`."""
  by_id = {c.id: c for c in MANY}
  outcomes = _outcomes(FOUR)
  trained = [by_id[i] for i in (5, 9, 3)]
  genotypes = np.array([c.genotype for c in trained], np.int32)
  recipes = [
    Recipe("rmsprop", 0.05, dropout=0.1, stochastic_depth=0.0, mixup=0.2),
    Recipe("rmsprop", 0.05, dropout=0.1, stochastic_depth=0.0, mixup=0.2),
    Recipe("sgd", 0.5, dropout=0.1, stochastic_depth=0.0, mixup=0.2),
  ]
  members = population.members(SPACE, genotypes, recipes, [15, 11, 16])
  fitted = loop.fit(
    Model(Supernet(SPACE, K)),
    _settings(4),
    population.initial(SPACE, K, 1, members),
    members,
    _examples(0),
    epochs=EPOCHS,
    validation=_examples(1),
    stacked=True,
  )
  for i, candidate in enumerate(trained):
    found = outcomes[candidate.id]
    np.testing.assert_allclose(found.curve, fitted.curves.accuracy[:, i])
    np.testing.assert_allclose(
      found.log_loss, fitted.curves.log_loss[-1, i], rtol=1e-5
    )


def test_an_outcome_does_not_depend_on_the_company():
  outcomes = _outcomes(FOUR)
  for candidate in FOUR[:3]:
    (alone,) = _outcomes([candidate]).values()
    found = outcomes[candidate.id]
    np.testing.assert_allclose(alone.curve, found.curve, atol=1e-5)
    np.testing.assert_allclose(alone.log_loss, found.log_loss, rtol=1e-5)


def test_an_outcome_does_not_depend_on_the_plan():
  """Masks for all, or a program for each network alone."""

  def alone(space, candidates, epochs):
    return [grouping.alone(4, [c], 1) for c in candidates]

  masked = _outcomes(FOUR)
  found = _outcomes(FOUR[:2], evaluator=_evaluator(alone))
  for i, outcome in found.items():
    np.testing.assert_allclose(outcome.curve, masked[i].curve, atol=1e-5)
    np.testing.assert_allclose(outcome.losses, masked[i].losses, rtol=1e-4)


def test_a_group_with_its_own_program_goes_on_to_the_same_bits():
  evaluator = _evaluator(pairs)
  whole = _outcomes(FOUR, evaluator=evaluator)
  (part,) = evaluator(FOUR, EPOCHS, lambda _: None, ended=(9, 3, 2))
  assert [outcome.id for outcome in part] == [5, 9]
  for outcome in part:
    before = whole[outcome.id]
    assert outcome._replace(seconds=0.0) == before._replace(seconds=0.0)


def test_another_seed_is_another_training():
  losses = {
    _outcomes([MANY[0]._replace(seed=seed)])[9].log_loss for seed in (1, 2)
  }
  assert len(losses) == 2


def test_a_candidate_that_diverges_does_not_hurt_its_neighbours():
  wild = Candidate(4, (0, 1, 2, 1), 17)
  found = _outcomes([MANY[0], wild, MANY[5]])
  calm = _outcomes([MANY[0], MANY[5]])
  assert re.search(r"diverged.*epoch 1$", found[4].error)
  assert found[4].id == 4 and len(found[4].curve) == EPOCHS
  for i in (9, 3):
    assert found[i].error is None
    np.testing.assert_allclose(found[i].curve, calm[i].curve, atol=1e-5)
    np.testing.assert_allclose(found[i].log_loss, calm[i].log_loss, rtol=1e-5)


@pytest.mark.parametrize(
  ("train", "validation", "finite", "words"),
  [
    ([1, 1, np.nan], [1, 1, np.nan], False, "epoch 3"),
    ([1, 1, 1], [1, np.inf, 1], True, "epoch 2"),
    ([1, np.nan, np.nan], [np.nan, np.nan, np.nan], False, "epoch 1"),
    # An infinite variance gives zeros, and these a loss.
    ([1, 1, 1], [1, 1, 1], False, "a weight is not finite"),
  ],
)
def test_the_error_says_what_diverged(
  train, validation, finite, words, monkeypatch
):
  """Curves of three epochs, of which the first candidate's are as given."""
  curves = loop.Curves(
    np.array([train, [1.0] * 3, [1.0] * 3], np.float64).T,
    np.full((3, 3), 0.5),
    np.array([validation, [1.0] * 3, [1.0] * 3], np.float64).T,
  )
  fitted = loop.Fitted(None, curves, np.array([finite, True, True]))
  monkeypatch.setattr(loop, "fit", lambda *_, **__: fitted)
  first, second, third = _parts([MANY[0], MANY[4], MANY[5]])[0]
  errors = {o.id: o.error for o in (first, second, third)}
  assert errors[3].startswith("diverged") and errors[3].endswith(words)
  assert errors[5] is errors[9] is None


def test_a_stream_is_the_same_in_any_company(monkeypatch):
  """A part has one stream, so its seed must be no candidate's."""
  images, labels = _arrays(0)
  train = StreamedSplit(
    labels=labels,
    reader=images.__getitem__,
    records=np.arange(len(labels)),
    channels=1,
    describe=str,
    size=(4, 4),
  )
  evaluator = planned(
    SPACE,
    trainer(SPACE, K, 1, _settings, train, _examples(1)),
    grouping.by_masks(SIZE),
  )

  class EnoughError(Exception):
    pass

  def stream(split, **options):
    found.append(options)
    raise EnoughError

  found = []
  monkeypatch.setattr(data, "stream", stream)
  for candidates in (MANY[4:], MANY[:1], MANY[5:]):
    with pytest.raises(EnoughError):
      _parts(candidates, evaluator)
  assert found[0] == found[1] == found[2]
