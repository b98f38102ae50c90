import numpy as np
import pytest

from fbnax.search.evaluators import Candidate, Outcome
from fbnax.search.rewards import (
  indicator,
  ratio_power,
  rewarded,
  weighted_sum,
)

ACCURACY, COST = np.asarray([0.7, 0.8, 0.6]), np.asarray([50.0, 100.0, 200.0])


def test_values():
  np.testing.assert_allclose(indicator(100)(ACCURACY, COST), [0.7, 0.8, 0.0])
  # MnasNet: doubling the latency is worth about 5% of accuracy.
  found = ratio_power(100)(ACCURACY, COST)
  np.testing.assert_allclose(found, ACCURACY * (COST / 100) ** -0.07)
  assert 0.94 < 2**-0.07 < 0.96
  # The hard one: no reward for being faster than is asked.
  hard = ratio_power(100, -1.0, 0.0)(ACCURACY, COST)
  np.testing.assert_allclose(hard, [0.7, 0.8, 0.3])
  np.testing.assert_allclose(
    weighted_sum(100, 0.75)(ACCURACY, COST),
    0.75 * ACCURACY + 0.25 * np.asarray([0.5, 0.0, -1.0]),
  )


@pytest.mark.parametrize(
  "make, words",
  [
    (lambda: indicator(0), "target is 0"),
    (lambda: ratio_power(10, 0.1), "exponent is 0.1"),
    (lambda: ratio_power(10, -1, 0.5), "below is 0.5"),
    (lambda: weighted_sum(10, 1.5), "weight is 1.5"),
  ],
)
def test_wrong_arguments(make, words):
  with pytest.raises(ValueError, match=words):
    make()


def test_any_evaluator_is_rewarded():
  def evaluate(candidates, epochs, progress, ended=()):
    for c in candidates:
      failed = "no" if c.id == 2 else None
      yield [Outcome(c.id, (0.5, 0.8), 0.3, 0.0, failed)]

  found = rewarded(evaluate, lambda g: g.sum(axis=1) * 10.0, indicator(25))
  candidates = [Candidate(i, (i, 1), 0) for i in range(3)]
  outcomes = [o for part in found(candidates, 2, lambda _: None) for o in part]
  assert [o.curve for o in outcomes] == [(0.5, 0.8), (0.5, 0.8), (0.5, 0.8)]
  dear = rewarded(evaluate, lambda g: g.sum(axis=1) * 10.0, indicator(15))
  outcomes = [o for part in dear(candidates, 2, lambda _: None) for o in part]
  assert [o.curve for o in outcomes] == [(0.5, 0.8), (0.0, 0.0), (0.5, 0.8)]
