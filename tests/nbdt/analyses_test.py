"""Analyses against plain NumPy, sample by sample and path by path."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import nbdt
from tests.nbdt import trees

CASES = [(0, 2, 2), (3, 24, 5)]


@pytest.fixture(params=CASES, ids=lambda c: f"{c[1]} classes")
def case(request):
  seed, classes, most = request.param
  random = np.random.default_rng(seed)
  children = trees.random_children(random, classes, most)
  logits = 3.0 * random.normal(size=(40, classes))
  labels = random.integers(0, classes, 40)
  return nbdt.Hierarchy.from_children(children, classes), logits, labels


def paths_of(hierarchy, leaf):
  parents = trees.parents_of(hierarchy.children, hierarchy.num_classes)
  found = [leaf]
  while found[-1] in parents:
    found.append(parents[found[-1]])
  return found[::-1]


def entropy(probabilities):
  p = probabilities[probabilities > 0]
  return -(p * np.log(p)).sum()


def entropies(hierarchy, logits):
  """Of each inner node's decision, by loops."""
  classes = hierarchy.num_classes
  steps = trees.node_log_probs(logits, hierarchy.children, classes)
  found = np.zeros((len(logits), hierarchy.num_nodes))
  for i, nodes in enumerate(hierarchy.children):
    for n in range(len(logits)):
      found[n, classes + i] = entropy(np.exp(steps[n, nodes]))
  return found


def test_decision_entropies(case):
  hierarchy, logits, _ = case
  found = nbdt.decision_entropies(jnp.asarray(logits), hierarchy)
  np.testing.assert_allclose(found, entropies(hierarchy, logits), atol=2e-6)


def test_path_entropy(case):
  hierarchy, logits, labels = case
  classes = hierarchy.num_classes
  each = entropies(hierarchy, logits)
  soft = trees.path_log_probs(logits, hierarchy.children, classes).argmax(1)
  for given, ends in ((None, soft), (jnp.asarray(labels), labels)):
    wanted = []
    for n, end in enumerate(ends):
      on_path = [each[n, i] for i in paths_of(hierarchy, end)[:-1]]
      wanted.append(max(on_path) - min(on_path))
    found = nbdt.path_entropy(jnp.asarray(logits), hierarchy, given)
    np.testing.assert_allclose(found, wanted, atol=3e-6)
  places, values = nbdt.ambiguous_labels(jnp.asarray(logits), hierarchy, 5)
  all_of_them = np.asarray(nbdt.path_entropy(jnp.asarray(logits), hierarchy))
  np.testing.assert_allclose(values, np.sort(all_of_them)[::-1][:5])
  np.testing.assert_allclose(all_of_them[places], values)


def test_a_certain_node_is_no_decision_on_the_path():
  """Else its entropy of 0 would make every path disparate."""
  hierarchy = nbdt.Hierarchy.from_children([[0, 1], [2]], 2)
  logits = jnp.asarray([[1.0, 0.5]])
  np.testing.assert_allclose(nbdt.path_entropy(logits, hierarchy), 0.0)


def test_the_plain_networks_two_likeliest():
  logits = np.random.default_rng(0).normal(size=(7, 3, 6)) * 4
  found = nbdt.top_two_entropy(jnp.asarray(logits))
  for place in np.ndindex(7, 3):
    p = np.exp(logits[place] - logits[place].max())
    p = np.sort(p / p.sum())[::-1]
    two = p[:2] / p[:2].sum()
    rest = np.append((p[0] + p[1]) / 2, p[2:])
    rest /= rest.sum()
    np.testing.assert_allclose(found.between[place], entropy(two), atol=1e-5)
    np.testing.assert_allclose(found.rest[place], entropy(rest), atol=1e-5)
    np.testing.assert_allclose(
      found.confusion[place], entropy(two) - entropy(rest), atol=1e-5
    )
  sure = nbdt.top_two_entropy(jnp.asarray([0.0, 2e4, -2e4]))
  assert float(sure.between) == float(sure.rest) == 0.0
  with pytest.raises(ValueError, match="two classes or more"):
    nbdt.top_two_entropy(jnp.zeros((3, 1)))


def test_torn_in_one_decision_alone_is_the_most_ambiguous():
  """Sure of everything, unsure of everything, and torn between two."""
  tree = nbdt.Hierarchy.from_children([[0, 1], [2, 3], [4, 5]], 4)
  logits = jnp.asarray(
    [[9.0, -9.0, -30.0, -40.0], [0.0, 0.0, 0.0, 0.0], [9.0, 9.0, -30.0, -30.0]]
  )
  places, values = nbdt.ambiguous_labels(logits, tree, 3)
  assert places[0] == 2
  np.testing.assert_allclose(values[0], np.log(2.0), atol=1e-6)
  np.testing.assert_allclose(values[1:], 0.0, atol=1e-6)


