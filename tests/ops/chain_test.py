import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.ops.chain import feature_sum, normalize_relu, project

SHAPE = (3, 5, 4)  # Features, nodes, chains.


@pytest.fixture(autouse=True)
def doubles():
  with jax.enable_x64(True):
    yield


@pytest.fixture
def nodes():
  return jnp.asarray(np.random.default_rng(0).normal(size=SHAPE))


@pytest.fixture
def mask():
  lengths = np.asarray([5, 1, 3, 2])
  return jnp.asarray((np.arange(5)[:, None] < lengths).astype(float))


def same_with_gradients(found, wanted, *arguments):
  """Equal values, and equal gradients of a weighted sum of them."""
  shape = wanted(*arguments).shape
  weights = jnp.asarray(np.random.default_rng(1).normal(size=shape))
  places = tuple(range(len(arguments)))
  np.testing.assert_allclose(found(*arguments), wanted(*arguments), atol=1e-12)
  for ours, theirs in zip(
    *(
      jax.grad(lambda *a, f=f: (f(*a) * weights).sum(), places)(*arguments)
      for f in (found, wanted)
    ),
    strict=True,
  ):
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_project_is_a_product(nodes):
  weights = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3)))
  same_with_gradients(
    project, lambda w, x: jnp.einsum("ed,dnb->enb", w, x), weights, nodes
  )


def test_feature_sum(nodes):
  same_with_gradients(feature_sum, lambda x: x.sum(axis=0), nodes)


def test_normalize_relu_is_bn_of_the_nodes_that_are_there(nodes, mask):
  scale, bias = jnp.asarray([1.0, 2.0, -0.5]), jnp.asarray([0.0, 0.3, 0.1])

  def wanted(nodes, scale, bias):
    there = nodes.reshape(3, -1)[:, np.flatnonzero(mask.reshape(-1))]
    mean, variance = there.mean(axis=1), there.var(axis=1)
    normal = (nodes - mean[:, None, None]) / jnp.sqrt(
      variance[:, None, None] + 1e-5
    )
    found = normal * scale[:, None, None] + bias[:, None, None]
    return jax.nn.relu(found) * mask

  def found(nodes, scale, bias):
    return normalize_relu(nodes, mask, scale, bias, 1e-5)[0]

  same_with_gradients(found, wanted, nodes, scale, bias)
  _, mean, variance = normalize_relu(nodes, mask, scale, bias, 1e-5)
  there = np.asarray(nodes)[:, np.asarray(mask) > 0]
  np.testing.assert_allclose(mean, there.mean(axis=1))
  np.testing.assert_allclose(variance, there.var(axis=1))
