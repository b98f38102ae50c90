"""The front of a search: budgets, who is best of them, expected accuracies."""

import numpy as np

from fbnax.jobs.nars import front
from fbnax.jobs.nars.config import NarsConfig, NarsSearchKeys
from fbnax.report.schema import TrialRow


def test_budgets_are_spread_in_equal_ratios_and_can_be_said():
  limits = front._limits([61_234.0, 2_123_456.0, 300_000.0])
  assert len(limits) == front.STOPS
  assert limits[0] == 61_300 and limits[-1] == 2_130_000
  ratios = np.diff(np.log(limits))
  np.testing.assert_allclose(ratios, ratios.mean(), atol=0.012)
  # Of a narrow range there are fewer, of none there is none.
  assert front._limits([100_000.0, 100_900.0]) == [101_000, 102_000]
  assert front._limits([5.0, 5.0]) == []
  assert front._limits([0.0123, 0.0456])[0] == 0.0124


def test_neither_score_nor_prediction_falls():
  rng = np.random.default_rng(0)
  costs = rng.uniform(1, 100, 200)
  means = 0.5 + 0.004 * costs + rng.normal(0, 0.05, 200)
  scores = means - rng.uniform(0, 0.1, 200)
  limits = np.linspace(costs.min(), 100, 50).tolist()
  line = front._best_within(limits, costs, scores, means)
  places = [place for _, place in line]
  assert [limit for limit, _ in line] == limits
  assert (costs[places] <= limits).all()
  for values in (scores, means):
    assert (np.diff(values[places]) >= 0).all()
  # Nothing affordable is better in both.
  for limit, place in line:
    better = (scores > scores[place]) & (means > means[place])
    assert not (better & (costs <= limit)).any()
  # Of equal ones the cheapest.
  same = np.zeros(3)
  chosen = front._best_within([3.0], np.asarray([2.0, 1.0, 3.0]), same, same)
  assert chosen == [(3.0, 1)]


def _trials(labels, accuracies):
  return [
    TrialRow(label=label, curve=(0.1, accuracy, 0.99), genotype=(0,))
    for label, accuracy in zip(labels, accuracies, strict=True)
  ]


def test_likelihoods_are_read_as_accuracies():
  config = NarsConfig()
  labels = np.linspace(0.4, 0.9, 11)
  odds = (labels / (1 - labels)) ** 1.5 * 2
  accuracies = odds / (1 + odds)
  accuracies[:5] = 0.1  # The worse half does not matter.
  trials = [*_trials(labels, accuracies), TrialRow(status="failed")]
  expected = front._accuracies(config, None, trials, epochs=2)
  np.testing.assert_allclose(expected(labels[5:]), accuracies[5:], atol=1e-9)
  beyond = expected(np.asarray([0.95, 0.999, 1.5, -1.0]))
  assert beyond[0] > accuracies[-1] and (np.diff(beyond[:2]) > 0).all()
  assert (beyond > 0).all() and (beyond < 1).all()
  # Where labels say nothing of accuracies, these are their mean.
  level = front._accuracies(config, None, _trials([0.5] * 4, [0.8] * 4), 2)
  np.testing.assert_allclose(level(np.asarray([0.2, 0.9])), 0.8)


def test_accuracies_are_what_they_are():
  config = NarsConfig(search=NarsSearchKeys(signal="accuracy"))
  expected = front._accuracies(config, None, [], epochs=2)
  assert expected(np.asarray([0.5, 1.2, -0.1])).tolist() == [0.5, 1.0, 0.0]


def test_flags_are_those_that_differ():
  assert "training.epochs" in front._training(NarsConfig())
  assert "data.name" not in front._training(NarsConfig())
  assert front._training(NarsConfig(seed=3))["seed"] == 3
