"""Pretraining on costs, and on scores beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fbnax import costs, spaces
from fbnax.proxies import normal_scores
from fbnax.search.nars.pretraining import (
  correlations,
  predict_costs,
  predict_labels,
  predictor_module,
  pretrain,
)

SMALL = spaces.get("small")


@pytest.fixture(scope="module")
def pretrained():
  pool = SMALL.sobol(20_000)
  found = costs.batch(SMALL, pool, 10)
  return pretrain(jax.random.key(0), SMALL, pool, found)


def test_costs_of_unseen_genotypes(pretrained):
  model, metrics = pretrained
  unseen = SMALL.sample(jax.random.key(7), 1000)
  predicted = predict_costs(model, SMALL, unseen)
  for name, guess in predicted._asdict().items():
    exact = [
      getattr(costs.count(SMALL.architecture(g), 10), name) for g in unseen
    ]
    assert stats.kendalltau(guess, exact).statistic > 0.95
    error = np.log(np.asarray(guess, np.float64)) - np.log(exact)
    rmse = np.sqrt(np.mean(error**2))
    # The reported error is that of unseen genotypes, not of known ones.
    np.testing.assert_allclose(metrics[name].rmse, rmse, rtol=0.25)


def test_metrics(pretrained):
  for name, found in pretrained[1].items():
    assert name in ("macs", "params")
    assert found.predicted.shape == found.truth.shape == (500,)
    assert found.kendall > 0.95
    assert found.spearman > found.kendall
    shown = np.sqrt(np.mean(np.log(found.predicted / found.truth) ** 2))
    np.testing.assert_allclose(shown, found.rmse, rtol=0.3)


def test_correlations_against_scipy_and_of_constants():
  rng = np.random.default_rng(0)
  a, b = rng.integers(0, 9, (2, 50))
  kendall, spearman = correlations(a, b)
  np.testing.assert_allclose(kendall, stats.kendalltau(a, b).statistic)
  np.testing.assert_allclose(spearman, stats.spearmanr(a, b).statistic)
  assert correlations(np.ones(4), np.arange(4)) == (0.0, 0.0)


def test_wrong_arguments():
  key = jax.random.key(0)
  pool = SMALL.sobol(8)
  with pytest.raises(ValueError, match="5 genotypes"):
    pretrain(key, SMALL, pool[:5], costs.batch(SMALL, pool[:5], 10))
  fixed = {
    d.name: d.values[0] for d in SMALL.decisions if not SMALL.is_recipe(d)
  }
  with pytest.raises(ValueError, match="no architecture decision"):
    pretrain(
      key,
      SMALL.fix(**fixed),
      pool,
      costs.Costs(jnp.ones(8), jnp.ones(8)),
    )


def _kernels(genotypes):
  """How many stages have the larger kernel: MACs hardly tell them."""
  names = [d.name for d in SMALL.decisions]
  places = [i for i, name in enumerate(names) if name.endswith(".kernel")]
  chosen = np.asarray(genotypes)[:, places]
  # Over a hundred powers of ten, and the worst of all are -inf.
  total = (chosen * np.arange(1, len(places) + 1)).sum(axis=1)
  return np.where(total == 0, -np.inf, 10.0 ** (10.0 * total - 20.0))


@pytest.fixture(scope="module")
def scored():
  """A pool of which a few genotypes have a score."""
  pool = np.asarray(SMALL.sobol(4000))
  score = np.full(len(pool), np.nan)
  score[:600] = _kernels(pool[:600])
  found = costs.batch(SMALL, jnp.asarray(pool), 10)
  return pool, found, {"kernels": score, "nothing": np.ones(len(pool))}


def test_scores_are_learned_beside_the_costs(scored):
  pool, found, extra = scored
  model, metrics = pretrain(jax.random.key(1), SMALL, pool, found, extra)
  assert model.names == tuple(metrics)
  assert model.names == ("macs", "params", "kernels", "nothing")
  unseen = SMALL.sample(jax.random.key(8), 1000)
  # -inf are equal to each other, and below the rest.
  truth = stats.rankdata(_kernels(unseen))
  predicted = np.asarray(predict_labels(model, SMALL, unseen))
  ours = stats.spearmanr(predicted[:, 2], truth).statistic
  assert ours > 0.95
  assert metrics["kernels"].spearman == pytest.approx(ours, abs=0.03)
  assert metrics["kernels"].rmse < 0.3
  # Known of 600, a fifth held out, of which by chance more or fewer.
  assert 80 < len(metrics["kernels"].truth) < 160
  # A constant is learned as one.
  assert metrics["nothing"].spearman == 0.0
  assert metrics["nothing"].rmse < 1e-5
  np.testing.assert_allclose(predicted[:, 3], 0.0, atol=1e-3)
  # Costs are learned as well as before, and are the first columns.
  np.testing.assert_allclose(
    predict_costs(model, SMALL, unseen).macs, np.exp(predicted[:, 0]), rtol=1e-5
  )
  plain, without = pretrain(jax.random.key(1), SMALL, pool, found)
  assert plain.names == ("macs", "params")
  for name in plain.names:
    assert metrics[name].spearman > without[name].spearman - 0.01
  # What the costs alone taught the same encoder says less of the score: the
  # best line through its embedding, fitted to the same genotypes.
  errors = {}
  for which, of in (("with", model), ("without", plain)):

    def embed(genotypes, of=of):
      return np.asarray(
        predictor_module(SMALL).apply(
          {"params": {"encoder": of.encoder}},
          SMALL.encode(jnp.asarray(genotypes)),
          method="embed",
        ),
        np.float64,
      )

    both = np.concatenate([pool[:600], np.asarray(unseen)])
    labels = normal_scores(_kernels(both))
    line = np.linalg.lstsq(
      np.c_[embed(both[:600]), np.ones(600)], labels[:600], rcond=None
    )[0]
    guess = np.c_[embed(unseen), np.ones(len(unseen))] @ line
    errors[which] = np.sqrt(np.mean((guess - labels[600:]) ** 2))
  assert errors["with"] < 0.6 * errors["without"]


def test_an_unknown_label_adds_nothing_to_the_loss(scored):
  """One step of Adam, from the mean of each label over what is known."""
  pool, found, extra = scored
  key, rate = jax.random.key(5), 1e-2
  model, _ = pretrain(
    key,
    SMALL,
    pool,
    found,
    {"kernels": extra["kernels"]},
    epochs=1,
    batch_size=len(pool),
    learning_rate=rate,
  )
  split_key, train_key = jax.random.split(key)
  train = np.asarray(jax.random.permutation(split_key, len(pool)))[800:]
  labels = [
    np.log(np.asarray(found.macs, np.float64)),
    np.log(np.asarray(found.params, np.float64)),
    normal_scores(extra["kernels"]),
  ]
  features = SMALL.encode(jnp.asarray(pool))
  module = predictor_module(SMALL, 3)
  params = module.init(
    jax.random.split(train_key)[0], features[:1], method="proxies"
  )["params"]

  @jax.jit
  @jax.grad
  def gradient(params):
    total = 0.0
    for i, label in enumerate(labels):
      # The rows without this label are left out, here before anything else.
      rows = train[~np.isnan(label[train])]
      wanted = (label[rows] - label[rows].mean()) / label[rows].std()
      guess = module.apply({"params": params}, features[rows], method="proxies")
      total += jnp.mean((guess[:, i] - wanted) ** 2) / len(labels)
    return total

  gradients = gradient(params)
  for part, ours in (
    ("encoder", model.encoder),
    ("proxy_head", model.proxy_head),
  ):
    for name, toward in gradients[part].items():
      # Adam's first step is as long as the rate, in the gradient's direction.
      moved = np.asarray(ours[name]) - np.asarray(params[part][name])
      clear = np.abs(toward) > 1e-5
      assert clear.mean() > 0.5
      np.testing.assert_allclose(
        moved[clear], -rate * np.sign(toward)[clear], rtol=2e-2
      )
