"""The Gaussian process, against its equations and on noisy measurements."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from fbnax import costs, spaces
from fbnax.proxies import normal_scores
from fbnax.search.nars import posterior

SPACE = spaces.get("small").fix(resolution=8)
CELLS = spaces.get("nasbench201")


def kernel_by_hand(space, a, b, model):
  """Of two genotypes, decision by decision."""
  scale, _, *weights = np.exp(model.parameters)
  distances = []
  for weight, decision, i, j in zip(
    weights[:-2], space.decisions, a, b, strict=True
  ):
    if decision.categorical:
      distances.append(weight * (i != j))
    else:
      steps = max(len(decision.values) - 1, 1)
      distances.append(weight * ((i - j) / steps) ** 2)
  counted = costs.batch(space, jnp.asarray([a, b]), 10)
  for weight, values, spread in zip(
    weights[-2:], (counted.macs, counted.params), model.spread, strict=True
  ):
    distances.append(weight * (np.log(values[0] / values[1]) / spread) ** 2)
  return scale * np.exp(-8.0 * np.mean(distances))


@pytest.mark.parametrize("space", [SPACE, CELLS])
def test_predictions_are_those_of_the_equations(space):
  genotypes = np.asarray(space.sobol(14, 3))
  labels = np.random.default_rng(0).normal(size=10)
  labels[4] = np.nan
  model = posterior.fit(space, genotypes[:10], labels, 10)
  known = np.where(np.isnan(labels), np.nanmin(labels), labels)
  targets = normal_scores(known)
  targets = targets / targets.std()
  every = np.asarray(
    [[kernel_by_hand(space, a, b, model) for b in genotypes] for a in genotypes]
  )
  measured, between = every[:10, :10], every[10:, :10]
  noisy = measured + (model.noise**2 + 1e-6) * np.eye(10)
  inverse = np.linalg.inv(noisy)
  mean, deviation = model.predict(genotypes[10:])
  np.testing.assert_allclose(mean, between @ inverse @ targets, rtol=1e-4)
  left = np.diag(every[10:, 10:] - between @ inverse @ between.T)
  np.testing.assert_allclose(deviation**2, left, rtol=1e-4, atol=1e-9)


def test_the_gradient_is_that_of_differences():
  genotypes = np.asarray(SPACE.sobol(12, 1))
  points = posterior._points(SPACE, genotypes, 10)
  kinds = np.asarray([*(d.categorical for d in SPACE.decisions), False, False])
  distances = posterior._distances(points, points, kinds)
  random = np.random.default_rng(2)
  targets = random.normal(size=12)
  middle = np.full(2 + len(kinds), -1.0)
  at = middle + 0.3 * random.normal(size=len(middle))
  arguments = (distances, targets, middle)
  wrong = optimize.check_grad(
    lambda p: posterior._loss(p, *arguments)[0],
    lambda p: posterior._loss(p, *arguments)[1],
    at,
  )
  assert wrong < 1e-4


def test_it_knows_more_than_the_measurements():
  """Of the neighbours of three cells, over 12 draws of noisy accuracies."""
  centres = np.asarray(CELLS.sobol(3, 5))
  near = [c for centre in centres for c in neighbours(centre)]
  genotypes = np.unique(near, axis=0)
  random = np.random.default_rng(6)
  worth = random.normal(size=(genotypes.shape[1], 5))
  truth = sum(worth[d, genotypes[:, d]] for d in range(genotypes.shape[1]))
  gains, by_posterior, by_luck = [], [], []
  for _ in range(12):
    measured = truth + truth.std() * random.normal(size=len(truth))
    model = posterior.fit(CELLS, genotypes, measured, 10)
    mean, _ = model.predict(genotypes)
    known, seen = (np.corrcoef(m, truth)[0, 1] for m in (mean, measured))
    gains.append(known - seen)
    place = posterior.chosen(CELLS, genotypes, measured, 10)
    assert place == np.argmax(mean)
    by_posterior.append(truth[place])
    by_luck.append(truth[np.argmax(measured)])
  assert np.mean(gains) > 0.08
  assert np.mean(by_posterior) >= np.mean(by_luck)


def neighbours(cell):
  """All cells with another operation on one edge."""
  for edge in range(len(cell)):
    for operation in range(5):
      yield [*cell[:edge], operation, *cell[edge + 1 :]]


def test_few_labels_and_none():
  genotypes = np.asarray(SPACE.sobol(3, 0))
  labels = [0.2, 0.5, np.nan]
  assert posterior.chosen(SPACE, genotypes, labels, 10) == 1
  with pytest.raises(ValueError, match="no label is finite"):
    posterior.chosen(SPACE, genotypes, [np.nan] * 3, 10)
  with pytest.raises(ValueError, match="1 of 3 labels are finite; legal"):
    posterior.fit(SPACE, genotypes, [np.nan, 1.0, np.nan], 10)
