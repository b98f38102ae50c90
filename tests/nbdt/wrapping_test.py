"""Any function of images as a tree, and its explanations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import nbdt
from tests.nbdt import trees

WEIGHTS = np.random.default_rng(0).normal(size=(5, 3))
NAMES = ("cat", "dog", "cat", "<b>ship</b>", "plane")


def classifier(images):
  """Not of JAX: what another library would return."""
  return np.asarray(images, np.float64) @ WEIGHTS.T


def test_one_call():
  tree = nbdt.wrap(classifier, WEIGHTS, NAMES)
  images = np.random.default_rng(1).normal(size=(4, 2, 3))  # Two pixels each.
  logits = classifier(images)
  flat, children = logits.reshape(-1, 5), tree.hierarchy.children
  assert children == nbdt.induce(WEIGHTS).children
  wanted = trees.path_log_probs(flat, children, 5)
  np.testing.assert_allclose(tree(images).reshape(-1, 5), wanted, atol=1e-5)
  np.testing.assert_array_equal(tree.predict(images).ravel(), wanted.argmax(1))
  np.testing.assert_array_equal(
    tree.predict(images, hard=True).ravel(),
    trees.hard_predictions(flat, children, 5),
  )


def test_explanations_multiply_to_the_path_probability():
  tree = nbdt.wrap(classifier, WEIGHTS, NAMES)
  images = np.random.default_rng(2).normal(size=(6, 3))
  ends = np.asarray(tree.predict(images))
  found = tree.explain(images)
  for row, path, end in zip(tree(images), found, ends, strict=True):
    share = np.prod([decision.chosen.probability for decision in path])
    np.testing.assert_allclose(np.log(share), row[end], atol=1e-5)
    assert path[-1].chosen.node == end
    nodes = [decision.node for decision in path]
    assert [*nodes, end] == tree.hierarchy.path(end)
  [path, *_] = tree.explain(images, classes=np.full(6, 3))
  assert path[-1].chosen.name == "<b>ship</b>"
  with pytest.raises(ValueError, match=r"shape \(2,\); legal: \(6,\)"):
    tree.explain(images, classes=np.full(2, 3))


def test_names_of_all_nodes():
  """Of labels, of leaves, and of classes that share a name."""
  plain = nbdt.Hierarchy.from_children([[0, 1], [2, 3, 4, 5]], 5)
  names = nbdt.wrap(classifier, plain, NAMES).names
  assert names[:5] == ("cat (0)", "dog", "cat (2)", "<b>ship</b>", "plane")
  assert names[5] == "cat (0), dog"
  assert nbdt.wrap(classifier, plain).names[:2] == ("0", "1")
  labels = ("a", "b", "c", "d", "e", "two", "root")
  named = nbdt.Hierarchy.from_children(plain.children, 5, labels=labels)
  assert nbdt.wrap(classifier, named).names == labels


def test_it_jits_and_differentiates():
  tree = nbdt.wrap(lambda x: x @ WEIGHTS.T, WEIGHTS)
  x = jnp.ones((2, 3))
  found = jax.jit(jax.grad(lambda x: tree(x)[:, 0].sum()))(x)
  assert np.isfinite(found).all()
  assert np.abs(found).max() > 0


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((3, WEIGHTS), "classifier is 3; legal: a function"),
    ((classifier, WEIGHTS, ("a",)), "5"),
    ((classifier, WEIGHTS[:1]), "at least two classes"),
  ],
)
def test_what_cannot_be_wrapped(arguments, message):
  with pytest.raises(ValueError, match=message):
    nbdt.wrap(*arguments)


def test_logits_of_other_classes_are_refused():
  tree = nbdt.wrap(lambda x: x @ np.ones((3, 4)), WEIGHTS)
  with pytest.raises(ValueError, match="as the hierarchy has 5 classes"):
    tree(np.ones((1, 3)))
  with pytest.raises(ValueError, match="legal with weights"):
    nbdt.wrap(classifier, tree.hierarchy, linkage="ward")
