"""Cross entropy and cost in one number, against NumPy and differences."""

import jax
import numpy as np
import pytest

from fbnax.search.dnas.penalties import COMBINATIONS, Penalty, combine

CASES = [(2.3, 1.4e8), (0.7, 2e8), (0.05, 3.1e8)]


def by_hand(penalty, cross_entropy, cost):
  """The published formulas, in float64."""
  if penalty.combination == "none":
    return cross_entropy
  if penalty.combination == "additive":
    return cross_entropy + penalty.alpha * cost / penalty.reference
  if penalty.combination == "multiplicative":
    return cross_entropy * penalty.alpha * np.log(cost) ** penalty.beta
  ratio = cost / penalty.reference
  return cross_entropy * max(ratio, 1 / ratio) ** penalty.omega


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("cross_entropy, cost", CASES)
def test_formulas(combination, cross_entropy, cost):
  penalty = Penalty(combination, 0.2, 0.6, 1.5, 2e8)
  found = combine(penalty, np.float32(cross_entropy), np.float32(cost))
  wanted = by_hand(penalty, cross_entropy, cost)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("cross_entropy, cost", [CASES[0], CASES[2]])
def test_gradients_agree_with_differences(combination, cross_entropy, cost):
  penalty = Penalty(combination, 0.3, 0.7, 2.0, 2e8)
  found = jax.grad(lambda c, x: combine(penalty, c, x), (0, 1))(
    np.float32(cross_entropy), np.float32(cost)
  )
  for i, slope in enumerate(found):
    at = [cross_entropy, cost]
    step = 1e-5 * at[i]
    high, low = list(at), list(at)
    high[i] += step
    low[i] -= step
    rise = by_hand(penalty, *high) - by_hand(penalty, *low)
    np.testing.assert_allclose(slope, rise / (2 * step), rtol=1e-4)


def test_fbnets_constants():
  """CE x 0.2 log(LAT)^0.6 with a latency of 28.1 ms, in microseconds."""
  found = combine(
    Penalty("multiplicative"), np.float32(1.0), np.float32(28.1e3)
  )
  assert float(found) == pytest.approx(0.2 * 10.2435**0.6, rel=1e-4)


def test_a_target_is_sought_from_both_sides():
  penalty = Penalty("target", reference=100.0)
  slope = jax.grad(lambda c: combine(penalty, np.float32(1.0), c))
  assert slope(np.float32(90.0)) < 0 < slope(np.float32(110.0))
  assert combine(penalty, np.float32(0.4), np.float32(100.0)) == np.float32(0.4)


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"combination": "product"}, "search.combination is 'product'; legal: add"),
    ({"alpha": 0.0}, "search.alpha is 0.0; legal: above 0"),
    ({"omega": -1.0}, "search.omega is -1.0"),
    ({"beta": float("nan")}, "search.beta is nan"),
    ({"reference": 0.0}, "search.reference is 0.0"),
  ],
)
def test_bad_constants(changes, message):
  with pytest.raises(ValueError, match=message):
    Penalty(**changes)
