"""Induced hierarchies; the golden merges are in golden_test."""

import numpy as np
import pytest

from fbnax import nbdt


def test_groups_are_found():
  random = np.random.default_rng(0)
  centres = 10.0 * random.normal(size=(3, 8))
  group = np.asarray([0, 1, 2, 0, 1, 2, 0, 1, 2])
  weights = centres[group] + 0.1 * random.normal(size=(9, 8))
  hierarchy = nbdt.induce(weights)
  below = [set(hierarchy.leaves(node)) for node in range(9, 17)]
  for g in range(3):
    assert set(np.flatnonzero(group == g).tolist()) in below


def test_two_classes_and_one():
  weights = np.asarray([[1.0, 0.0], [0.0, 1.0]])
  assert nbdt.induce(weights).children == [[0, 1]]
  with pytest.raises(ValueError, match="one leaves nothing to decide"):
    nbdt.induce(weights[:1])


def test_normalised_rows():
  # By length 0 and 1 belong together, by direction 0 and 2.
  weights = np.asarray([[1.0, 0.0], [0.0, 1.0], [9.0, 0.0]])
  assert set(nbdt.induce(weights).children[0]) == {0, 1}
  assert set(nbdt.induce(weights, normalize=True).children[0]) == {0, 2}
  cosine = nbdt.induce(weights, "average", metric="cosine")
  assert set(cosine.children[0]) == {0, 2}


def test_bad_weights():
  weights = np.ones((4, 3))
  weights[2, 1] = np.nan
  with pytest.raises(ValueError, match=r"fc_weights\[2\] is not finite"):
    nbdt.induce(weights)
  for shape in ((4,), (4, 0), (2, 2, 2), (0, 3)):
    with pytest.raises(ValueError, match=r"has shape .*legal: \[K, D\]"):
      nbdt.induce(np.ones(shape))
  with pytest.raises(ValueError, match=r"4 rows; legal: 3.*transpose"):
    nbdt.induce(np.ones((4, 3)), num_classes=3)
  with pytest.raises(ValueError, match="legal: numbers"):
    nbdt.induce(np.full((2, 2), "a"))
  zero = np.asarray([[1.0, 2.0], [0.0, 0.0], [2.0, 1.0]])
  for options in (
    {"normalize": True},
    {"linkage": "average", "metric": "cosine"},
    {"linkage": "average", "metric": "correlation"},
  ):
    with pytest.raises(ValueError, match=r"fc_weights\[1\] is"):
      nbdt.induce(zero, **options)
  assert nbdt.induce(zero).num_classes == 3
  with pytest.raises(ValueError, match="linkage is 'wards'; legal: ward"):
    nbdt.induce(zero, "wards")
  with pytest.raises(ValueError, match="metric is 'l3'; legal: euclidean"):
    nbdt.induce(zero, metric="l3")
  with pytest.raises(ValueError, match="legal with ward: euclidean"):
    nbdt.induce(zero, metric="cosine")


def test_equal_rows():
  hierarchy = nbdt.induce(np.ones((5, 2)))
  assert hierarchy.num_classes == 5


def test_two_thousand_classes():
  weights = np.random.default_rng(1).normal(size=(2000, 16))
  hierarchy = nbdt.induce(weights)
  assert hierarchy.num_nodes == 3999 and hierarchy.root == 3998
