"""Losses beyond the golden values: shapes, labels, weights over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import nbdt
from fbnax.nbdt import schedules
from tests.nbdt import trees

LOSSES = (
  nbdt.soft_tree_loss,
  nbdt.hard_tree_loss,
  nbdt.hard_tree_loss_per_node,
  nbdt.original_soft_tree_loss,
  nbdt.original_hard_tree_loss,
)


def example(classes=6, samples=5):
  random = np.random.default_rng(0)
  children = trees.random_children(random, classes)
  logits = jnp.asarray(random.normal(size=(samples, classes)), jnp.float32)
  labels = jnp.asarray(random.integers(0, classes, samples))
  return logits, labels, nbdt.Hierarchy.from_children(children, classes)


@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_and_labels(loss):
  logits, labels, hierarchy = example(samples=6)
  value = loss(logits, labels, hierarchy)
  assert value.shape == () and value.dtype == jnp.float32
  pixels = loss(logits.reshape(2, 3, 6), labels.reshape(2, 3), hierarchy)
  np.testing.assert_allclose(pixels, value, rtol=1e-6)
  compiled = jax.jit(jax.value_and_grad(loss))
  again, gradient = compiled(logits, labels, hierarchy)
  np.testing.assert_allclose(again, value, rtol=1e-6)
  # Only differences between logits count.
  np.testing.assert_allclose(gradient.sum(-1), 0.0, atol=1e-6)
  for wrong in (-1, 6):
    assert jnp.isnan(loss(logits, labels.at[1].set(wrong), hierarchy))
  with pytest.raises(ValueError, match=r"labels has shape \(4,\)"):
    loss(logits, labels[:4], hierarchy)
  with pytest.raises(ValueError, match="labels has dtype bool"):
    loss(logits, labels > 2, hierarchy)
  with pytest.raises(ValueError, match="hierarchy has 6 classes"):
    loss(logits[:, :5], labels, hierarchy)


@pytest.mark.parametrize("loss", LOSSES)
def test_target_probabilities(loss):
  logits, labels, hierarchy = example()
  hot = jax.nn.one_hot(labels, 6)
  value, gradient = jax.value_and_grad(loss)(logits, hot, hierarchy)
  wanted = jax.value_and_grad(loss)(logits, labels, hierarchy)
  np.testing.assert_allclose(value, wanted[0], rtol=1e-5)
  np.testing.assert_allclose(gradient, wanted[1], atol=1e-6)


def test_equation_5_4_node_by_node():
  """Each node's cross entropy over its children, a batch mean; their mean."""
  children = [[0, 1, 2], [3, 4], [6, 7, 5]]  # Nodes 6, 7 and the root 8.
  random = np.random.default_rng(1)
  logits = random.normal(size=(7, 6))
  labels = random.integers(0, 6, 7)
  below = {i: [i] for i in range(6)}
  for node, those in enumerate(children, 6):
    below[node] = [leaf for c in those for leaf in below[c]]
  total = 0.0
  for node, those in enumerate(children, 6):
    for row, label in zip(logits, labels, strict=True):
      if label in below[node]:
        scores = np.asarray([row[below[c]].mean() for c in those])
        (taken,) = [i for i, c in enumerate(those) if label in below[c]]
        total += np.log(np.exp(scores).sum()) - scores[taken]
  hierarchy = nbdt.Hierarchy.from_children(children, 6)
  found = nbdt.hard_tree_loss_per_node(
    jnp.asarray(logits, jnp.float32), jnp.asarray(labels), hierarchy
  )
  np.testing.assert_allclose(found, total / len(labels) / 3, rtol=1e-5)
  # The published weight of ten is of this form.
  assert nbdt.published("hard_per_node", "constant").omega == 10.0


def test_a_step_downhill_on_a_deep_tree():
  """The gradient at depth 999, where probabilities underflow."""
  hierarchy = nbdt.Hierarchy.from_children(trees.chain(1000))
  random = np.random.default_rng(1)
  logits = jnp.asarray(3 * random.normal(size=(2, 1000)), jnp.float32)
  labels = jnp.asarray([0, 500])
  loss = jax.jit(jax.value_and_grad(nbdt.soft_tree_loss))
  value, gradient = loss(logits, labels, hierarchy)
  assert value > 100 and jnp.isfinite(gradient).all()
  after, _ = loss(logits - 0.01 * gradient, labels, hierarchy)
  assert after < value


def test_schedules():
  beta, omega = schedules.growing(0.0)
  assert (float(beta), float(omega)) == (1.0, 0.0)
  beta, omega = schedules.growing(0.5, omega_end=5.0, beta_end=0.2)
  np.testing.assert_allclose([beta, omega], [0.6, 2.5], rtol=1e-6)
  beta, omega = schedules.growing(1.0)
  assert (float(beta), float(omega)) == (0.0, schedules.OMEGA_END["small"])
  assert tuple(map(float, schedules.growing(2.0))) == (0.0, 0.5)
  beta, omega = schedules.constant(0.3, omega=schedules.OMEGA["large"])
  assert (float(beta), float(omega)) == (1.0, 10.0)
  many = jax.vmap(schedules.growing)(jnp.linspace(0, 1, 5))
  assert many.omega.shape == (5,)
  same = schedules.original(0.7, omega_start=2.0)
  np.testing.assert_allclose(same, [1.0, 2.0], rtol=1e-6)
  for function, key in (
    (schedules.growing, "omega_end"),
    (schedules.growing, "beta_end"),
    (schedules.constant, "omega"),
    (schedules.original, "omega_power"),
  ):
    with pytest.raises(ValueError, match=f"{key} is -1.0; legal: 0 or more"):
      function(0.5, **{key: -1.0})
