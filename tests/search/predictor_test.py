"""The ensemble: what it is fitted to, by which loss, and what it predicts."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fbnax import costs, spaces
from fbnax.search.nars import predictor
from fbnax.search.nars.predictor import HeadSettings, train_ensembles
from fbnax.search.nars.pretraining import (
  PretrainedEncoder,
  predictor_module,
  pretrain,
)
from fbnax.search.nars.scoring import affine_encoding, scores

SMALL = spaces.get("small")
KEY = jax.random.key(4)


def accuracy(genotypes):
  """A smooth accuracy in percent, of architecture and recipe."""
  features = SMALL.encode(genotypes)
  macs = jnp.log(costs.batch(SMALL, genotypes, 10).macs) - 14.5
  recipe = features[:, SMALL.num_architecture_features :]
  return 70.0 + 4.0 * macs - (recipe[:, 0] - 0.5) ** 2 + recipe[:, -1]


@pytest.fixture(scope="module")
def trials():
  genotypes = SMALL.sobol(64, seed=3)
  return genotypes, np.asarray(accuracy(genotypes))


@pytest.fixture(scope="module")
def pretrained():
  pool = SMALL.sobol(4000)
  found = costs.batch(SMALL, pool, 10)
  return pretrain(jax.random.key(0), SMALL, pool, found, epochs=20)[0]


@pytest.fixture(scope="module")
def model(pretrained, trials):
  return predictor.fit(KEY, SMALL, pretrained, *trials)


def test_unseen_genotypes(model):
  unseen = SMALL.sample(jax.random.key(11), 500)
  found = predictor.predict(model, unseen)
  assert np.corrcoef(found.score, accuracy(unseen))[0, 1] > 0.95
  rmse = np.sqrt(np.mean((found.score - accuracy(unseen)) ** 2))
  assert rmse < 0.35 * float(accuracy(unseen).std())


def test_pretraining_helps(model, trials):
  unseen = SMALL.sample(jax.random.key(11), 500)
  plain = predictor.fit(KEY, SMALL, None, *trials)
  error = {
    name: float(
      jnp.mean((predictor.predict(m, unseen).score - accuracy(unseen)) ** 2)
    )
    for name, m in {"plain": plain, "pretrained": model}.items()
  }
  assert error["pretrained"] < 0.7 * error["plain"]


def test_members_differ_and_make_mean_and_deviation(model):
  unseen = SMALL.sample(jax.random.key(12), 50)
  found = predictor.predict(model, unseen)
  module = predictor_module(SMALL)
  features = SMALL.encode(unseen)
  # The modules themselves, one member after the other.
  each = np.stack(
    [
      module.apply(
        {"params": jax.tree.map(lambda leaf, m=m: leaf[m], model.params)},
        features,
      )
      for m in range(4)
    ]
  )
  each = each * float(model.deviation) + float(model.mean)
  np.testing.assert_allclose(found.score, each.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(found.deviation, each.std(axis=0), atol=1e-3)
  assert (found.deviation > 0).all()
  np.testing.assert_array_equal(predictor.scorer(model)(unseen), found.score)


def recipe_only():
  return SMALL.fix(
    **{d.name: d.values[-1] for d in SMALL.decisions if not SMALL.is_recipe(d)}
  )


@pytest.mark.parametrize(
  "space", [SMALL, spaces.get("fbnetv3"), recipe_only()], ids=lambda s: s.name
)
def test_scores_are_those_of_the_module(space):
  genotypes = space.sample(jax.random.key(0), 100)
  features = space.encode(genotypes)
  encoding = affine_encoding(space)
  columns = np.stack(
    [
      genotypes[:, i] if t is None else genotypes[:, i] >= t
      for i, t in encoding.columns
    ],
    axis=1,
  )
  rebuilt = columns @ encoding.matrix + encoding.offset
  np.testing.assert_allclose(rebuilt, features, atol=1e-6)
  module = predictor_module(space)
  keys = jax.random.split(jax.random.key(1), 3)
  params = jax.vmap(lambda key: module.init(key, features)["params"])(keys)
  params = jax.tree.map(lambda leaf: leaf + 0.1, params)
  wanted = jax.vmap(lambda p: module.apply({"params": p}, features))(params)
  found = scores(space, params, genotypes)
  np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("huber", ["deviation", "label"])
def test_a_step_is_adam_on_the_huber_loss(trials, pretrained, huber):
  """One step of each phase, against optax and the loss written out."""
  genotypes, labels = trials[0][:16], trials[1][:16].copy()
  labels[0] += 100.0  # An outlier, in the linear part of the loss.
  settings = HeadSettings(epochs=1, batch_size=16, capacity=16, huber=huber)
  features = SMALL.encode(genotypes)
  mean, deviation = labels.mean(), labels.std()
  params, found_mean, found_deviation = train_ensembles(
    KEY,
    pretrained,
    genotypes,
    jnp.asarray(labels),
    jnp.ones((1, 16)),
    space=SMALL,
    members=1,
    settings=settings,
  )
  np.testing.assert_allclose(found_mean[0], mean, rtol=1e-6)
  np.testing.assert_allclose(found_deviation[0], deviation, rtol=1e-5)
  member_key = jax.random.split(KEY, (1, 1))[0, 0]
  init_key, weight_key, _ = jax.random.split(member_key, 3)
  module = predictor_module(SMALL)
  state = dict(module.init(init_key, features[:1])["params"])
  state["encoder"] = pretrained.encoder
  weights = jax.random.exponential(weight_key, (16,))
  targets = (labels - mean) / deviation
  assert np.abs(targets).max() > 1
  # The printed loss is of labels as they are; Adam does not mind its scale.
  unit = 1.0 if huber == "deviation" else deviation
  assert (np.abs(targets * unit) > 1).sum() != (np.abs(targets) > 1).sum() or (
    huber == "deviation"
  )

  def loss(params):
    error = jnp.abs(module.apply({"params": params}, features) - targets) * unit
    losses = jnp.where(error < 1, 0.5 * error**2, error - 0.5) / unit**2
    return (weights * losses).sum() / weights.sum()

  for rate, frozen in ((settings.head_rate, True), (settings.full_rate, False)):
    optimizer = optax.adamw(rate, weight_decay=settings.weight_decay)
    updates, _ = optimizer.update(
      jax.grad(loss)(state), optimizer.init(state), state
    )
    if frozen:
      updates["encoder"] = jax.tree.map(jnp.zeros_like, updates["encoder"])
    state = optax.apply_updates(state, updates)
  for name, layer in state.items():
    for part, wanted in layer.items():
      np.testing.assert_allclose(
        params[name][part][0, 0], wanted, atol=1e-5, err_msg=f"{name}.{part}"
      )


def test_padding_and_failed_trials_change_nothing(pretrained, trials):
  genotypes, labels = trials
  sizes = dict(epochs=3, batch_size=16)
  short = predictor.fit(
    KEY, SMALL, pretrained, *trials, settings=HeadSettings(capacity=64, **sizes)
  )
  long = predictor.fit(
    KEY,
    SMALL,
    pretrained,
    *trials,
    settings=HeadSettings(capacity=256, **sizes),
  )
  # Failed trials weigh nothing, wherever they are.
  failed = predictor.fit(
    KEY,
    SMALL,
    pretrained,
    jnp.concatenate([genotypes, genotypes[:30]]),
    np.append(labels, np.full(30, np.nan)),
    settings=HeadSettings(capacity=256, **sizes),
  )
  for other in (long, failed):
    for a, b in zip(
      jax.tree.leaves(short), jax.tree.leaves(other), strict=True
    ):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_more_labels_compile_nothing(pretrained, trials, caplog):
  genotypes, labels = trials
  settings = HeadSettings(epochs=2)
  predictor.fit(
    KEY, SMALL, pretrained, genotypes[:20], labels[:20], settings=settings
  )
  with jax.log_compiles(), caplog.at_level(logging.WARNING):
    predictor.fit(KEY, SMALL, pretrained, genotypes, labels, settings=settings)
  assert "_train_networks" not in caplog.text
  with jax.log_compiles(), caplog.at_level(logging.WARNING):
    predictor.cross_validate(
      KEY, SMALL, pretrained, genotypes, labels, settings=settings
    )
  # Checking it shares the program, too.
  assert "_train_networks" not in caplog.text


def test_units_of_the_labels_do_not_matter(pretrained, trials, model):
  genotypes, labels = trials
  share = predictor.fit(KEY, SMALL, pretrained, genotypes, labels / 100.0)
  percent = predictor.predict(model, genotypes)
  parts = predictor.predict(share, genotypes)
  np.testing.assert_allclose(parts.score * 100.0, percent.score, rtol=2e-3)
  equal = predictor.fit(KEY, SMALL, pretrained, genotypes[:8], np.full(8, 0.5))
  np.testing.assert_allclose(predictor.predict(equal, genotypes).score, 0.5)


def test_cross_validation_is_honest(pretrained, trials):
  genotypes, labels = trials
  labels = labels.copy()
  labels[5] = np.nan
  found = predictor.cross_validate(KEY, SMALL, pretrained, genotypes, labels)
  assert np.isnan(found.predicted).tolist() == np.isnan(labels).tolist()
  assert found.spearman > 0.9
  known = np.isfinite(labels)
  rmse = np.sqrt(np.mean((found.predicted - labels)[known] ** 2))
  np.testing.assert_allclose(found.rmse, rmse)
  # Noise can be fitted but not predicted, unless labels leak.
  noise = np.random.default_rng(0).normal(size=64)
  noisy = predictor.cross_validate(KEY, SMALL, pretrained, genotypes, noise)
  assert abs(noisy.spearman) < 0.4
  fitted = predictor.fit(KEY, SMALL, pretrained, genotypes, noise)
  seen = predictor.predict(fitted, genotypes).score
  assert np.corrcoef(seen, noise)[0, 1] > 0.6
  with pytest.raises(ValueError, match=r"folds is 9.*2 to 8"):
    predictor.cross_validate(
      KEY, SMALL, pretrained, genotypes[:8], noise[:8], folds=9
    )


def test_a_search_for_recipes_alone(trials):
  space = recipe_only()
  genotypes = space.sample(jax.random.key(0), 48)
  labels = np.asarray(space.encode(genotypes)[:, 0])
  model = predictor.fit(KEY, space, None, genotypes, labels)
  found = predictor.predict(model, genotypes).score
  assert np.corrcoef(found, labels)[0, 1] > 0.9


def test_wrong_arguments(pretrained, trials):
  genotypes, labels = trials
  with pytest.raises(ValueError, match="1 finite labels"):
    bad = np.full(64, np.nan)
    bad[0] = 1.0
    predictor.fit(KEY, SMALL, pretrained, genotypes, bad)
  with pytest.raises(ValueError, match=r"labels \(63,\)"):
    predictor.fit(KEY, SMALL, pretrained, genotypes, labels[1:])


def test_the_encoder_is_inherited(trials, pretrained):
  still = predictor.fit(
    KEY,
    SMALL,
    pretrained,
    *trials,
    settings=HeadSettings(epochs=2, full_rate=0.0),
  )
  assert isinstance(pretrained, PretrainedEncoder)
  for part, wanted in pretrained.encoder.items():
    for m in range(4):
      np.testing.assert_array_equal(still.params["encoder"][part][m], wanted)
