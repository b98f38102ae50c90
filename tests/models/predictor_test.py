"""The predictor against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models.predictor import Predictor


def silu(x):
  return x / (1.0 + np.exp(-x))


def dense(layer, x):
  return x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


@pytest.mark.parametrize("architecture", [0, 5])
def test_against_numpy(architecture):
  module = Predictor(architecture)
  features = jax.random.normal(jax.random.key(0), (7, 9))
  params = module.init(jax.random.key(1), features)["params"]
  # Biases start at 0, which would hide that one is left out.
  params = jax.tree.map(lambda leaf: leaf + 0.3, params)
  x = np.asarray(features)
  recipe = x[:, architecture:]
  if architecture:
    embedded = silu(dense(params["encoder"], x[:, :architecture]))
    assert embedded.shape == (7, 24)
    recipe = np.concatenate([embedded, recipe], axis=1)
  hidden = silu(dense(params["hidden_layer"], recipe))
  wanted = dense(params["score_head"], hidden)[:, 0]
  found = module.apply({"params": params}, features)
  np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-4)
  assert ("encoder" in params) == bool(architecture)


def test_proxies_read_the_architecture_alone():
  module = Predictor(5)
  features = jax.random.normal(jax.random.key(0), (7, 9))
  variables = module.init(jax.random.key(1), features, method="proxies")
  found = module.apply(variables, features, method="proxies")
  other = module.apply(variables, features.at[:, 5:].set(0.0), method="proxies")
  assert found.shape == (7, 2)
  np.testing.assert_array_equal(found, other)
  params = variables["params"]
  embedded = silu(dense(params["encoder"], np.asarray(features)[:, :5]))
  wanted = dense(params["proxy_head"], embedded)
  np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-4)
  assert jnp.isfinite(found).all()
