"""Scores of untrained networks as labels: normal scores, and what is legal."""

import numpy as np
import pytest
from scipy import stats

from fbnax.search import free_labels
from fbnax.search.free_labels import Scored, appended, normal_scores


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


def test_scored_genotypes_come_after_the_pool():
  pool = np.asarray([[0, 1], [2, 0]])
  scored = Scored(
    np.asarray([[1, 1], [0, 0], [2, 1]]), {"a": [5.0, -np.inf, 6]}
  )
  genotypes, extra = appended(pool, scored)
  assert genotypes.tolist() == [[0, 1], [2, 0], [1, 1], [0, 0], [2, 1]]
  np.testing.assert_array_equal(extra["a"], [np.nan, np.nan, 5, -np.inf, 6])
  assert appended(pool, None) == (pool, {})


@pytest.mark.parametrize(
  ("extra", "message"),
  [
    ({"macs": np.ones(12)}, "extra has 'macs', which is learned anyway"),
    ({"a": np.ones(11)}, r"extra\['a'\] has shape \(11,\); legal: \(12,\)"),
    (
      {"a": [*range(9), np.nan, np.nan, np.nan]},
      r"extra\['a'\] has 9 known values; legal: at least 10",
    ),
  ],
)
def test_what_is_not_legal_is_named(extra, message):
  with pytest.raises(ValueError, match=message):
    free_labels.columns(extra, 12)
