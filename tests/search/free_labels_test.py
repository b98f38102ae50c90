"""Scores of untrained networks as labels: the pool, and what is legal."""

import numpy as np
import pytest

from fbnax.search.nars import free_labels
from fbnax.search.nars.free_labels import Scored, appended


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
