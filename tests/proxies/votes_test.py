"""Votes and rank correlations against counting one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fbnax import proxies
from fbnax.proxies import normal_scores, votes


def _scores(seed, n=9, k=3, levels=4):
  return np.random.default_rng(seed).integers(0, levels, (n, k)).astype(float)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_majority_counted_pair_by_pair(seed):
  scores = _scores(seed)
  wanted = np.zeros(len(scores))
  for i, mine in enumerate(scores):
    for j, theirs in enumerate(scores):
      if i != j:
        votes_cast = np.sign(mine - theirs).sum()
        wanted[i] += 0.5 * (np.sign(votes_cast) + 1)
  np.testing.assert_allclose(proxies.majority(scores), wanted / 8)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_only_orders_count(seed):
  scores = _scores(seed, levels=50)
  changed = np.exp(scores / 10)
  changed[scores == scores.min()] = -np.inf
  for function in proxies.VOTES.values():
    np.testing.assert_allclose(function(scores), function(changed))


def test_more_rows_than_a_block():
  scores = np.random.default_rng(0).normal(size=(votes._ROWS + 5, 1))
  np.testing.assert_allclose(
    proxies.majority(scores), proxies.ranks(scores)[:, 0]
  )


def test_mean_and_log_rank():
  scores = np.asarray([[1.0, 30.0], [2.0, 10.0], [3.0, 20.0]])
  np.testing.assert_allclose(proxies.mean_rank(scores), [0.5, 0.25, 0.75])
  np.testing.assert_allclose(
    np.exp(proxies.log_rank(scores)), np.asarray([3, 2, 6]) / 9
  )


def test_one_factor_finds_what_noisy_scores_have_in_common():
  """Loadings as they were drawn, and better than equal weights."""
  random = np.random.default_rng(0)
  loadings = np.asarray([0.9, 0.8, 0.3, 0.2, -0.5, 0.0])
  truth = random.normal(size=4000)
  noise = random.normal(size=(4000, 6)) * np.sqrt(1 - loadings**2)
  scores = truth[:, None] * loadings + noise
  found = proxies.one_factor(scores)
  # Of the sum of l x, where x is l truth + noise.
  shared = (loadings**2).sum()
  apart = (loadings**2 * (1 - loadings**2)).sum()
  np.testing.assert_allclose(
    stats.pearsonr(found, truth).statistic,
    shared / np.sqrt(shared**2 + apart),
    atol=0.01,
  )
  even = proxies.mean_rank(scores)
  assert proxies.spearman(found, truth) > proxies.spearman(even, truth)
  # A linear function of the normal scores, whose weights are the loadings.
  normal = stats.norm.ppf((proxies.ranks(scores) * 3999 + 0.5) / 4000)
  units = normal / np.sqrt((normal**2).sum(0))
  weights, *_ = np.linalg.lstsq(units, found, rcond=None)
  np.testing.assert_allclose(weights, loadings, atol=0.05)


def test_one_factor_of_one_score_and_of_a_constant():
  scores = np.asarray([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])
  for columns in (scores, scores[:, :1]):
    assert list(np.argsort(proxies.one_factor(columns))) == [0, 2, 1]


def test_what_cannot_vote():
  with pytest.raises(ValueError, match=r"scores\[1, 0\] is NaN"):
    proxies.majority(np.asarray([[0.0], [np.nan]]))
  with pytest.raises(ValueError, match="at least 2 networks"):
    proxies.mean_rank(np.zeros((1, 2)))


def test_correlations_are_scipys():
  a, b = _scores(1, 40, 2, 7).T
  assert proxies.spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
  assert proxies.kendall(a, b) == pytest.approx(stats.kendalltau(a, b)[0])
  a[3] = -np.inf
  low = np.where(np.isfinite(a), a, -99.0)
  assert proxies.spearman(a, b) == proxies.spearman(low, b)
  assert proxies.kendall(a, b) == pytest.approx(stats.kendalltau(low, b)[0])
  assert np.isnan(proxies.spearman(np.zeros(40), b))


def test_partial_correlation_is_that_of_residuals():
  random = np.random.default_rng(0)
  given_ = random.normal(size=60)
  a, b = given_ + random.normal(size=60), given_ + random.normal(size=60)
  ranked = [stats.rankdata(v) for v in (a, b, given_)]
  design = np.stack([ranked[2], np.ones(60)], 1)
  left = [
    v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in ranked[:2]
  ]
  assert proxies.partial_spearman(a, b, given_) == pytest.approx(
    np.corrcoef(left)[0, 1]
  )
  assert np.isnan(proxies.partial_spearman(given_, b, given_))


def test_the_best_share():
  values = np.asarray([1.0, 5.0, 4.0, 4.0, 0.0, 2.0])
  assert proxies.best_share(values, 0.3).tolist() == [
    False,
    True,
    True,
    True,
    False,
    False,
  ]
  assert proxies.best_share(values, 1.0).all()


def test_normal_scores_are_those_of_the_ranks():
  # The quantiles of a table: Blom's scores of five values.
  np.testing.assert_allclose(
    normal_scores([30.0, -1.0, 1e90, 2.0, 7.0]),
    [0.4972, -1.1798, 1.1798, -0.4972, 0.0],
    atol=1e-4,
  )


def test_a_score_and_its_logarithm_are_the_same_label():
  values = 10.0 ** np.random.default_rng(0).uniform(-20, 90, 200)
  found = normal_scores(values)
  np.testing.assert_array_equal(found, normal_scores(np.log(values)))
  assert stats.spearmanr(found, values).statistic == pytest.approx(1.0)
  assert abs(found.mean()) < 1e-9
  assert 0.95 < found.std() < 1.0


def test_infinities_have_the_ends_and_nan_counts_for_nothing():
  values = np.asarray([1.0, -np.inf, np.nan, 3.0, np.inf, -np.inf, 2.0])
  found = normal_scores(values)
  assert np.isnan(found[2])
  known = [0, 1, 3, 4, 5, 6]
  np.testing.assert_array_equal(
    found[known], normal_scores([1.0, -9.0, 3.0, 9.0, -9.0, 2.0])
  )
  assert found[1] == found[5] < found[0]
  np.testing.assert_array_equal(normal_scores(np.full(7, 4.0)), np.zeros(7))
  assert np.isnan(normal_scores([np.nan, np.nan])).all()
