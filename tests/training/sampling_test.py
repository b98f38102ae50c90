"""Which images an epoch shows: of unequal classes, each equally often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.training import sampling

# 3 images of class 1, 20 of class 2, 7 of class 4; none of the others.
LABELS = np.random.default_rng(0).permutation([1] * 3 + [2] * 20 + [4] * 7)


def _order(seed, batch, kind="balanced", labels=LABELS):
  drawn = jax.jit(sampling.order, static_argnums=(2, 3))
  places = drawn(jax.random.key(seed), jnp.asarray(labels), batch, kind)
  assert places.shape == labels.shape
  return np.asarray(places)


def test_uniform_is_the_permutation_of_the_key():
  found = _order(3, 8, "uniform")
  expected = jax.random.permutation(jax.random.key(3), len(LABELS))
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batch", [6, 7, 30])
def test_every_batch_has_each_class_equally_often(batch):
  places = _order(0, batch)
  whole = len(LABELS) // batch * batch
  for rows in places[:whole].reshape(-1, batch):
    counts = np.bincount(LABELS[rows], minlength=5)
    assert counts[[0, 3]].sum() == 0
    assert np.ptp(counts[[1, 2, 4]]) <= 1


def test_a_class_is_shown_whole_before_an_image_comes_again():
  times = np.bincount(_order(1, 6), minlength=len(LABELS))
  for label, legal in ((1, {3, 4}), (2, {0, 1}), (4, {1, 2})):
    assert set(times[label == LABELS].tolist()) <= legal
  assert times.sum() == len(LABELS)


def test_it_follows_from_the_key_and_differs_by_it():
  np.testing.assert_array_equal(_order(5, 6), _order(5, 6))
  assert (_order(5, 6) != _order(6, 6)).any()


def test_the_places_of_a_class_within_a_batch_are_random():
  """Else mixup would always mix a class with the same other one."""
  labels = np.repeat([0, 1], 32)
  pairs = []
  for seed in range(20):
    shown = labels[_order(seed, 16, labels=labels)].reshape(-1, 16)
    pairs.append((shown == shown[:, ::-1]).mean())
  assert 0.35 < np.mean(pairs) < 0.6  # 7 / 15 of other images are alike.