def chosen(hierarchy, logits):
  """The likeliest child of each inner node, `[N, M]`."""
  steps = trees.node_log_probs(
    logits, hierarchy.children, hierarchy.num_classes
  )
  return np.stack(
    [np.asarray(n)[steps[:, n].argmax(1)] for n in hierarchy.children], 1
  )


def test_chosen_children(case):
  hierarchy, logits, _ = case
  found = nbdt.chosen_children(jnp.asarray(logits), hierarchy)
  wanted = np.zeros((len(logits), hierarchy.num_nodes), bool)
  np.put_along_axis(wanted, chosen(hierarchy, logits), True, 1)
  np.testing.assert_array_equal(found, wanted)


def test_of_equal_children_the_first_is_chosen():
  hierarchy = nbdt.Hierarchy.from_children([[2, 0, 1]], 3)
  found = nbdt.chosen_children(jnp.zeros((1, 3)), hierarchy)
  assert found.tolist() == [[False, False, True, False]]
  assert nbdt.hard_predict(jnp.zeros((1, 3)), hierarchy).tolist() == [2]


def test_node_accuracy(case):
  hierarchy, logits, labels = case
  labels = labels.copy()
  labels[:3] = [-1, hierarchy.num_classes, -1]  # Of no class: not counted.
  found = nbdt.node_accuracy(
    jnp.asarray(logits), jnp.asarray(labels), hierarchy
  )
  right = np.zeros(hierarchy.num_nodes)
  visits = np.zeros(hierarchy.num_nodes, int)
  takes = chosen(hierarchy, logits)
  for n in range(3, len(labels)):
    path = paths_of(hierarchy, labels[n])
    for node, below in itertools.pairwise(path):
      right[node] += takes[n, node - hierarchy.num_classes] == below
    visits[path] += 1
  np.testing.assert_array_equal(found.visits, visits)
  wanted = np.where(visits > 0, right / np.maximum(visits, 1), np.nan)
  wanted[: hierarchy.num_classes] = np.nan
  np.testing.assert_allclose(found.accuracy, wanted, rtol=1e-6)


def test_traversals(case):
  hierarchy, logits, labels = case
  ends = trees.hard_predictions(
    logits, hierarchy.children, hierarchy.num_classes
  )
  groups = labels % 3
  found = nbdt.traversals(ends, hierarchy, groups, 4)
  for group in range(4):
    members = ends[groups == group]
    if not len(members):
      assert np.isnan(found[group]).all()
      continue
    share = np.zeros(hierarchy.num_nodes)
    for end in members:
      share[paths_of(hierarchy, end)] += 1 / len(members)
    np.testing.assert_allclose(found[group], share, atol=1e-6)
  np.testing.assert_allclose(
    nbdt.traversals(ends, hierarchy)[0, hierarchy.root], 1.0
  )
  with pytest.raises(ValueError, match="groups has 2 entries; legal: 40"):
    nbdt.traversals(ends, hierarchy, groups[:2])


ANIMALS = nbdt.Hierarchy.from_children(
  # 0 plane, 1 bird, 2 cat, 3 dog, 4 ship, 5 tree.
  [[2, 3], [0, 4], [6, 1], [8, 7], [9, 5]],
  6,
)
KINDS = [0, 1, 1, 1, 0, -1]


def test_the_node_that_tells_superclasses_apart():
  assert nbdt.divider(ANIMALS, KINDS) == nbdt.Divider(9, (1, 0))
  # With the tree as a vehicle the root holds a mixture.
  assert nbdt.divider(ANIMALS, [0, 1, 1, 1, 0, 0]) is None
  # Cats against dogs is decided further down; the others do not matter.
  assert nbdt.divider(ANIMALS, [-1, -1, 0, 1, -1, -1]).node == 6


@pytest.mark.parametrize(
  ("kinds", "message"),
  [
    ([0, 1], r"shape \(2,\); legal: \(6,\)"),
    ([0, 0, 0, 0, 0, 0], r"has \[0\]; legal: all of 0 to S - 1, two or more"),
    ([0, 2, 2, 2, 0, -1], r"has \[0, 2\]"),
    ([0.0, 1.0, 1.0, 1.0, 0.0, 0.0], "float64"),
  ],
)
def test_what_are_no_superclasses(kinds, message):
  with pytest.raises(ValueError, match=message):
    nbdt.divider(ANIMALS, kinds)


