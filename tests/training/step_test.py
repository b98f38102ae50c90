"""One step and one epoch against the equations, on a network of two layers."""

import dataclasses
import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from fbnax.spaces.recipe import Recipe
from fbnax.training import step
from fbnax.training.recipes import Settings, as_numbers
from fbnax.training.step import Member, Model

K = 4


class Net(nn.Module):
  """Dense, BN, ReLU, dropout, Dense."""

  @nn.compact
  def __call__(self, images, *, train, dropout=0.0):
    x = nn.Dense(8)(images.reshape(images.shape[0], -1))
    x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
    if train:
      keep = jax.random.bernoulli(
        self.make_rng("dropout"), 1 - dropout, x.shape
      )
      x = x * keep / (1 - dropout)
    return nn.Dense(K)(x)


class Linear(nn.Module):
  """One matrix, without BN, without random rates."""

  @nn.compact
  def __call__(self, images, *, train):
    x = images.reshape(images.shape[0], -1)
    return nn.Dense(K, use_bias=False)(x)


NET, LINEAR = Model(Net()), Model(Linear())
PLAIN = Recipe(
  "sgd",
  learning_rate=8.0,
  weight_decay=0.0,
  ema=True,
  dropout=0.0,
  stochastic_depth=0.0,
  mixup=0.0,
)
SETTINGS = Settings(
  epochs=4,
  batch_size=8,
  resolution=4,
  mean=(0.5,),
  std=(0.25,),
  ema_decay=0.2,
  label_smoothing=0.1,
)


def _settings(**changes):
  return SETTINGS.__class__(**(vars(SETTINGS) | changes))


def _data(n=8, seed=0):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (n, 4, 4, 1), np.uint8)
  return jnp.asarray(images), jnp.asarray(rng.integers(0, K, n), jnp.int32)


def _member(recipe=PLAIN, seed=0):
  return Member(as_numbers(recipe), None, jax.random.key(seed))


@functools.cache
def _variables(module=NET.module, seed=0, side=4):
  images = jnp.zeros((1, side, side, 1))
  return jax.jit(lambda key: module.init(key, images, train=False))(
    jax.random.key(seed)
  )


def _start(model=NET):
  return step.start(_variables(model.module))


_step = jax.jit(step.train_step, static_argnums=(0, 1, 2))
_epoch = jax.jit(step.train_epoch, static_argnums=(0, 1))
_evaluate = jax.jit(step.evaluate, static_argnums=(0, 1))


def _normalise(images):
  return (np.asarray(images, np.float64) / 255.0 - 0.5) / 0.25


def _smooth(labels):
  return 0.9 * np.eye(K)[np.asarray(labels)] + 0.1 / K


def _log_softmax(x):
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_a_step_of_a_linear_classifier_by_hand():
  """Softmax regression: the gradient is x' (p - y) / B."""
  images, labels = _data()
  before = _start(LINEAR)
  after, found = _step(LINEAR, SETTINGS, 2, before, _member(), images, labels)
  x = _normalise(images).reshape(8, -1)
  w = np.asarray(before.variables["params"]["Dense_0"]["kernel"], np.float64)
  log_probs = _log_softmax(x @ w)
  targets = _smooth(labels)
  loss = -(targets * log_probs).sum(-1).mean()
  np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
  correct = (x @ w).argmax(-1) == np.asarray(labels)
  np.testing.assert_allclose(found.accuracy, correct.mean(), rtol=1e-6)
  # 8 / 256 of the recipe's 8.0.
  expected = w - 0.25 * x.T @ (np.exp(log_probs) - targets) / 8
  np.testing.assert_allclose(
    after.variables["params"]["Dense_0"]["kernel"], expected, atol=1e-5
  )
  assert after.step == 1
  assert after.variables["batch_stats"] == {}


