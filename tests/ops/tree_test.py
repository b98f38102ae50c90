"""Sums over trees by hand, on merges written by hand."""

import jax.numpy as jnp
import numpy as np

from fbnax.ops import tree

# The root decides between class 2 and two others as one three-way decision:
# rows 0 to 3 are classes, 4 merges 0 and 1 (a decision), 5 merges 4 and 2
# (partial), 6 merges 5 and 3 (the root).
MERGES = tree.Merges(
  left=np.asarray([0, 4, 5]),
  right=np.asarray([1, 2, 3]),
  parents=np.asarray([4, 4, 5, 6, 5, 6, 6]),
  deciders=np.asarray([4, 4, 6, 6, 6, 6, 6]),
  decided=np.asarray([True, True, True, True, True, False, False]),
  counts=np.asarray([1, 1, 1, 1, 2, 3, 4]),
  first=np.asarray([0, 1, 2, 3, 0, 0, 0]),
  positions=np.asarray([0, 1, 2, 3]),
)
ROWS = jnp.asarray([[1.0], [2], [3], [4], [5], [6], [7]])
LOGITS = np.asarray([[1.0, 5.0], [3.0, 0.0], [-1.0, 2.0], [0.5, 2.4]])


def test_sums_and_folds():
  below = tree.accumulate(ROWS, MERGES)[:, 0]
  assert below.tolist() == [1, 2, 3, 4, 8, 17, 28]
  below = tree.accumulate(ROWS[:4], MERGES)[:, 0]
  assert below.tolist() == [1, 2, 3, 4, 3, 6, 10]
  above = tree.descend(ROWS, MERGES)[:, 0]
  assert above.tolist() == [19, 20, 16, 11, 18, 13, 7]
  folded = tree.fold(ROWS, MERGES, jnp.add)[:, 0]
  assert folded.tolist() == [3, 8, 12]


def test_decisions_by_hand():
  means = tree.mean_logits(jnp.asarray(LOGITS, jnp.float32), MERGES)
  wanted = np.stack([LOGITS[0] / 2 + LOGITS[1] / 2, LOGITS[:3].mean(0)])
  np.testing.assert_allclose(means[4:6], wanted, rtol=1e-6)
  found = tree.decision_log_probs(
    means, tree.normalizers(means, MERGES), MERGES
  )

  def log_softmax(z):
    return z - np.log(np.exp(z).sum(0))

  np.testing.assert_allclose(found[:2], log_softmax(LOGITS[:2]), atol=1e-6)
  root = log_softmax(np.stack([wanted[0], LOGITS[2], LOGITS[3]]))
  np.testing.assert_allclose(found[jnp.asarray([4, 2, 3])], root, atol=1e-6)
  np.testing.assert_array_equal(found[5:], 0.0)


def test_likeliest_and_contains():
  # First sample: the pair's mean is largest, and 1 in it; second: the pair's
  # mean is 2.5, more than 2.4.
  found = tree.likeliest(jnp.asarray(LOGITS), MERGES)
  assert found.tolist() == [1, 0]
  equal = tree.likeliest(jnp.zeros((4, 1)), MERGES)
  assert equal.tolist() == [0]
  inside = tree.contains(jnp.asarray([2]), jnp.arange(7), MERGES)[:, 0]
  assert inside.tolist() == [False, False, True, False, False, True, True]