def test_superclasses_of_unseen_classes():
  logits = np.random.default_rng(3).normal(size=(50, 6)) * 2
  z = jnp.asarray(logits)
  steps = trees.node_log_probs(logits, ANIMALS.children, 6)
  by_node = np.where(steps[:, 8] >= steps[:, 7], 1, 0)
  np.testing.assert_array_equal(
    nbdt.tree_superclass(z, ANIMALS, KINDS), by_node
  )
  # Without such a node: sums of path probabilities.
  mixed = [0, 1, 1, 1, 0, 0]
  paths = np.exp(trees.path_log_probs(logits, ANIMALS.children, 6))
  sums = np.stack([paths[:, [0, 4, 5]].sum(1), paths[:, 1:4].sum(1)], 1)
  np.testing.assert_allclose(
    nbdt.superclass_log_probs(z, ANIMALS, mixed), np.log(sums), atol=1e-5
  )
  np.testing.assert_array_equal(
    nbdt.tree_superclass(z, ANIMALS, mixed), sums.argmax(1)
  )
  plain = np.asarray(KINDS)[logits.argmax(1)]
  np.testing.assert_array_equal(nbdt.plain_superclass(z, KINDS), plain)
  # Among the classes that have a superclass, as the tree must choose.
  within = nbdt.plain_superclass(z, KINDS, within=True)
  np.testing.assert_array_equal(
    within, np.asarray(KINDS)[logits[:, :5].argmax(1)]
  )
  assert (plain == -1).any()
  soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  sums = np.stack([soft[:, [0, 4]].sum(1), soft[:, 1:4].sum(1)], 1)
  np.testing.assert_allclose(
    nbdt.superclass_log_probs(z, None, KINDS), np.log(sums), atol=1e-5
  )


def test_hypotheses():
  logits = np.random.default_rng(4).normal(size=(60, 6))
  z = jnp.asarray(logits)
  steps = trees.node_log_probs(logits, ANIMALS.children, 6)
  for node, below in zip(range(6, 11), ANIMALS.children, strict=True):
    taken = np.asarray(below)[steps[:, below].argmax(1)]
    for child in below:
      found = nbdt.hypothesis_accuracy(z, ANIMALS, node, child)
      np.testing.assert_allclose(found, (taken == child).mean(), atol=1e-6)
  with pytest.raises(ValueError, match=r"child is 2; legal: \[8, 7\]"):
    nbdt.hypothesis_accuracy(z, ANIMALS, 9, 2)
  with pytest.raises(ValueError, match="node is 3; legal: an inner node, 6 to"):
    nbdt.node_predict(z, ANIMALS, 3)


def test_examples_by_the_logits_and_by_the_cosine(case):
  hierarchy, _, _ = case
  random = np.random.default_rng(8)
  weights = random.normal(size=(hierarchy.num_classes, 5))
  features = random.normal(size=(30, 5))
  logits = features @ weights.T
  nodes = np.stack(
    [weights[hierarchy.leaves(i)].mean(0) for i in range(hierarchy.num_nodes)]
  )
  np.testing.assert_allclose(
    nbdt.representatives(weights, hierarchy), nodes, atol=1e-6
  )
  # Equation 5.5: the mean of inner products is the product of means.
  np.testing.assert_allclose(
    nbdt.node_logits(jnp.asarray(logits), hierarchy),
    features @ nodes.T,
    atol=1e-5,
  )
  found = nbdt.similar_examples(jnp.asarray(logits), hierarchy, 3)
  wanted = np.argsort(-(features @ nodes.T), axis=0)[:3].T
  np.testing.assert_array_equal(found, wanted)
  found = nbdt.similar_examples(
    jnp.asarray(logits), hierarchy, 3, features=features, weights=weights
  )
  lengths = np.linalg.norm(features, axis=1, keepdims=True)
  cosines = (
    features / lengths @ (nodes / np.linalg.norm(nodes, axis=1)[:, None]).T
  )
  np.testing.assert_array_equal(found, np.argsort(-cosines, axis=0)[:3].T)
  with pytest.raises(ValueError, match="both or neither"):
    nbdt.similar_examples(logits, hierarchy, 3, weights=weights)


def test_they_jit_and_take_leading_dimensions():
  random = np.random.default_rng(5)
  hierarchy = nbdt.Hierarchy.from_children(
    trees.random_children(random, 24, 5), 24
  )
  logits = random.normal(size=(40, 24))
  labels = random.integers(0, 24, 40)
  z = jnp.asarray(logits).reshape(5, 4, 2, -1)
  y = jnp.asarray(labels).reshape(5, 4, 2)

  @jax.jit
  def everything(z, y, tree):
    ends = nbdt.soft_predict(z, tree)
    return (
      nbdt.path_entropy(z, tree, max_depth=hierarchy.depth).reshape(-1),
      nbdt.node_accuracy(z, y, tree),
      nbdt.traversals(ends, tree, y, hierarchy.num_classes),
      nbdt.node_logits(z, tree).reshape(-1, hierarchy.num_nodes),
    )

  flat = jnp.asarray(logits)
  ends = nbdt.soft_predict(flat, hierarchy)
  wanted = (
    nbdt.path_entropy(flat, hierarchy),
    nbdt.node_accuracy(flat, jnp.asarray(labels), hierarchy),
    nbdt.traversals(ends, hierarchy, labels, hierarchy.num_classes),
    nbdt.node_logits(flat, hierarchy),
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    everything(z, y, hierarchy),
    wanted,
  )