@pytest.mark.parametrize("growing", [True, False])
def test_the_average_is_equation_4_2(growing):
  """w_ema <- a w_ema + (1 - a) w; growing, a is at most (1 + t) / (10 + t)."""
  settings = dataclasses.replace(SETTINGS, ema_growing=growing)
  images, labels = _data()
  state = _start()
  average = np.asarray(ravel_pytree(state.variables)[0], np.float64)
  np.testing.assert_array_equal(state.ema, average)
  # 1 / 10, 2 / 11, and in place of 3 / 12 the settings' decay.
  for decay in (1 / 10, 2 / 11, 0.2) if growing else (0.2, 0.2):
    state, _ = _step(NET, settings, 2, state, _member(), images, labels)
    last = np.asarray(ravel_pytree(state.variables)[0], np.float64)
    average = decay * average + (1 - decay) * last
    np.testing.assert_allclose(state.ema, average, rtol=1e-5, atol=1e-6)
  assert state.variables["batch_stats"]["BatchNorm_0"]["mean"].any()


@pytest.mark.parametrize("ema", [True, False])
def test_the_result_is_the_average_or_the_last(ema):
  images, labels = _data()
  state, _ = _step(NET, SETTINGS, 2, _start(), _member(), images, labels)
  recipe = as_numbers(Recipe(ema=ema))
  found = step.result(state, recipe)
  last = ravel_pytree(state.variables)[0]
  expected = state.ema if ema else last
  np.testing.assert_array_equal(ravel_pytree(found)[0], expected)
  assert jax.tree.structure(found) == jax.tree.structure(state.variables)
  assert np.abs(np.asarray(state.ema - last)).max() > 1e-3


def test_bn_statistics_are_those_of_the_batch():
  """0.99 of the old (Flax's default) and 0.01 of the batch's."""
  images, labels = _data()
  before = _start()
  after, _ = _step(NET, SETTINGS, 2, before, _member(), images, labels)
  dense = before.variables["params"]["Dense_0"]
  x = _normalise(images).reshape(8, -1) @ np.asarray(dense["kernel"])
  found = after.variables["batch_stats"]["BatchNorm_0"]
  np.testing.assert_allclose(found["mean"], 0.01 * x.mean(0), atol=1e-6)
  np.testing.assert_allclose(found["var"], 0.99 + 0.01 * x.var(0), rtol=1e-5)


RANDOM = Recipe("sgd", 1.0, 1e-4, True, 0.3, 0.0, 0.4)


def test_a_step_follows_from_its_key():
  images, labels = _data()
  settings = _settings(flip=True, crop_padding=1)

  def end(seed):
    state = _start()
    for _ in range(2):
      state, _ = _step(
        NET, settings, 2, state, _member(RANDOM, seed), images, labels
      )
    return state

  chex.assert_trees_all_equal(end(0), end(0))
  assert not np.array_equal(end(0).ema, end(1).ema)


@pytest.mark.parametrize(
  ("what", "settings", "recipe"),
  [
    ("mixup", {}, {"mixup": 0.4}),
    ("dropout", {}, {"dropout": 0.5}),
    ("crops and flips", {"crop_padding": 1, "flip": True}, {}),
    ("policy", {"augment": "randaugment"}, {}),
    ("erasing", {"erasing": 1.0}, {}),
  ],
)
def test_what_is_random_differs_between_steps(what, settings, recipe):
  images, labels = _data()
  recipe = Recipe(**(vars(PLAIN) | recipe))
  settings = _settings(**settings)

  def losses(recipe, settings):
    found = []
    for count in range(3):
      state = _start()._replace(step=jnp.int32(count))
      _, metrics = _step(
        NET, settings, 2, state, _member(recipe), images, labels
      )
      found.append(float(metrics.loss))
    return found

  assert len(set(losses(PLAIN, SETTINGS))) == 1
  assert len(set(losses(recipe, settings))) == 3, what


