"""A loss that a job passes in: what it is told, and what it changes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.spaces.recipe import Recipe
from fbnax.training import gradients, loop, step
from fbnax.training.model import Model
from fbnax.training.recipes import Settings, as_numbers
from fbnax.training.step import Member
from tests.training.linear import K, Linear, data

RECIPE = Recipe("sgd", 8.0, 0.0, False, 0.0, 0.0, 0.0)
SETTINGS = Settings(
  epochs=4, batch_size=8, resolution=4, mean=(0.5,), std=(0.25,)
)


@dataclasses.dataclass(frozen=True)
class Sum:
  """The plain loss and a part of what is given."""

  weight: float

  def __call__(self, plain, logits, targets, progress, given):
    return plain + self.weight * (given * logits).mean()


@dataclasses.dataclass(frozen=True)
class Told:
  """One of the arguments as the loss, to look at it."""

  name: str

  def __call__(self, plain, logits, targets, progress, given):
    told = {"progress": progress, "targets": targets, "given": given}
    return (told[self.name] * jnp.arange(1.0, 1.0 + K)).sum() + 0 * plain


_step = jax.jit(step.train_step, static_argnums=(0, 1, 2))


def _member(given=None, recipe=RECIPE):
  return Member(as_numbers(recipe), None, jax.random.key(0), given)


def _start():
  variables = Linear().init(
    jax.random.key(0), jnp.zeros((1, 4, 4, 1)), train=False
  )
  return step.start(variables)


def test_an_objective_that_changes_nothing_changes_no_bit():
  images, labels = data()
  given = jnp.ones(K)
  runs = [
    _step(model, SETTINGS, 2, _start(), _member(g), images, labels)
    for model, g in (
      (Model(Linear()), None),
      (Model(Linear(), objective=Sum(0.0)), given),
    )
  ]
  (a, found), (b, same) = runs
  np.testing.assert_array_equal(found.loss, same.loss)
  for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_array_equal(left, right)


def test_its_gradient_is_taken():
  """The mean logit's gradient is x' 1 / (B K)."""
  images, labels = data()
  given = jnp.arange(K, dtype=jnp.float32)
  ends = [
    _step(
      Model(Linear(), objective=Sum(w)),
      SETTINGS,
      2,
      _start(),
      _member(given),
      images,
      labels,
    )[0].variables["params"]["Dense_0"]["kernel"]
    for w in (0.0, 3.0)
  ]
  x = (np.asarray(images, np.float64).reshape(8, -1) / 255 - 0.5) / 0.25
  extra = 3.0 * x.T @ np.tile(np.arange(K), (8, 1)) / (8 * K)
  # 8 / 256 of the recipe's 8.0.
  np.testing.assert_allclose(ends[1] - ends[0], -0.25 * extra, atol=1e-5)


def test_progress_is_the_share_that_is_behind():
  images, labels = data()
  model = Model(Linear(), objective=Told("progress"))
  state = _start()
  for i in range(3):
    state, found = _step(model, SETTINGS, 2, state, _member(), images, labels)
    # 4 epochs of 2 steps; the weights 1 to K sum to 10.
    assert float(found.loss) == pytest.approx(10 * i / 8)


def test_targets_are_smoothed_and_mixed():
  images, labels = data()
  model = Model(Linear(), objective=Told("targets"))
  variables = _start().variables
  found = gradients.of_batch(
    model,
    dataclasses.replace(SETTINGS, label_smoothing=0.2),
    variables,
    _member(),
    images,
    labels,
    ratio=jnp.float32(0.7),
    key=jax.random.key(1),
  )
  hot = 0.8 * np.eye(K)[np.asarray(labels)] + 0.2 / K
  mixed = 0.7 * hot + 0.3 * hot[::-1]
  np.testing.assert_allclose(
    found.loss, (mixed * np.arange(1, 1 + K)).sum(), rtol=1e-6
  )


def test_parts_of_a_batch_are_told_the_same():
  images, labels = data()
  settings = dataclasses.replace(SETTINGS, accumulate=2)
  model = Model(Linear(), objective=Told("given"))
  given = jnp.asarray([1.0, 0.0, 2.0, 0.0])
  _, found = _step(model, settings, 1, _start(), _member(given), images, labels)
  assert float(found.loss) == pytest.approx(7.0)


def test_a_population_is_given_one_each():
  images, labels = data()
  givens = jnp.asarray([[1.0, 0, 0, 0], [0.0, 1, 0, 0]])
  two = jax.tree.map(lambda *x: jnp.stack(x), *(_member(g) for g in givens))
  state = jax.tree.map(lambda *x: jnp.stack(x), _start(), _start())
  fitted = loop.fit(
    Model(Linear(), objective=Told("given")),
    SETTINGS,
    state,
    two,
    loop.Examples(images, labels),
    epochs=1,
    stacked=True,
  )
  np.testing.assert_allclose(fitted.curves.train_loss[0], [1.0, 2.0])
