import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.training import losses

B, K = 7, 5


def _logits(seed):
  return np.random.default_rng(seed).normal(size=(B, K)) * 3.0


def _softmax(x):
  e = np.exp(x - x.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def _cross_entropy(logits, targets):
  """Mean over the images, in float64, from the definition."""
  return -np.mean(np.sum(targets * np.log(_softmax(logits)), axis=-1))


def _smooth(labels, smoothing):
  targets = np.full((len(labels), K), smoothing / K)
  targets[np.arange(len(labels)), labels] += 1.0 - smoothing
  return targets


LABELS = np.array([0, 4, 2, 2, 1, 3, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels(smoothing):
  found = losses.smooth_labels(jnp.asarray(LABELS), K, smoothing)
  np.testing.assert_allclose(found, _smooth(LABELS, smoothing), atol=1e-7)
  np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-6)


def test_cross_entropy():
  logits, targets = _logits(0), _smooth(LABELS, 0.1)
  found = losses.cross_entropy(jnp.asarray(logits), jnp.asarray(targets))
  np.testing.assert_allclose(found, _cross_entropy(logits, targets), rtol=1e-6)


def test_cross_entropy_of_large_logits_is_finite():
  logits = jnp.array([[1e4, 0.0, -1e4]])
  found = losses.cross_entropy(logits, jnp.array([[0.0, 1.0, 0.0]]))
  assert float(found) == pytest.approx(1e4)


@pytest.mark.parametrize("weight", [0.0, 0.8, 1.0])
def test_distillation(weight):
  """Wan 2022, section 4.5: 0.8 of the teacher, 0.2 of the labels."""
  student, teacher = _logits(0), _logits(1)
  targets = _smooth(LABELS, 0.1)
  found = losses.distillation(
    jnp.asarray(student), jnp.asarray(targets), jnp.asarray(teacher), weight
  )
  taught = _cross_entropy(student, _softmax(teacher))
  expected = weight * taught + (1 - weight) * _cross_entropy(student, targets)
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_student_like_its_teacher_has_nothing_to_learn():
  logits = jnp.asarray(_logits(2), jnp.float32)
  targets = jnp.asarray(_smooth(LABELS, 0.0), jnp.float32)

  def gradient(student, weight):
    def loss(x):
      return losses.distillation(x, targets, logits, weight)

    return np.asarray(jax.grad(loss)(student))

  np.testing.assert_allclose(gradient(logits, 1.0), 0.0, atol=1e-7)
  # At another weight the rest of the labels' gradient is left.
  expected = 0.2 * (_softmax(_logits(2)) - _smooth(LABELS, 0.0)) / B
  np.testing.assert_allclose(gradient(logits, 0.8), expected, atol=1e-6)
  assert np.abs(gradient(logits + jnp.eye(B, K), 1.0)).max() > 1e-3


def test_count_correct():
  logits = jnp.array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 0.0, 1.0]])
  found = losses.count_correct(logits, jnp.array([1, 2, 2]))
  np.testing.assert_array_equal(found, [1.0, 0.0, 1.0])
  # A label that does not count is never met.
  assert losses.count_correct(logits, jnp.array([-1, -1, -1])).sum() == 0


WEIGHTS = (0.5, 2.0, 1.0, 0.0, 3.0)


def test_class_weights_weigh_images():
  """An image counts as often as the weight of its class says."""
  logits, targets = _logits(0), _smooth(LABELS, 0.1)
  each = -np.sum(targets * np.log(_softmax(logits)), axis=-1)
  expected = np.mean(np.asarray(WEIGHTS)[LABELS] * each)
  weighted = losses.smooth_labels(jnp.asarray(LABELS), K, 0.1, WEIGHTS)
  found = losses.cross_entropy(jnp.asarray(logits), weighted)
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_class_weights_weigh_what_a_teacher_says_too():
  student, teacher = _logits(0), _logits(1)
  targets = losses.smooth_labels(jnp.asarray(LABELS), K, 0.1, WEIGHTS)
  found = losses.distillation(
    jnp.asarray(student), targets, jnp.asarray(teacher), 0.8, weighted=True
  )
  mixed = 0.8 * _softmax(teacher) + 0.2 * _smooth(LABELS, 0.1)
  each = -np.sum(mixed * np.log(_softmax(student)), axis=-1)
  expected = np.mean(np.asarray(WEIGHTS)[LABELS] * each)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