def test_mixup_mixes_images_and_targets_alike():
  """There is one ratio that explains the loss and the step of every weight."""
  images, labels = _data()
  member = _member(Recipe(**(vars(PLAIN) | {"mixup": 0.4})))
  state = _start(LINEAR)
  after, found = _step(LINEAR, SETTINGS, 2, state, member, images, labels)
  w = np.asarray(state.variables["params"]["Dense_0"]["kernel"], np.float64)
  moved = after.variables["params"]["Dense_0"]["kernel"] - w
  x = _normalise(images).reshape(8, -1)
  y = _smooth(labels)

  def expected(ratio):
    mixed_x = ratio * x + (1 - ratio) * x[::-1]
    mixed_y = ratio * y + (1 - ratio) * y[::-1]
    log_probs = _log_softmax(mixed_x @ w)
    step = -0.25 * mixed_x.T @ (np.exp(log_probs) - mixed_y) / 8
    return step, -(mixed_y * log_probs).sum(-1).mean()

  # It is not returned; swapping it with its complement changes nothing.
  ratios = np.linspace(0, 0.5, 2001)
  errors = [np.abs(expected(r)[0] - moved).max() for r in ratios]
  best = ratios[np.argmin(errors)]
  assert best > 0.01
  assert min(errors) < 1e-3 * np.abs(moved).max()
  np.testing.assert_allclose(found.loss, expected(best)[1], rtol=1e-3)


def test_a_teacher_is_asked_for_its_opinion():
  """0.8 of its cross entropy and 0.2 of the labels', by hand."""
  images, labels = _data()
  state, member = _start(LINEAR), _member()
  w = np.asarray(state.variables["params"]["Dense_0"]["kernel"], np.float64)
  x = _normalise(images).reshape(8, -1)
  log_probs = _log_softmax(x @ w)
  hard = _smooth(labels)
  model = Model(LINEAR.module, teacher=LINEAR, teacher_resolution=4)
  # The second teacher is the student: the labels alone move it.
  for seed in (1, 0):
    teacher = _variables(LINEAR.module, seed=seed)
    after, found = _step(
      model, SETTINGS, 2, state, member, images, labels, teacher
    )
    kernel = np.asarray(teacher["params"]["Dense_0"]["kernel"], np.float64)
    targets = 0.8 * np.exp(_log_softmax(x @ kernel)) + 0.2 * hard
    loss = -(targets * log_probs).sum(-1).mean()
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    moved = after.variables["params"]["Dense_0"]["kernel"] - w
    expected = -0.25 * x.T @ (np.exp(log_probs) - targets) / 8
    np.testing.assert_allclose(moved, expected, atol=1e-5)
  alone = -0.25 * x.T @ (np.exp(log_probs) - hard) / 8
  np.testing.assert_allclose(moved, 0.2 * alone, atol=1e-5)


def test_a_teacher_sees_its_own_resolution():
  images, labels = _data()
  teacher = _variables(LINEAR.module, seed=1, side=6)
  state = _start(LINEAR)
  w = np.asarray(state.variables["params"]["Dense_0"]["kernel"], np.float64)
  model = Model(LINEAR.module, teacher=LINEAR, teacher_resolution=6)
  _, found = _step(
    model, SETTINGS, 2, state, _member(), images, labels, teacher
  )
  x = _normalise(images)
  large = np.asarray(jax.image.resize(x, (8, 6, 6, 1), "bilinear"), np.float64)
  logits = large.reshape(8, -1) @ teacher["params"]["Dense_0"]["kernel"]
  targets = 0.8 * np.exp(_log_softmax(logits)) + 0.2 * _smooth(labels)
  loss = -(targets * _log_softmax(x.reshape(8, -1) @ w)).sum(-1).mean()
  np.testing.assert_allclose(found.loss, loss, rtol=1e-4)


def test_a_teacher_sees_the_same_distorted_images():
  """Taught by itself alone, a network has nothing to learn."""
  images, labels = _data()
  settings = _settings(
    augment="randaugment", erasing=1.0, flip=True, distillation=1.0
  )
  member = _member(Recipe(**(vars(PLAIN) | {"mixup": 0.4})))
  state = _start(LINEAR)
  model = Model(LINEAR.module, teacher=LINEAR)
  for seed, same in ((0, True), (1, False)):
    teacher = _variables(LINEAR.module, seed=seed)
    after, _ = _step(model, settings, 2, state, member, images, labels, teacher)
    moved = ravel_pytree(after.variables)[0] - ravel_pytree(state.variables)[0]
    assert (np.abs(np.asarray(moved)).max() < 1e-5) == same


