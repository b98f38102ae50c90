"""Random and data-dependent hierarchies, against exhaustive searches."""

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from fbnax import nbdt
from fbnax.nbdt import alternatives, splits


def entropy(labels):
  _, counts = np.unique(labels, return_counts=True)
  shares = counts / counts.sum()
  return -(shares * np.log(shares)).sum()


def sides(values, labels, threshold):
  """Gain of a threshold, and the classes mostly at or under it."""
  left = values <= threshold
  if left.all() or not left.any():
    return None
  share = left.mean()
  gain = entropy(labels) - share * entropy(labels[left])
  gain -= (1 - share) * entropy(labels[~left])
  classes = np.unique(labels)
  goes = {int(c) for c in classes if left[labels == c].mean() > 0.5}
  return None if len(goes) in (0, len(classes)) else (gain, goes)


def partition(hierarchy, node):
  """The class sets of a node's children, nested, as sets."""
  if node < hierarchy.num_classes:
    return node
  children = hierarchy.children[node - hierarchy.num_classes]
  return frozenset(partition(hierarchy, child) for child in children)


def exhaustive(x, y):
  """The tree of `information_gain`, by trying all thresholds in plain loops."""
  classes = np.unique(y)
  if len(classes) == 1:
    return int(classes[0])
  best = None
  for values in x.T:
    for threshold in np.unique(values):
      found = sides(values, y, threshold)
      if found and (best is None or found[0] > best[0] + 1e-12):
        best = found
  if best is None:
    return frozenset(int(c) for c in classes)
  left = np.isin(y, list(best[1]))
  return frozenset(
    {exhaustive(x[left], y[left]), exhaustive(x[~left], y[~left])}
  )


def clusters(seed, classes, features, count, spread=0.7):
  random = np.random.default_rng(seed)
  y = np.concatenate([np.arange(classes), random.integers(0, classes, count)])
  means = random.standard_normal((classes, features))
  noise = spread * random.standard_normal((len(y), features))
  return means[y] + noise, y


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_random_is_a_seeded_binary_tree(classes):
  made = nbdt.random_hierarchy(classes, seed=3)
  assert made.num_classes == classes
  assert [len(nodes) for nodes in made.children] == [2] * (classes - 1)
  assert made == nbdt.random_hierarchy(classes, seed=3)
  if classes == 11:
    assert made != nbdt.random_hierarchy(classes, seed=4)
  with pytest.raises(ValueError, match="num_classes is 1; legal: at least 2"):
    nbdt.random_hierarchy(1)


def test_random_merges_all_pairs_alike():
  # Of three classes each pair is as likely; of four, two pairs come up in a
  # third of the trees: the second merge is of the other two.
  trees = [nbdt.random_hierarchy(4, seed) for seed in range(600)]
  firsts = [tuple(sorted(tree.children[0])) for tree in trees]
  counts = [firsts.count(p) for p in itertools.combinations(range(4), 2)]
  assert chisquare(counts).pvalue > 1e-3
  balanced = sum(set(tree.depths[:4]) == {2} for tree in trees)
  assert abs(balanced / 600 - 1 / 3) < 0.06


@pytest.mark.parametrize("seed", range(6))
def test_information_gain_is_the_exhaustive_search(seed):
  x, y = clusters(seed, 5, 3, 50)
  if seed % 2:
    x = np.round(x, 1)  # With ties.
  made = nbdt.information_gain(x, y, thresholds=1000)
  assert partition(made, made.root) == exhaustive(x, y)


def test_few_thresholds_still_part_all_classes():
  x, y = clusters(0, 30, 4, 3000, spread=0.05)
  made = nbdt.information_gain(x, y, 30, thresholds=2)
  assert all(len(nodes) == 2 for nodes in made.children)
  full = nbdt.information_gain(x, y, 30)
  assert full.depth < 12


def test_classes_that_no_test_parts_stay_together():
  x = np.repeat([[0.0], [1.0]], 6, axis=0)
  y = np.asarray([0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3])
  for made in (nbdt.information_gain(x, y), nbdt.oblique(x, y)):
    assert partition(made, made.root) == {frozenset({0, 1, 2}), 3}
  made = nbdt.information_gain(np.ones((4, 2)), np.arange(4))
  assert made.children == [[0, 1, 2, 3]]
  assert nbdt.oblique(np.ones((4, 2)), np.arange(4)) == made


def test_a_chain_is_no_recursion():

  def one_by_one(x, y, k):
    return np.arange(k) == 0

  x = np.arange(1200.0)[:, None]
  made = alternatives._grown(x, np.arange(1200), None, one_by_one)
  assert made.depth == 1199


