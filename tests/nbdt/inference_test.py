"""Inference against a product over paths, and its cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fbnax import nbdt
from tests.nbdt import trees


def logits_of(random, samples, classes, scale=3.0):
  return (scale * random.normal(size=(samples, classes))).astype(np.float32)


# One program for all trees of as many classes, whatever their shape.
def _by_merges(function):
  return jax.jit(
    lambda logits, merges, decisions: function(
      logits, nbdt.Hierarchy(None, None, None, decisions, merges, None)
    )
  )


_path_program = _by_merges(nbdt.path_log_probs)
_hard_program = _by_merges(nbdt.hard_predict)


def _path(logits, hierarchy):
  return _path_program(logits, hierarchy.merges, hierarchy.decisions)


def _hard(logits, hierarchy):
  return _hard_program(logits, hierarchy.merges, hierarchy.decisions)


@settings(max_examples=25, deadline=None)
@given(
  seed=st.integers(0, 2**16),
  classes=st.sampled_from([2, 3, 11]),
  most=st.sampled_from([2, 5, 11]),
)
def test_random_trees(seed, classes, most):
  random = np.random.default_rng(seed)
  children = trees.random_children(random, classes, most)
  hierarchy = nbdt.Hierarchy.from_children(children, classes)
  logits = logits_of(random, 3, classes)
  wanted = trees.path_log_probs(logits, children, classes)
  found = _path(logits, hierarchy)
  np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=1e-6)
  np.testing.assert_allclose(np.exp(found).sum(-1), 1.0, atol=1e-5)
  np.testing.assert_array_equal(
    _hard(logits, hierarchy), trees.hard_predictions(logits, children, classes)
  )


@pytest.mark.parametrize("shape", ["random", "chain", "flat"])
def test_a_thousand_classes(shape):
  random = np.random.default_rng(0)
  children = {
    "random": lambda: trees.random_children(random, 1000, 30),
    "chain": lambda: trees.chain(1000),
    "flat": lambda: [list(range(1000))],
  }[shape]()
  hierarchy = nbdt.Hierarchy.from_children(children)
  assert hierarchy.num_classes == 1000
  if shape == "chain":
    assert hierarchy.depth == 999
  logits = logits_of(random, 2, 1000)
  wanted = trees.path_log_probs(logits, children, 1000)
  found = np.asarray(_path(logits, hierarchy))
  # A chain's probabilities are as small as exp(-2,000): no float32 holds them.
  assert shape != "chain" or wanted.min() < -500
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5)
  np.testing.assert_array_equal(
    _hard(logits, hierarchy), trees.hard_predictions(logits, children, 1000)
  )


def test_gradients_of_all_outputs():
  random = np.random.default_rng(1)
  children = trees.random_children(random, 9, 4)
  hierarchy = nbdt.Hierarchy.from_children(children, 9)
  logits = logits_of(random, 2, 9)
  nodes = hierarchy.num_nodes
  parents = trees.parents_of(children, 9)

  def reached(z):
    steps = trees.node_log_probs(z, children, 9)
    found = np.zeros_like(steps)
    for node in range(nodes):
      up = node
      while up is not None:
        found[:, node] += steps[:, up]
        up = parents.get(up)
    return found

  for function, plain, width in (
    (nbdt.path_log_probs, lambda z: reached(z)[:, :9], 9),
    (nbdt.node_log_probs, reached, nodes),
    (
      nbdt.decision_log_probs,
      lambda z: trees.node_log_probs(z, children, 9),
      nodes,
    ),
  ):
    weight = random.normal(size=(2, width))
    np.testing.assert_allclose(
      function(logits, hierarchy), plain(logits), atol=1e-5
    )
    gradient = jax.grad(
      lambda z, f=function, w=weight: (f(z, hierarchy) * w).sum()
    )(jnp.asarray(logits))
    wanted = np.zeros((2, 9))
    for place in np.ndindex(2, 9):
      step = np.zeros((2, 9))
      step[place] = 1e-5
      difference = plain(logits + step) - plain(logits - step)
      wanted[place] = (difference * weight).sum() / 2e-5
    np.testing.assert_allclose(gradient, wanted, atol=1e-4)


def test_decisions_on_paths():
  #        6
  #    5       2
  #  4   3
  # 0 1
  children = [[0, 1], [4, 3], [5, 2]]
  hierarchy = nbdt.Hierarchy.from_children(children)
  logits = np.asarray([[9.0, 0, 0, 0], [0, 0, 9.0, 0]], np.float32)
  found = nbdt.decisions(logits, hierarchy)
  assert found.nodes.tolist() == [[6, 5, 4, 0], [6, 2, -1, -1]]
  steps = np.exp(trees.node_log_probs(logits, children, 4))
  np.testing.assert_allclose(
    found.probabilities[0], [1.0, *steps[0, [5, 4, 0]]], atol=1e-6
  )
  np.testing.assert_allclose(
    found.probabilities[1], [1.0, steps[1, 2], 1.0, 1.0], atol=1e-6
  )
  given = nbdt.decisions(logits, hierarchy, jnp.asarray([3, 1]))
  assert given.nodes.tolist() == [[6, 5, 3, -1], [6, 5, 4, 1]]
  compiled = jax.jit(nbdt.decisions, static_argnames="max_depth")
  again = compiled(logits, hierarchy, max_depth=3)
  assert again.nodes.tolist() == found.nodes.tolist()
  with pytest.raises(ValueError, match=r"hierarchy\.depth"):
    compiled(logits, hierarchy)
  with pytest.raises(ValueError, match=r"classes has shape \(3,\)"):
    nbdt.decisions(logits, hierarchy, jnp.zeros(3, int))


def test_a_node_with_one_child_is_certain():
  plain = nbdt.Hierarchy.from_children([[0, 1], [3, 2]])
  chained = nbdt.Hierarchy.from_children([[0, 1], [5, 2], [3], [4], [6]], 3)
  assert chained.depth == 5 and plain.depth == 2
  logits = logits_of(np.random.default_rng(2), 4, 3)
  np.testing.assert_allclose(
    nbdt.path_log_probs(logits, chained), nbdt.path_log_probs(logits, plain)
  )
  labels = jnp.asarray([0, 1, 2, 0])
  np.testing.assert_allclose(
    nbdt.hard_tree_loss(logits, labels, chained),
    nbdt.hard_tree_loss(logits, labels, plain),
  )
  steps = nbdt.decision_log_probs(logits, chained)
  # Below the one child's node, and below the chain at the root: certain.
  for node in (3, 4, 6):
    np.testing.assert_array_equal(steps[:, node], 0.0)
  path = nbdt.decisions(logits, chained, labels)
  assert path.nodes[0].tolist() == chained.path(0)


def test_leading_dimensions_and_types():
  random = np.random.default_rng(3)
  hierarchy = nbdt.Hierarchy.from_children(trees.random_children(random, 7), 7)
  logits = logits_of(random, 12, 7)
  found = nbdt.path_log_probs(logits, hierarchy)
  image = logits.reshape(2, 3, 2, 7)
  np.testing.assert_array_equal(
    nbdt.path_log_probs(image, hierarchy).reshape(12, 7), found
  )
  assert nbdt.hard_predict(image, hierarchy).shape == (2, 3, 2)
  np.testing.assert_allclose(
    nbdt.path_log_probs(logits[0], hierarchy), found[0], atol=1e-6
  )
  assert nbdt.path_log_probs(logits[:0], hierarchy).shape == (0, 7)
  half = jnp.asarray(logits, jnp.bfloat16)
  small = nbdt.path_log_probs(half, hierarchy)
  assert small.dtype == jnp.float32
  np.testing.assert_allclose(
    small, nbdt.path_log_probs(half.astype(jnp.float32), hierarchy), atol=1e-6
  )
  labels = jnp.arange(12) % 7
  gradient = jax.grad(nbdt.soft_tree_loss)(half, labels, hierarchy)
  assert gradient.dtype == jnp.bfloat16
  for legal in (logits.astype(np.float16), np.ones((2, 7), int)):
    assert nbdt.path_log_probs(legal, hierarchy).dtype == jnp.float32


def test_vmap():
  random = np.random.default_rng(4)
  children = [trees.random_children(random, 6, 2) for _ in range(2)]
  first, second = (nbdt.Hierarchy.from_children(c, 6) for c in children)
  logits = logits_of(random, 5, 6)
  found = nbdt.path_log_probs(logits, first)
  each = jax.vmap(nbdt.path_log_probs, (0, None))(logits, first)
  np.testing.assert_allclose(each, found, atol=1e-6)
  labels = jnp.asarray([0, 1, 2, 3, 4])
  gradients = jax.vmap(jax.grad(nbdt.soft_tree_loss), (0, 0, None))(
    logits, labels, first
  )
  whole = jax.grad(nbdt.soft_tree_loss)(jnp.asarray(logits), labels, first)
  np.testing.assert_allclose(gradients / 5, whole, atol=1e-6)
  # Over hierarchies too, as those of random trees to compare with.
  both = jax.tree.map(lambda *x: np.stack(x), first, second)
  pair = jax.vmap(nbdt.path_log_probs, (None, 0))(logits, both)
  np.testing.assert_allclose(pair[0], found, atol=1e-6)
  np.testing.assert_allclose(
    pair[1], nbdt.path_log_probs(logits, second), atol=1e-6
  )


def test_chunks_change_nothing():
  random = np.random.default_rng(5)
  hierarchy = nbdt.Hierarchy.from_children(
    trees.random_children(random, 4096, 9), 4096
  )
  # 64 samples a chunk: three chunks, the last of them not full.
  logits = logits_of(random, 130, 4096)
  whole = np.asarray(_path(logits, hierarchy))
  parts = [np.asarray(_path(logits[i : i + 26], hierarchy)) for i in (0, 104)]
  np.testing.assert_allclose(whole[:26], parts[0], atol=1e-5)
  np.testing.assert_allclose(whole[104:], parts[1], atol=1e-5)


def test_cost_is_linear_in_the_nodes():
  """No array of classes times nodes, and a fixed number of steps per merge.

  Lengths of scans and sizes of arrays are read off the program, loops times
  their bodies, so that no clock is needed.
  """

  def cost(classes, function):
    children = trees.random_children(np.random.default_rng(0), classes, 2)
    hierarchy = nbdt.Hierarchy.from_children(children, classes)
    shapes = jax.eval_shape(lambda: jnp.zeros((8, classes)))
    program = jax.make_jaxpr(function)(shapes, hierarchy)
    return work(program.jaxpr)

  def loss(logits, hierarchy):
    labels = jnp.zeros(len(logits), int)
    return jax.value_and_grad(nbdt.soft_tree_loss)(logits, labels, hierarchy)

  def backward(logits, hierarchy):
    def paths(z):
      return nbdt.path_log_probs(z, hierarchy).sum()

    return jax.grad(paths)(logits)

  for function in (nbdt.path_log_probs, nbdt.hard_predict, loss, backward):
    small, large = cost(1000, function), cost(10_000, function)
    assert large < 10.5 * small
    # An array of 10,000 x 19,999 alone would be more.
    assert large < 8 * 10_000 * 200


def work(jaxpr):
  """Array values written by a program, loop bodies times their lengths.

  Writing a row into a buffer, or reading one, counts the row.
  """
  total = 0
  for equation in jaxpr.eqns:
    name = equation.primitive.name
    inner = [
      getattr(p, "jaxpr", p)
      for p in jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr")
      )
      if hasattr(getattr(p, "jaxpr", p), "eqns")
    ]
    if inner:
      times = equation.params.get("length", 1) if name == "scan" else 1
      total += times * sum(work(j) for j in inner)
    elif name == "dynamic_update_slice":
      total += equation.invars[1].aval.size
    else:
      total += sum(v.aval.size for v in equation.outvars)
  return total


def test_bad_logits():
  hierarchy = nbdt.Hierarchy.from_children([[0, 1], [3, 2]])
  for shape in ((2, 4), (3, 2), ()):
    for function in (nbdt.path_log_probs, nbdt.hard_predict):
      with pytest.raises(ValueError, match="hierarchy has 3 classes"):
        function(jnp.zeros(shape), hierarchy)
  with pytest.raises(ValueError, match="real numbers"):
    nbdt.path_log_probs(jnp.zeros((1, 3), jnp.complex64), hierarchy)
  # A sample that is not a number leaves the others alone.
  logits = jnp.asarray([[jnp.nan, 0, 0], [1.0, 2.0, 3.0]])
  found = nbdt.path_log_probs(logits, hierarchy)
  assert jnp.isnan(found[0]).all() and jnp.isfinite(found[1]).all()