def test_a_step_in_parts_is_a_step():
  images, labels = _data()
  state, member = _start(LINEAR), _member()
  whole, parts = (
    _step(LINEAR, _settings(accumulate=n), 2, state, member, images, labels)
    for n in (1, 4)
  )
  chex.assert_trees_all_close(whole, parts, rtol=1e-5, atol=1e-6)
  assert parts[0].step == 1


def test_the_step_is_as_long_as_clipping_allows():
  """SGD's first step is the rate, 8 x 8 / 256, times the gradient."""
  images, labels = _data()
  state = _start(LINEAR)
  after, _ = _step(
    LINEAR, _settings(clip_norm=0.01), 2, state, _member(), images, labels
  )
  moved = ravel_pytree(after.variables)[0] - ravel_pytree(state.variables)[0]
  np.testing.assert_allclose(np.linalg.norm(moved), 0.25 * 0.01, rtol=1e-3)


class Tally(nn.Module):
  """A weight for each image, which a step moves if the image is in it.

  Image number i is a one-hot picture. The logits are `w[i]` for each class
  but 0 for the first: the gradient of w[i] is nonzero only for shown images.
  """

  @nn.compact
  def __call__(self, images, *, train):
    x = images.reshape(images.shape[0], -1)
    w = self.param("w", nn.initializers.zeros, (x.shape[1],))
    return jnp.stack([jnp.zeros(x.shape[0]), x @ w], -1)


TALLY = Model(Tally())


def _one_hot_images(n):
  pixels = np.zeros((n, 16), np.uint8)
  pixels[np.arange(n), np.arange(n)] = 255
  return jnp.asarray(pixels.reshape(n, 4, 4, 1))


def _shown(state):
  """How often an epoch of 14 images in batches of 4 shows each; its state.

  At a rate of 2.56 x 4 / 256 a showing moves an image's weight by 0.01 times
  the probability of the wrong class, which is a half and smoothed to 0.45.
  """
  settings = _settings(
    mean=(0.0,), std=(1.0,), batch_size=4, momentum=0.0, decay=1.0
  )
  recipe = Recipe(**(vars(PLAIN) | {"learning_rate": 2.56}))
  labels = jnp.ones(14, jnp.int32)
  after, _ = _epoch(
    TALLY, settings, state, _member(recipe), _one_hot_images(14), labels
  )
  moved = after.variables["params"]["w"] - state.variables["params"]["w"]
  return np.asarray(moved[:14]) / 0.0045, after


def test_an_epoch_shows_every_image_once():
  """But those beyond full batches, which wait for another epoch's order."""
  state = step.start({"params": {"w": jnp.zeros(16)}})
  left = []
  for _ in range(6):
    shown, state = _shown(state)
    np.testing.assert_allclose(np.sort(shown), [0] * 2 + [1] * 12, atol=0.05)
    left.append(tuple(np.flatnonzero(shown < 0.5)))
  assert state.step == 18
  assert len(set(left)) > 1


def test_a_batch_larger_than_the_set_is_the_set():
  settings = _settings(mean=(0.0,), std=(1.0,), batch_size=64)
  state = step.start({"params": {"w": jnp.zeros(16)}})
  state, found = _epoch(
    TALLY,
    settings,
    state,
    _member(),
    _one_hot_images(5),
    jnp.ones(5, jnp.int32),
  )
  assert state.step == 1
  assert (state.variables["params"]["w"][:5] > 0).all()
  np.testing.assert_allclose(found.loss, np.log(2), rtol=1e-6)


def test_an_epoch_is_its_steps():
  """The order is found out from what the first batch moves."""
  settings = _settings(mean=(0.0,), std=(1.0,), batch_size=4)
  images, labels = _one_hot_images(8), jnp.arange(8, dtype=jnp.int32) % 2
  start = step.start({"params": {"w": jnp.zeros(16)}})
  end, found = _epoch(TALLY, settings, start, _member(), images, labels)
  # Momentum 0.9: the first batch's weights move twice.
  moved = np.abs(np.asarray(end.variables["params"]["w"][:8]))
  first = np.argsort(-moved)[:4]
  state, losses = start, []
  for rows in (first, np.setdiff1d(np.arange(8), first)):
    state, metrics = _step(
      TALLY, settings, 2, state, _member(), images[rows], labels[rows]
    )
    losses.append(float(metrics.loss))
  np.testing.assert_allclose(found.loss, np.mean(losses), rtol=1e-6)
  chex.assert_trees_all_close(end, state, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
  ("count", "batch", "steps"), [(12, 4, 3), (14, 4, 3), (3, 4, 1), (4, 4, 1)]
)
def test_steps_per_epoch(count, batch, steps):
  assert step.steps_per_epoch(count, _settings(batch_size=batch)) == steps