def test_oblique_finds_what_no_single_feature_tells():
  # Two pairs of bands along a diagonal, each pair close together.
  random = np.random.default_rng(0)
  along, y = random.uniform(-9, 9, 800), np.arange(800) % 4
  across = np.asarray([-1.2, -0.8, 0.8, 1.2])[y]
  across = across + random.uniform(-0.1, 0.1, 800)
  x = np.stack([along + across, along - across], 1)
  made = nbdt.oblique(x, y, seed=1)
  pairs = {frozenset({0, 1}), frozenset({2, 3})}
  assert partition(made, made.root) == pairs
  assert made == nbdt.oblique(x, y, seed=1)
  test = splits.best_oblique(np.random.default_rng(0), x, y, 4, 1, 32)
  assert test.gain == pytest.approx(np.log(2), abs=1e-6)
  assert splits.best_axis(x, y, 4, 2000).gain < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_step_along_a_direction_is_the_best_one(seed):
  random = np.random.default_rng(seed)
  x, y = clusters(seed, 3, 4, 60)
  weights = random.standard_normal(4)
  _, threshold, _ = splits.on_a_line(x @ weights, y, 3)
  direction = random.standard_normal(4)
  slope, margin = x @ direction, threshold - x @ weights
  turns = np.sort(margin / slope)
  steps = (turns[1:] + turns[:-1]) / 2
  tried = [sides(x @ (weights + s * direction), y, threshold) for s in steps]
  best = max(found[0] for found in tried if found)
  found = splits.along(margin, slope, y, 3, -1.0)
  assert found[0] == pytest.approx(best)
  # What it says holds for the weights it gives.
  said = sides(x @ (weights + found[1] * direction), y, threshold)
  assert said[0] == pytest.approx(found[0])
  assert said[1] == set(np.flatnonzero(found[2]).tolist())
  assert splits.along(margin, slope, y, 3, best) is None
  # Samples that do not move stay on their side.
  slope = slope * (np.arange(len(y)) % 3 > 0)
  found = splits.along(margin, slope, y, 3, -1.0)
  said = sides(x @ weights + found[1] * slope, y, threshold)
  assert said[0] == pytest.approx(found[0])
  assert splits.along(margin, 0 * slope, y, 3, -1.0) is None


def test_the_best_threshold_of_a_line():
  x, y = clusters(5, 4, 1, 80)
  gain, threshold, left = splits.on_a_line(x[:, 0], y, 4)
  found = [sides(x[:, 0], y, t) for t in np.unique(x)]
  assert gain == pytest.approx(max(f[0] for f in found if f))
  said = sides(x[:, 0], y, threshold)
  assert said[0] == pytest.approx(gain)
  assert said[1] == set(np.flatnonzero(left).tolist())


def test_many_features_and_samples():
  x, y = clusters(1, 6, 80, 3000)
  made = nbdt.oblique(x, y, restarts=0, samples=300, components=8)
  assert all(len(nodes) == 2 for nodes in made.children)
  kept = splits.drawn(np.random.default_rng(0), y, 6, 300)
  assert len(set(kept.tolist())) == len(kept)
  assert np.bincount(y[kept]).tolist() == [50] * 6
  rare = np.asarray([0] * 99 + [1])
  assert 99 in splits.drawn(np.random.default_rng(0), rare, 2, 10)


@pytest.mark.parametrize("make", [nbdt.information_gain, nbdt.oblique])
@pytest.mark.parametrize(
  ("features", "labels", "classes", "message"),
  [
    (np.ones(3), [0, 1, 1], None, r"shape \(3,\) and labels \(3,\)"),
    (np.ones((3, 1)), [0, 1], None, r"legal: \[N, D\] and \[N\]"),
    (np.ones((0, 2)), [], None, "not empty"),
    (np.ones((2, 1)), [0.0, 1.0], None, "dtype float64; legal: whole"),
    (np.array([[1.0], [np.nan]]), [0, 1], None, r"features\[1\] is not finite"),
    (np.ones((2, 1)), [0, 2], 2, "from 0 to 2; legal: 0 to 1"),
    (np.ones((2, 1)), [-1, 1], 2, "from -1 to 1; legal: 0 to 1"),
    (np.ones((2, 1)), [0, 0], None, "of 1 class; legal: at least 2"),
    (np.ones((2, 1)), [0, 2], None, r"class 1 has no samples \(1 of 3"),
  ],
)
def test_data_that_is_refused(make, features, labels, classes, message):
  with pytest.raises(ValueError, match=message):
    make(features, np.asarray(labels), classes)


def test_settings_that_are_refused():
  x, y = np.ones((2, 1)), np.arange(2)
  with pytest.raises(ValueError, match="thresholds is 1; legal: at least 2"):
    nbdt.information_gain(x, y, thresholds=1)
  with pytest.raises(ValueError, match="restarts is -1; legal: 0 or more"):
    nbdt.oblique(x, y, restarts=-1)
  with pytest.raises(ValueError, match="samples is 1; legal: at least 2"):
    nbdt.oblique(x, y, samples=1)
  with pytest.raises(ValueError, match="components is 0; legal: at least 1"):
    nbdt.oblique(x, y, components=0)
