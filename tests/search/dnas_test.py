"""Differentiable search: what each step changes, and going on bit for bit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs
from fbnax.search.dnas import loop as dnas
from fbnax.search.dnas import state as dnas_state
from fbnax.search.dnas import step as dnas_step
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan
from fbnax.training import augment, checkpoints, loop
from tests.data.streams import streamed
from tests.search import tiny_search as tiny

EPOCH = 7  # 80 and 40 images in batches of 16: 5 and 2 steps.


@pytest.fixture(scope="module")
def problem():
  """One search for all tests, so that it is compiled once."""
  return tiny.problem()


@pytest.fixture(scope="module")
def undisturbed(problem):
  """That search, to its end."""
  return tiny.search(problem)


def same(left, right):
  """Bit for bit."""
  for a, b in zip(tiny.numbers(left), tiny.numbers(right), strict=True):
    np.testing.assert_array_equal(a, b)


def copied(tree):
  """A tree that may be donated."""
  return jax.tree.map(jnp.copy, tree)


def test_it_learns_and_the_penalty_lowers_the_cost(undisturbed):
  rows = undisturbed.rows
  assert [r.epoch for r in rows] == [1, 2, 3, 4]
  assert rows[-1].loss < 0.8 * rows[0].loss
  assert rows[-1].accuracy > 0.8  # Chance is a third.
  assert rows[-1].expected < rows[0].expected
  assert int(undisturbed.state.step) == 4 * EPOCH


def test_theta_is_frozen_at_first(undisturbed):
  first, second = undisturbed.rows[:2]
  assert first.theta_loss is None and second.theta_loss is not None
  assert first.entropies == pytest.approx([1.0, 1.0, 1.0])
  assert max(second.entropies) < 1.0 - 1e-4
  even = [[1 / k] * k for k in tiny.SPACE.choices]
  for found, wanted in zip(first.probabilities, even, strict=True):
    assert found == pytest.approx(wanted)


def test_the_temperature_falls_as_published():
  found = [float(dnas_state.temperature(SearchPlan(), e)) for e in (0, 1, 89)]
  np.testing.assert_allclose(
    found, [5.0, 5.0 * 0.955997, 5.0 * np.exp(-0.045 * 89)], rtol=1e-5
  )


def test_a_row_says_what_theta_says(undisturbed):
  row = undisturbed.rows[-1]
  theta = [np.asarray(t, np.float64) for t in undisturbed.state.theta]
  for t, p, e in zip(theta, row.probabilities, row.entropies, strict=True):
    wanted = np.exp(t) / np.exp(t).sum()
    np.testing.assert_allclose(p, wanted, rtol=1e-5)
    nats = -(wanted * np.log(wanted)).sum()
    np.testing.assert_allclose(e, nats / np.log(len(t)), rtol=1e-5)
  likely = [int(np.argmax(t)) for t in theta]
  counted = costs.count(tiny.SPACE.architecture(likely), tiny.K)
  assert row.derived == counted.macs
  found = costs.expected(
    tiny.SPACE, [jnp.asarray(p) for p in row.probabilities], tiny.K
  )
  np.testing.assert_allclose(row.expected, found.macs, rtol=1e-5)


def test_each_kind_of_step_changes_its_own(problem):
  split = loop.place(tiny.WEIGHTS)
  state = dnas.start(problem, 0, 1, 4)
  before = copied(state)
  state = dnas_step.run_steps(problem, 0, state, *split, jnp.asarray(5))
  same(state.theta, before.theta)
  same(state.adam, before.adam)
  kernel = state.variables["params"]["Dense_0"]["kernel"]
  assert (kernel != before.variables["params"]["Dense_0"]["kernel"]).any()
  between = copied(state)
  # Five more theta steps than an epoch has: of the same kind none the less.
  theta = loop.place(tiny.THETA)
  state = dnas_step.run_steps(problem, 1, state, *theta, jnp.asarray(7))
  same(state.variables, between.variables)
  same(state.optimizer, between.optimizer)
  assert all((np.asarray(t) != 0).any() for t in state.theta)


def test_steps_in_programs_of_their_own_are_those_of_the_loop(problem):
  """The same images, keys and temperature; rounding apart."""
  alone = dataclasses.replace(problem, looped=False)
  split, theta = loop.place(tiny.WEIGHTS), loop.place(tiny.THETA)
  start = dnas.start(problem, 0, 1, 4)
  ends = []
  for form in (problem, alone):
    state = copied(start)
    for kind, feed, count in ((0, split, 5), (1, theta, 2), (0, split, 3)):
      state, taken = dnas._advance(
        form, kind, state, feed, None, count, lambda _: False
      )
      assert taken == count
    ends.append(tiny.numbers(state))
  for one, other in zip(*ends, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_choice_weights_of_the_softmax_have_no_noise():
  theta = (jnp.asarray([0.0, 1.0, -2.0, 0.5]), jnp.asarray([3.0]))
  plan = SearchPlan(relaxation="softmax")
  found = dnas_state.choice_weights(plan, jax.random.key(0), theta, 2.0, 8)
  wanted = np.exp(np.asarray(theta[0]) / 2.0)
  np.testing.assert_allclose(found[0], wanted / wanted.sum(), rtol=1e-5)
  np.testing.assert_array_equal(found[1], [1.0])


@pytest.mark.parametrize("relaxation", ["gumbel", "single_path"])
def test_choice_weights_follow_theta(relaxation):
  """The largest weight has the probabilities of the softmax."""
  theta = (jnp.asarray([0.0, 1.0, -1.0]), jnp.zeros(2))
  plan = SearchPlan(relaxation=relaxation)
  keys = jax.random.split(jax.random.key(1), 4000)
  found = jax.vmap(lambda k: dnas_state.choice_weights(plan, k, theta, 0.5, 1))(
    keys
  )
  for t, weights in zip(theta, found, strict=True):
    np.testing.assert_allclose(np.asarray(weights).sum(-1), 1.0, rtol=1e-5)
    shares = np.bincount(np.argmax(weights, -1), minlength=len(t)) / 4000
    wanted = np.exp(t) / np.exp(t).sum()
    # Four deviations of a binomial share.
    assert np.abs(shares - wanted).max() < 4 * np.sqrt(0.25 / 4000)


def test_each_example_has_a_draw_of_its_own():
  theta = (jnp.zeros(3), jnp.zeros(2))
  plan = SearchPlan(sampling="example")
  found = dnas_state.choice_weights(plan, jax.random.key(0), theta, 1.0, 16)
  assert [w.shape for w in found] == [(16, 3), (16, 2)]
  assert len(np.unique(np.asarray(found[0])[:, 0])) == 16


@pytest.fixture(scope="module")
def plain():
  """A search without noise and images as they are, whose loss is smooth."""
  made = tiny.problem(
    penalty=Penalty("target", omega=1.5, reference=9000.0),
    relaxation="softmax",
    temperature=1.0,
    annealing=0.0,
  )
  settings = dataclasses.replace(made.settings, flip=False)
  return dataclasses.replace(made, settings=settings)


@pytest.fixture(scope="module")
def one_step(plain):
  """A theta step on one batch, from a theta of our choice."""
  state = dnas.start(plain, 3, 1, 4)._replace(step=jnp.asarray(EPOCH + 5))
  images, labels = loop.place(tiny.THETA.take(np.arange(16)))

  def run(theta):
    given = tuple(jnp.asarray(t, jnp.float32) for t in theta)
    return dnas_step.run_step(
      plain, 1, copied(state)._replace(theta=given), images, labels
    )

  return run, state, images, labels


START = ([0.1, -0.3, 0.2, 0.0], [0.4, 0.0, -0.2, 0.1], [0.0, 0.3, -0.1])


def test_the_objective_is_the_equation(plain, one_step):
  """Cross entropy by NumPy from logits, cost by `costs`, both put together."""
  run, state, images, labels = one_step
  done = run(START)
  weights = [jax.nn.softmax(jnp.asarray(t)) for t in START]
  x = augment.prepare(images, plain.settings)
  logits, _ = tiny.Net().apply(
    state.variables, x, weights, train=True, mutable=["batch_stats"]
  )
  logits = np.asarray(logits, np.float64)
  log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  targets = 0.9 * np.eye(tiny.K)[np.asarray(labels)] + 0.1 / tiny.K
  cross_entropy = -(targets * log_probs).sum(-1).mean()
  cost = float(costs.expected(tiny.SPACE, weights, tiny.K).macs)
  ratio = max(cost / 9000.0, 9000.0 / cost)
  np.testing.assert_allclose(done.sums.theta_loss, cross_entropy, rtol=1e-4)
  np.testing.assert_allclose(
    done.sums.objective, cross_entropy * ratio**1.5, rtol=1e-4
  )


def test_the_gradient_of_theta_agrees_with_differences(one_step):
  run = one_step[0]
  # Adam's first moment after one step is a tenth of the gradient.
  slopes = [np.asarray(m) / 0.1 for m in run(START).adam[0].mu]
  for decision, choice in ((0, 1), (0, 3), (1, 0), (1, 2), (2, 2)):
    ends = []
    for step in (0.02, -0.02):
      theta = [list(t) for t in START]
      theta[decision][choice] += step
      ends.append(float(run(theta).sums.objective))
    difference = (ends[0] - ends[1]) / 0.04
    np.testing.assert_allclose(
      slopes[decision][choice], difference, rtol=0.03, atol=2e-4
    )


class Stopped(Exception):
  """Somebody pulled the plug."""


def interrupt(monkeypatch, problem, folder, after, every, feeds=None):
  """A search that is killed at its n-th checkpoint, then goes on."""
  saved, save = [], checkpoints.save

  def count(*arguments, **keywords):
    save(*arguments, **keywords)
    saved.append(arguments[1])
    if len(saved) == after:
      raise Stopped

  checkpointing = dnas.SearchCheckpointing(folder, every)
  with monkeypatch.context() as patch:
    patch.setattr(checkpoints, "save", count)
    with pytest.raises(Stopped):
      tiny.search(problem, checkpointing=checkpointing, feeds=feeds)
  # What a state is resumed from must not matter, only its shapes.
  return saved[-1], tiny.search(
    problem, seed=1, checkpointing=checkpointing, feeds=feeds
  )


@pytest.mark.parametrize(
  "every, after, step", [(3, 1, 3), (13, 2, 13), (3, 5, 14)]
)
def test_interrupted_and_resumed(
  monkeypatch, tmp_path, problem, undisturbed, every, after, step
):
  """Within weight steps, within theta steps, and at the end of an epoch."""
  at, resumed = interrupt(monkeypatch, problem, tmp_path, after, every)
  assert at == step
  same(resumed.state, undisturbed.state)
  assert resumed.rows == undisturbed.rows


@pytest.mark.slow
def test_interrupted_at_every_step(monkeypatch, tmp_path, problem, undisturbed):
  for after in range(1, 25):
    _, resumed = interrupt(
      monkeypatch, problem, tmp_path / str(after), after, 1
    )
    same(resumed.state, undisturbed.state)
    assert resumed.rows == undisturbed.rows


def test_streamed_images_and_their_position(monkeypatch, tmp_path, problem):
  feeds = (streamed(tiny.WEIGHTS), streamed(tiny.THETA))
  wanted = tiny.search(problem, feeds=feeds)
  assert wanted.rows[-1].loss < wanted.rows[0].loss
  _, resumed = interrupt(monkeypatch, problem, tmp_path, 5, 4, feeds)
  same(resumed.state, wanted.state)
  assert resumed.rows == wanted.rows


def test_not_a_number_names_step_and_checkpoint(monkeypatch, tmp_path, problem):
  advance = dnas._advance

  def spoil(problem, kind, state, *rest):
    """From step 10 on theta is not a number."""
    if int(state.step) == EPOCH + 3:
      bad = jnp.full(4, jnp.nan)
      state = state._replace(theta=(bad, *state.theta[1:]))
    return advance(problem, kind, state, *rest)

  monkeypatch.setattr(dnas, "_advance", spoil)
  with pytest.raises(
    ValueError, match=r"at step 10, a step of weights in epoch 2; .*00000010"
  ):
    tiny.search(problem, checkpointing=dnas.SearchCheckpointing(tmp_path, 2))
  assert checkpoints.steps(tmp_path)[-1] == 10  # Before step 10.


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"relaxation": "hard"}, "search.relaxation is 'hard'; legal: gumbel"),
    ({"sampling": "image"}, "search.sampling is 'image'; legal: batch, exam"),
    (
      {"sampling": "example", "relaxation": "single_path"},
      "with single_path: batch",
    ),
    ({"cost_of": "x"}, "search.cost_of is 'x'"),
    ({"frozen_epochs": 90}, "search.frozen_epochs is 90; legal: at least 0, b"),
    ({"temperature": 0.0}, "search.temperature is 0.0; legal: above 0"),
    ({"epochs": 0}, "search.epochs is 0"),
  ],
)
def test_bad_plans(changes, message):
  with pytest.raises(ValueError, match=message):
    SearchPlan(**changes)
