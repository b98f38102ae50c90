"""Scores against scikit-learn's, and against brute force."""

import numpy as np
import pytest
from scipy import optimize, special
from sklearn import metrics

from fbnax.training import scores


def _said(n=300, k=3, seed=0, shares=None):
  """Logits that know something, of classes of unequal size."""
  rng = np.random.default_rng(seed)
  labels = rng.choice(k, n, p=shares).astype(np.int32)
  logits = 2 * rng.normal(size=(n, k)) + 2 * np.eye(k)[labels]
  return logits.astype(np.float32), labels


BINARY = _said(k=2, shares=(0.15, 0.85))
THREE = _said(shares=(0.1, 0.3, 0.6))


@pytest.mark.parametrize(("logits", "labels"), [BINARY, THREE])
def test_counts_and_what_is_made_of_them(logits, labels):
  k = logits.shape[1]
  predicted = logits.argmax(1)
  counts = scores.confusion(labels, predicted, k)
  np.testing.assert_array_equal(
    counts, metrics.confusion_matrix(labels, predicted)
  )
  assert scores.balanced_accuracy(counts) == pytest.approx(
    metrics.balanced_accuracy_score(labels, predicted), abs=1e-12
  )
  assert scores.f1(counts) == pytest.approx(
    metrics.f1_score(labels, predicted, average="macro"), abs=1e-12
  )
  for positive in range(k):
    assert scores.f1(counts, positive) == pytest.approx(
      metrics.f1_score(labels == positive, predicted == positive), abs=1e-12
    )


def test_classes_that_are_not_there_do_not_count():
  labels = np.asarray([0, 0, 2, 2, 2])
  predicted = np.asarray([0, 2, 2, 2, 0])
  counts = scores.confusion(labels, predicted, 5)
  assert scores.balanced_accuracy(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)
  assert scores.f1(counts) == pytest.approx(
    metrics.f1_score(labels, predicted, average="macro")
  )


def test_area_under_the_curve():
  logits, labels = BINARY
  shares = special.softmax(logits.astype(np.float64), 1)
  expected = metrics.roc_auc_score(labels, shares[:, 1])
  assert scores.area_under_curve(*BINARY) == pytest.approx(expected, abs=1e-12)
  logits, labels = THREE
  shares = special.softmax(logits.astype(np.float64), 1)
  expected = metrics.roc_auc_score(labels, shares, multi_class="ovr")
  assert scores.area_under_curve(*THREE) == pytest.approx(expected, abs=1e-12)
  one = np.zeros(len(labels), np.int32)
  assert scores.area_under_curve(logits, one) is None


def test_an_area_is_told_where_float32_says_1():
  """Probabilities of sure networks are all 1; their logits still differ."""
  logits = np.asarray([[0, 30], [0, 40], [0, 35], [0, 50]], np.float32)
  labels = np.asarray([0, 1, 0, 1])
  assert scores.area_under_curve(logits, labels) == 1.0


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_log_loss_and_probabilities(temperature):
  logits, labels = THREE
  shares = special.softmax(logits.astype(np.float64) / temperature, 1)
  assert scores.log_loss(logits, labels, temperature) == pytest.approx(
    metrics.log_loss(labels, shares), rel=1e-12
  )
  np.testing.assert_allclose(
    scores.probability_of(logits, 2, temperature), shares[:, 2], rtol=1e-12
  )


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
def test_the_best_temperature_is_that_of_a_minimiser(scale):
  logits, labels = THREE
  logits = logits * np.float32(scale)
  found = scores.best_temperature(logits, labels)
  best = optimize.minimize_scalar(
    lambda t: scores.log_loss(logits, labels, t),
    bounds=scores.TEMPERATURES,
    method="bounded",
    options={"xatol": 1e-9},
  )
  assert found == pytest.approx(best.x, rel=1e-5)
  unscaled = scores.best_temperature(*THREE)
  assert found == pytest.approx(scale * unscaled, rel=1e-5)


def test_a_temperature_stays_within_its_bounds():
  labels = np.arange(6) % 2
  right = np.eye(2, dtype=np.float32)[labels]
  low, high = scores.TEMPERATURES
  assert scores.best_temperature(right, labels) == pytest.approx(low)
  assert scores.best_temperature(-right, labels) == pytest.approx(high)


@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_the_best_threshold_has_the_largest_f1(decimals):
  """Rounded shares have ties, which no threshold can part."""
  logits, labels = BINARY
  shares = np.round(scores.probability_of(logits, 0), decimals)
  positive = labels == 0
  found = scores.best_threshold(shares, positive)
  values = {
    t: metrics.f1_score(positive, shares >= t)
    for t in np.append(np.unique(shares), found)
  }
  assert values[found] == max(values.values())
  assert found not in shares


def test_no_threshold_where_all_are_alike():
  shares = np.linspace(0, 1, 5)
  assert scores.best_threshold(shares, np.ones(5, bool)) is None
  assert scores.best_threshold(shares, np.zeros(5, bool)) is None


def test_the_positive_class_is_the_rarer_one():
  assert scores.rarer(np.asarray([0, 1, 1])) == 0
  assert scores.rarer(np.asarray([0, 0, 1])) == 1
  assert scores.rarer(np.asarray([0, 1])) == 1


def test_many_images_are_taken_in_parts(monkeypatch):
  whole = [
    scores.log_loss(*THREE),
    scores.best_temperature(*THREE),
    scores.area_under_curve(*THREE),
  ]
  monkeypatch.setattr(scores, "_ROWS", 7)
  assert whole == pytest.approx(
    [
      scores.log_loss(*THREE),
      scores.best_temperature(*THREE),
      scores.area_under_curve(*THREE),
    ],
    rel=1e-12,
  )
