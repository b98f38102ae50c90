"""Bins and early stopping against loops and scipy."""

import numpy as np
import pytest
from scipy import stats

from fbnax.search import early_stop_epoch, select_by_bins


def test_the_best_of_each_bin():
  rng = np.random.default_rng(0)
  macs, scores = rng.uniform(300, 900, 500), rng.normal(size=500)
  excluded = rng.random(500) < 0.3
  chosen = select_by_bins(macs, scores, 400, 800, 8, excluded=excluded)
  wanted = []
  for b in range(8):
    low = 400 + b * 50
    inside = [
      i for i in range(500) if low <= macs[i] < low + 50 and not excluded[i]
    ]
    wanted.append(max(inside, key=lambda i: scores[i]))
  assert chosen.tolist() == wanted


def test_empty_bins_are_filled_by_the_next_best():
  macs = np.asarray([400.0, 405.0, 410.0, 800.0, 1000.0])
  scores = np.asarray([1.0, 3.0, 2.0, 0.0, 9.0])
  # The bins are [400, 500), [500, 600), [600, 700), [700, 800].
  assert select_by_bins(macs, scores, 400, 800, 4).tolist() == [1, 3, 2, 0]


def test_several_of_each_bin():
  rng = np.random.default_rng(0)
  macs, scores = rng.uniform(0, 100, 60), rng.normal(size=60)
  chosen = select_by_bins(macs, scores, 0, 100, 4, count=10)
  best = [
    inside[np.argsort(-scores[inside])[:2]]
    for low in range(0, 100, 25)
    for inside in [np.flatnonzero((macs >= low) & (macs < low + 25))]
  ]
  assert chosen[:8].tolist() == np.concatenate(best).tolist()
  left = np.setdiff1d(np.arange(60), chosen[:8])
  assert chosen[8:].tolist() == left[np.argsort(-scores[left])[:2]].tolist()
  # One bin: simply the best.
  alone = select_by_bins(macs, scores, 0, 100, 1, count=5)
  assert alone.tolist() == np.argsort(-scores)[:5].tolist()
  with pytest.raises(ValueError, match="count is 3; legal: at least 4"):
    select_by_bins(macs, scores, 0, 100, 4, count=3)


def test_nan_scores_and_too_few_candidates():
  macs, scores = np.asarray([1.0, 2.0, 3.0]), np.asarray([0.0, np.nan, 1.0])
  assert select_by_bins(macs, scores, 1, 3, 2).tolist() == [0, 2]
  with pytest.raises(ValueError, match=r"only 2 candidates.*3 are wanted"):
    select_by_bins(macs, scores, 1, 3, 3)
  with pytest.raises(ValueError, match="low=3"):
    select_by_bins(macs, scores, 3, 1, 1)


def test_correlations_against_scipy():
  rng = np.random.default_rng(1)
  final = rng.normal(size=40)
  noise = np.linspace(2.0, 0.0, 12)[None] * rng.normal(size=(40, 12))
  # Rounded, so that there are ties.
  curves = np.round(final[:, None] + noise, 1)
  found = early_stop_epoch(curves, 0.92)
  wanted = [stats.spearmanr(c, curves[:, -1]).statistic for c in curves.T]
  np.testing.assert_allclose(found.correlations, wanted, atol=1e-12)
  assert 1 < found.epoch < 12
  assert min(wanted[found.epoch - 1 :]) >= 0.92 > wanted[found.epoch - 2]


def test_a_late_dip_counts():
  order = np.arange(6.0)
  curves = np.stack([order, order, -order, order, order], axis=1)
  assert early_stop_epoch(curves).epoch == 4


def test_degenerate_curves():
  constant = early_stop_epoch(np.ones((5, 4)))
  assert constant.epoch == 4
  assert constant.correlations.tolist() == [0.0, 0.0, 0.0, 1.0]
  order = np.arange(5.0)
  curves = np.stack([np.ones(5), order, order], axis=1)
  curves[0, 0] = np.nan  # This candidate is left out.
  assert early_stop_epoch(curves).epoch == 2
  failed = early_stop_epoch(np.full((3, 4), np.nan))
  assert failed.epoch == 4
  # Perfect agreement must meet a threshold of 1 in spite of rounding.
  agreeing = np.stack([np.arange(7.0)] * 3, axis=1)
  assert early_stop_epoch(agreeing, 1.0).epoch == 1
  with pytest.raises(ValueError, match="shape"):
    early_stop_epoch(order)
