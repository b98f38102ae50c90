"""Learning curves, on accuracies that a formula gives."""

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.search.nars import learning_curves, predictor
from fbnax.search.nars.pretraining import pretrain

SPACE = spaces.get("mnasnet")


@pytest.fixture(scope="module")
def rows():
  """Genotypes, and an accuracy that rises with the logarithm of MACs."""
  genotypes = np.asarray(SPACE.sample(jax.random.key(0), 600))
  logs = np.log(np.asarray(costs.batch(SPACE, genotypes).macs, np.float64))
  noise = np.random.default_rng(0).normal(0, 0.02, 600)
  return genotypes, 10 * np.tanh(logs - logs.mean()) + noise


def _learners():
  pool = SPACE.sobol(2000)
  key = jax.random.key(1)
  found, _ = pretrain(key, SPACE, pool, costs.batch(SPACE, pool), epochs=20)
  for name, pretrained in (("pretrained", found), ("from scratch", None)):
    yield (
      name,
      learning_curves.neural(key, SPACE, pretrained, members=2, capacity=64),
    )
  yield "ridge", learning_curves.ridge(SPACE)
  yield "gaussian process", learning_curves.gaussian_process(SPACE)


def test_learn_and_pretraining_helps(rows):
  scores = {
    name: learning_curves.score(learner, 0, *rows, 64, 400)
    for name, learner in _learners()
  }
  assert all(score.kendall > 0.6 for score in scores.values()), scores
  errors = {name: score.rmse for name, score in scores.items()}
  assert min(errors, key=errors.get) == "pretrained"
  assert errors["pretrained"] < 0.8 * errors["from scratch"]


def test_held_out_rows_are_never_learned_from(rows):
  genotypes, labels = rows
  held_out = []

  def learner(known, seen, unseen):
    held_out.append({tuple(g) for g in unseen.tolist()})
    assert len(known) == len(seen)
    assert not held_out[-1] & {tuple(g) for g in seen.tolist()}
    return np.zeros(len(unseen))

  for count in (10, 100):
    found = learning_curves.score(learner, 3, genotypes, labels, count, 300)
    assert found.kendall == 0
  assert held_out[0] == held_out[1]
  with pytest.raises(ValueError, match="count=400 and held_out=300 of 600"):
    learning_curves.score(learner, 3, genotypes, labels, 400, 300)


def test_labels_needed_against_a_power_law():
  counts = (10, 20, 40, 80)
  errors = [1 / np.sqrt(c) for c in counts]
  for wanted in (15.0, 30.0, 77.0):
    found = learning_curves.labels_needed(counts, errors, 1 / np.sqrt(wanted))
    assert found == pytest.approx(wanted)
  assert learning_curves.labels_needed(counts, errors, 1.0) == 10
  assert learning_curves.labels_needed(counts, errors, 0.01) == np.inf


def test_ranks_order_like_the_labels_and_forget_their_distances():
  """One far outlier moves a fit of accuracies, but not one of ranks."""
  space = spaces.get("nasbench201")
  random = np.random.default_rng(0)
  genotypes = random.integers(0, 5, (40, 6))
  labels = (genotypes == 2).sum(axis=1) + random.normal(0, 0.1, 40)
  worst = labels.argmin()
  outlier = labels.copy()
  outlier[worst] -= 1000.0

  def predicted(labels, ranks):
    model = predictor.fit(
      jax.random.key(0),
      space,
      None,
      genotypes,
      labels,
      members=2,
      settings=predictor.HeadSettings(ranks=ranks, capacity=40),
    )
    found = np.asarray(predictor.predict(model, genotypes).score)
    return (found - found.mean()) / found.std()

  np.testing.assert_allclose(
    predicted(labels, True), predicted(outlier, True), atol=1e-4
  )
  apart = np.abs(predicted(labels, False) - predicted(outlier, False))
  assert apart.max() > 0.3
  correlation = np.corrcoef(predicted(labels, True), labels)[0, 1]
  assert correlation > 0.9
