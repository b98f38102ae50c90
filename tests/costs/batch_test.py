"""Costs of populations and of choice weights against exact counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.models import one_hot

every_space = pytest.mark.parametrize("name", spaces.names())
how_many = pytest.mark.parametrize(
  "n", (100, pytest.param(1000, marks=pytest.mark.slow))
)


@functools.cache
def _genotypes_and_counts(name, n):
  space = spaces.get(name)
  rng = np.random.default_rng(3)
  genotypes = rng.integers(0, space.choices, (n, len(space.decisions)))
  exact = [costs.count(space.architecture(g), 10) for g in genotypes]
  return genotypes, np.asarray(exact, np.int64)


def _at_one_hot_weights(space, genotypes):
  @jax.jit
  def expected(rows):
    return jax.lax.map(
      lambda g: costs.expected(space, one_hot(space, g), 10), rows
    )

  return expected(jnp.asarray(genotypes))


@every_space
@how_many
def test_batch_in_float32(name, n):
  genotypes, exact = _genotypes_and_counts(name, n)
  found = costs.batch(spaces.get(name), jnp.asarray(genotypes), 10)
  for got, want in zip(found, exact.T, strict=True):
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)


@every_space
@how_many
def test_batch_in_float64_is_exact(name, n):
  genotypes, exact = _genotypes_and_counts(name, n)
  with jax.enable_x64(True):
    found = costs.batch(spaces.get(name), jnp.asarray(genotypes), 10)
    for got, want in zip(found, exact.T, strict=True):
      assert got.dtype == jnp.float64
      np.testing.assert_array_equal(got, want)


def test_batch_of_a_cut_space():
  space = spaces.get("small").fix(**{"stage2.depth": [1, 3], "resolution": 12})
  genotypes = space.sample(jax.random.key(0), 50)
  found = costs.batch(space, genotypes)
  for i, genotype in enumerate(np.asarray(genotypes)):
    exact = costs.count(space.architecture(genotype))
    assert (int(found.macs[i]), int(found.params[i])) == exact


@every_space
@how_many
def test_expected_at_one_hot_weights(name, n):
  genotypes, exact = _genotypes_and_counts(name, n)
  found = _at_one_hot_weights(spaces.get(name), genotypes)
  assert found.macs.dtype == jnp.float32
  np.testing.assert_allclose(found.macs, exact[:, 0], rtol=1e-6)
  np.testing.assert_allclose(found.params, exact[:, 1], rtol=1e-6)


@every_space
@how_many
def test_expected_at_one_hot_weights_in_float64_is_exact(name, n):
  genotypes, exact = _genotypes_and_counts(name, n)
  with jax.enable_x64(True):
    found = _at_one_hot_weights(spaces.get(name), genotypes)
    assert found.macs.dtype == jnp.float64
    np.testing.assert_allclose(found.macs, exact[:, 0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.params, exact[:, 1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ("small", "small_dnas", "fbnet_cifar"))
def test_gradient_of_expected_costs_against_finite_differences(name):
  space = spaces.get(name)
  rng = np.random.default_rng(0)
  with jax.enable_x64(True):
    weights = tuple(
      jnp.asarray(rng.dirichlet(np.ones(count))) for count in space.choices
    )
    directions = tuple(
      jnp.asarray(rng.normal(size=count)) for count in space.choices
    )
    macs = jax.jit(lambda w: costs.expected(space, w, 10).macs)
    gradient = jax.jit(jax.grad(lambda w: costs.expected(space, w, 10).macs))
    slope = sum(
      float(g @ d) for g, d in zip(gradient(weights), directions, strict=True)
    )

    def moved(step):
      return tuple(
        w + step * d for w, d in zip(weights, directions, strict=True)
      )

    step = 1e-5
    numeric = (macs(moved(step)) - macs(moved(-step))) / (2 * step)
    np.testing.assert_allclose(slope, numeric, rtol=1e-6)


def test_expected_is_a_mean_where_costs_are_linear_in_the_choice():
  """Two kernels, half each: the depthwise cost of the mean kernel area."""
  space = spaces.get("small")
  base = np.zeros(len(space.decisions), int)
  kernel = [d.name for d in space.decisions].index("stage1.kernel")
  both = []
  for choice in (0, 1):
    base[kernel] = choice
    both.append(costs.count(space.architecture(base), 10).macs)
  weights = list(one_hot(space, jnp.asarray(base)))
  weights[kernel] = jnp.asarray([0.5, 0.5])
  found = costs.expected(space, weights, 10)
  np.testing.assert_allclose(found.macs, np.mean(both), rtol=1e-6)


def test_expected_refuses_weights_of_another_space():
  space = spaces.get("small")
  with pytest.raises(ValueError, match="shapes"):
    costs.expected(space, (jnp.ones(2),))
