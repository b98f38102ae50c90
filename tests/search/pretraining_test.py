"""Pretraining on costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fbnax import costs, spaces
from fbnax.search.pretraining import correlations, predict_costs, pretrain

SMALL = spaces.get("small")


@pytest.fixture(scope="module")
def pretrained():
  pool = SMALL.sobol(20_000)
  found = costs.batch(SMALL, pool, 10)
  return pretrain(jax.random.key(0), SMALL, pool, found)


def test_costs_of_unseen_genotypes(pretrained):
  model, metrics = pretrained
  unseen = SMALL.sample(jax.random.key(7), 1000)
  predicted = predict_costs(model, SMALL, unseen)
  for name, guess in predicted._asdict().items():
    exact = [
      getattr(costs.count(SMALL.architecture(g), 10), name) for g in unseen
    ]
    assert stats.kendalltau(guess, exact).statistic > 0.95
    error = np.log(np.asarray(guess, np.float64)) - np.log(exact)
    rmse = np.sqrt(np.mean(error**2))
    # The reported error is that of unseen genotypes, not of known ones.
    np.testing.assert_allclose(metrics[name].rmse, rmse, rtol=0.25)


def test_metrics(pretrained):
  for name, found in pretrained[1].items():
    assert name in ("macs", "params")
    assert found.predicted.shape == found.truth.shape == (500,)
    assert found.kendall > 0.95
    assert found.spearman > found.kendall
    shown = np.sqrt(np.mean(np.log(found.predicted / found.truth) ** 2))
    np.testing.assert_allclose(shown, found.rmse, rtol=0.3)


def test_correlations_against_scipy_and_of_constants():
  rng = np.random.default_rng(0)
  a, b = rng.integers(0, 9, (2, 50))
  kendall, spearman = correlations(a, b)
  np.testing.assert_allclose(kendall, stats.kendalltau(a, b).statistic)
  np.testing.assert_allclose(spearman, stats.spearmanr(a, b).statistic)
  assert correlations(np.ones(4), np.arange(4)) == (0.0, 0.0)


def test_wrong_arguments():
  key = jax.random.key(0)
  pool = SMALL.sobol(8)
  with pytest.raises(ValueError, match="5 genotypes"):
    pretrain(key, SMALL, pool[:5], costs.batch(SMALL, pool[:5], 10))
  fixed = {
    d.name: d.values[0] for d in SMALL.decisions if not SMALL.is_recipe(d)
  }
  with pytest.raises(ValueError, match="no architecture decision"):
    pretrain(
      key,
      SMALL.fix(**fixed),
      pool,
      costs.Costs(jnp.ones(8), jnp.ones(8)),
    )
