"""The gradient of a batch in parts, against the whole and against parts."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.spaces.recipe import Recipe
from fbnax.training import gradients
from fbnax.training.model import Member, Model
from fbnax.training.recipes import Settings, as_numbers

B, K = 12, 4
SETTINGS = Settings(
  epochs=1, batch_size=B, resolution=4, mean=(0.5,), std=(0.25,)
)


class Linear(nn.Module):
  """One matrix."""

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(K, use_bias=False)(images.reshape(images.shape[0], -1))


class Normal(nn.Module):
  """BN, then one matrix."""

  @nn.compact
  def __call__(self, images, *, train):
    x = images.reshape(images.shape[0], -1)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
    return nn.Dense(K, use_bias=False)(x)


class Noisy(nn.Module):
  """Drops the image or does not: the logits say which."""

  @nn.compact
  def __call__(self, images, *, train):
    w = self.param("w", nn.initializers.ones, ())
    kept = jax.random.bernoulli(self.make_rng("dropout"), 0.5, (len(images),))
    return w * jnp.stack([kept] * K, -1) * jnp.arange(1.0, K + 1)


RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (B, 4, 4, 1), np.uint8)
LABELS = RNG.integers(0, K, B).astype(np.int32)


@functools.cache
def _variables(module, seed=0):
  keys = jax.random.key(seed)
  variables = module.init(
    {"params": keys, "dropout": keys}, jnp.zeros((1, 4, 4, 1)), train=False
  )
  return {"batch_stats": {}, **variables}


@functools.partial(jax.jit, static_argnums=(0, 1))
def _found(model, settings, variables, images, labels, ratio, teacher=None):
  member = Member(as_numbers(Recipe()), None, jax.random.key(0))
  return gradients.of_batch(
    model,
    settings,
    variables,
    member,
    images,
    labels,
    ratio=ratio,
    key=jax.random.key(1),
    teacher=teacher,
  )


def _of(module, parts, ratio=1.0, **more):
  settings = dataclasses.replace(SETTINGS, accumulate=parts)
  return _found(
    Model(module, **more.pop("model", {})),
    settings,
    _variables(module),
    IMAGES,
    LABELS,
    jnp.float32(ratio),
    **more,
  )


def _log_softmax(x):
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _by_hand(x, targets, w):
  """Gradient and loss of softmax regression."""
  log_probs = _log_softmax(x @ w)
  gradient = x.T @ (np.exp(log_probs) - targets) / len(x)
  return gradient, -(targets * log_probs).sum(-1).mean()


X = (IMAGES.reshape(B, -1) / 255.0 - 0.5) / 0.25
Y = 0.9 * np.eye(K)[LABELS] + 0.1 / K


@pytest.mark.parametrize("parts", [1, 2, 3, 12])
def test_without_bn_the_parts_are_the_whole(parts):
  found = _of(Linear(), parts)
  w = np.asarray(_variables(Linear())["params"]["Dense_0"]["kernel"], float)
  gradient, loss = _by_hand(X, Y, w)
  np.testing.assert_allclose(
    found.params["Dense_0"]["kernel"], gradient, atol=2e-6
  )
  np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
  accuracy = ((X @ w).argmax(-1) == LABELS).mean()
  np.testing.assert_allclose(found.accuracy, accuracy, rtol=1e-5)


def test_mixup_finds_partners_within_a_part():
  found = _of(Linear(), 3, ratio=0.7)
  w = np.asarray(_variables(Linear())["params"]["Dense_0"]["kernel"], float)
  expected = []
  for rows in np.arange(B).reshape(3, -1):
    x, y = (0.7 * v[rows] + 0.3 * v[rows[::-1]] for v in (X, Y))
    expected.append(_by_hand(x, y, w))
  np.testing.assert_allclose(
    found.params["Dense_0"]["kernel"],
    np.mean([e[0] for e in expected], 0),
    atol=2e-6,
  )
  np.testing.assert_allclose(
    found.loss, np.mean([e[1] for e in expected]), rtol=1e-5
  )


def test_bn_takes_each_part_by_itself_and_remembers_them_in_turn():
  found = _of(Normal(), 3)
  variables = _variables(Normal())
  w = np.asarray(variables["params"]["Dense_0"]["kernel"], float)
  mean, var, expected = np.zeros(16), np.ones(16), []
  for rows in np.arange(B).reshape(3, -1):
    x = X[rows]
    mean = 0.5 * mean + 0.5 * x.mean(0)
    var = 0.5 * var + 0.5 * x.var(0)
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    expected.append(_by_hand(x, Y[rows], w)[0])
  np.testing.assert_allclose(
    found.params["Dense_0"]["kernel"], np.mean(expected, 0), atol=1e-5
  )
  stats = found.batch_stats["BatchNorm_0"]
  np.testing.assert_allclose(stats["mean"], mean, atol=1e-5)
  np.testing.assert_allclose(stats["var"], var, rtol=1e-5)
  # And the whole batch is another matter.
  whole = _of(Normal(), 1)
  assert np.abs(whole.batch_stats["BatchNorm_0"]["var"] - var).max() > 0.1


def test_dropout_differs_between_parts():
  """One image a part: with one key for all, all are dropped or none."""
  settings = dataclasses.replace(SETTINGS, accumulate=B, label_smoothing=0.0)
  labels = jnp.zeros(B, jnp.int32)
  variables = _variables(Noisy())
  found = _found(
    Model(Noisy()), settings, variables, IMAGES, labels, jnp.float32(1.0)
  )
  kept = -_log_softmax(np.arange(1.0, K + 1))[0]
  share = (float(found.loss) - np.log(K)) / (kept - np.log(K))
  assert 0.05 < share < 0.95
  np.testing.assert_allclose(share * B, np.round(share * B), atol=1e-3)


def test_a_teacher_is_asked_part_by_part():
  teacher = _variables(Linear(), seed=1)
  one, three = (
    _of(Linear(), n, model={"teacher": Model(Linear())}, teacher=teacher)
    for n in (1, 3)
  )
  kernel = np.asarray(teacher["params"]["Dense_0"]["kernel"], float)
  w = np.asarray(_variables(Linear())["params"]["Dense_0"]["kernel"], float)
  targets = 0.8 * np.exp(_log_softmax(X @ kernel)) + 0.2 * Y
  gradient, loss = _by_hand(X, targets, w)
  for found in (one, three):
    np.testing.assert_allclose(
      found.params["Dense_0"]["kernel"], gradient, atol=2e-6
    )
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)


def test_a_batch_that_does_not_split_is_refused():
  """A set smaller than a batch, say."""
  settings = dataclasses.replace(SETTINGS, accumulate=3)
  with pytest.raises(ValueError, match=r"accumulate is 3; .* has 5 images"):
    _found(
      Model(Linear()),
      settings,
      _variables(Linear()),
      IMAGES[:5],
      LABELS[:5],
      jnp.float32(1.0),
    )


@pytest.mark.parametrize("ratio", [1.0, 0.3])
@pytest.mark.parametrize("taught", [False, True])
def test_a_loss_is_the_sum_of_what_its_classes_weigh(ratio, taught):
  """Of labels, mixed or not, and of a teacher: linear in the weights."""
  model = Model(Linear(), Model(Linear()) if taught else None)
  teacher = _variables(Linear(), 1) if taught else None

  def loss(*weights):
    found = _found(
      model,
      dataclasses.replace(SETTINGS, class_weights=weights),
      _variables(Linear()),
      IMAGES,
      LABELS,
      ratio,
      teacher,
    )
    return float(found.loss)

  alone = [loss(*np.eye(K)[k].tolist()) for k in range(K)]
  assert sum(part > 0 for part in alone) == len(set(LABELS.tolist()))
  assert loss(0.5, 2.0, 1.0, 3.0) == pytest.approx(
    np.dot(alone, [0.5, 2.0, 1.0, 3.0]), rel=1e-5
  )
  assert loss() == pytest.approx(sum(alone), rel=1e-5)