def _reference(variables, images, labels):
  """Log-loss and accuracy of `Net` in NumPy, image by image."""
  p = jax.tree.map(lambda v: np.asarray(v, np.float64), variables)
  stats, p = p["batch_stats"]["BatchNorm_0"], p["params"]
  losses, correct = [], []
  for image, label in zip(_normalise(images), np.asarray(labels), strict=True):
    if label < 0:
      continue
    x = image.reshape(-1) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    x = np.maximum(x * p["BatchNorm_0"]["scale"] + p["BatchNorm_0"]["bias"], 0)
    logits = x @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
    losses.append(-_log_softmax(logits)[label])
    correct.append(logits.argmax() == label)
  return np.mean(losses), np.mean(correct)


@pytest.mark.parametrize("batch", [4, 64])
def test_evaluate(batch):
  images, labels = _data(11)
  variables = _variables()
  shifted = jax.tree.map(lambda v: v + 0.3, variables)
  settings = _settings(batch_size=batch, crop_padding=2, flip=True)
  found = _evaluate(NET, settings, shifted, None, images, labels)
  loss, accuracy = _reference(shifted, images, labels)
  np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
  np.testing.assert_allclose(found.accuracy, accuracy, rtol=1e-6)


def test_images_with_label_minus_1_do_not_count():
  images, labels = _data(11)
  labels = labels.at[jnp.array([0, 3, 10])].set(-1)
  settings = _settings(batch_size=4)
  found = _evaluate(NET, settings, _variables(), None, images, labels)
  loss, accuracy = _reference(_variables(), images, labels)
  np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
  np.testing.assert_allclose(found.accuracy, accuracy, rtol=1e-6)


@pytest.mark.parametrize(
  ("sampling", "share"), [("uniform", 0.75), ("balanced", 0.5)]
)
def test_an_epoch_shows_what_is_drawn(sampling, share):
  """A network of zeros takes all images for class 0: the share of those."""
  images, _ = _data(32)
  labels = jnp.repeat(jnp.arange(2), jnp.asarray([24, 8]))
  state = step.start(jax.tree.map(jnp.zeros_like, _variables(LINEAR.module)))
  still = _member(dataclasses.replace(PLAIN, learning_rate=0.0))
  _, found = _epoch(
    LINEAR, _settings(sampling=sampling), state, still, images, labels
  )
  assert found.accuracy == share


class Headed(nn.Module):
  """A layer and a classifier."""

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Dense(3, name="trunk")(images.reshape(images.shape[0], -1))
    return nn.Dense(K, name="classifier")(x)


def test_the_classifier_alone_is_trained_in_the_first_epochs():
  model, settings = Model(Headed()), _settings(head_epochs=1.0, trunk_rate=0.5)
  images, labels = _data()

  def moved(settings, step_number):
    before = _start(model)._replace(step=jnp.int32(step_number))
    after, _ = _step(model, settings, 2, before, _member(), images, labels)
    return jax.tree.map(
      lambda a, b: np.asarray(a - b),
      after.variables["params"],
      before.variables["params"],
    )

  for number, share in ((1, 0.0), (2, 0.5)):
    usual, found = moved(SETTINGS, number), moved(settings, number)
    for name, factor in (("classifier", 1.0), ("trunk", share)):
      assert np.abs(usual[name]["kernel"]).max() > 1e-3
      np.testing.assert_allclose(
        found[name]["kernel"],
        usual[name]["kernel"] * factor,
        rtol=1e-3,
        atol=1e-6,
      )
