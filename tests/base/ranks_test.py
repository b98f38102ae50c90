import numpy as np
import pytest

from fbnax.base import ranks


def by_hand(a, b):
  """Spearman's correlation from its definition, ties by average ranks."""

  def places(values):
    less = (values[:, None] > values[None]).sum(1)
    same = (values[:, None] == values[None]).sum(1)
    return less + (same + 1) / 2

  return np.corrcoef(places(a), places(b))[0, 1]


def test_against_the_definition():
  rng = np.random.default_rng(0)
  a = rng.integers(0, 8, 50).astype(float)
  b = a + rng.normal(size=50)
  assert ranks.spearman(a, b) == pytest.approx(by_hand(a, b), abs=1e-12)
  kendall, spearman = ranks.correlations(a, b)
  assert spearman == pytest.approx(by_hand(a, b), abs=1e-12)
  assert kendall == pytest.approx(ranks.kendall(a, b), abs=1e-12)


def test_constants():
  a, b = np.ones(3), np.arange(3.0)
  assert np.isnan(ranks.spearman(a, b))
  assert ranks.correlations(a, b) == (0.0, 0.0)


def test_the_area_under_the_curve_counts_pairs():
  scores = np.asarray([0.1, 0.4, 0.4, 0.8, 0.9])
  positive = np.asarray([False, False, True, False, True])
  pairs = [
    (a > b) + 0.5 * (a == b)
    for a in scores[positive]
    for b in scores[~positive]
  ]
  found = ranks.area_under_curve(scores, positive)
  assert found == pytest.approx(np.mean(pairs))
  assert ranks.area_under_curve(scores, positive & False) is None
