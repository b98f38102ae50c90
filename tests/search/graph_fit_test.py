import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.ops import soft_spearman
from fbnax.search.autobuild import graph_files, graph_fit
from fbnax.search.autobuild.chains import encoding
from fbnax.search.nars.pretraining import correlations

SPACE = spaces.get("mobilenetv3")
FOUND = encoding(SPACE)
MODULE = GraphPredictor(FOUND.categories, FOUND.numbers, hidden=8, num_hops=2)
SETTINGS = graph_fit.GraphSettings(epochs=40, batch_size=32, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data():
  genotypes = SPACE.sample(jax.random.key(0), 200)
  chains = jax.jit(FOUND.encode)(genotypes)
  # Wide kernels are good.
  kernels = np.asarray(chains.features)[:, 13:16]
  labels = (kernels * np.arange(3)[:, None]).sum(axis=(1, 2))
  return chains, labels / np.asarray(chains.lengths) + 70


@pytest.fixture(scope="module")
def model(data):
  chains, labels = data
  train = jax.tree.map(lambda x: x[:160], chains)
  return graph_fit.fit(
    jax.random.split(jax.random.key(1), 2),
    MODULE,
    train,
    labels[:160],
    SETTINGS,
  )


def test_it_learns_to_predict_and_to_rank(model, data):
  chains, labels = data
  test = jax.tree.map(lambda x: x[160:], chains)
  found = graph_fit.evaluate(model, test)
  assert found.prediction.shape == (2, 40)
  assert found.norms.shape == (2, 3, 40)
  for seed in range(2):
    predicted = np.asarray(found.prediction[seed], np.float64)
    assert correlations(predicted, labels[160:])[1] > 0.8
    assert np.abs(predicted - labels[160:]).mean() < labels.std()
    for hop in np.asarray(found.norms[seed], np.float64):
      assert correlations(hop, labels[160:])[1] > 0.7
  # A chain's norm is the mean of its nodes'.
  nodes = np.asarray(found.nodes).sum(axis=2)
  np.testing.assert_allclose(
    found.norms, nodes / np.asarray(test.lengths), rtol=1e-5
  )


def test_one_seed_is_the_same_beside_others(model, data):
  chains, labels = data
  train = jax.tree.map(lambda x: x[:160], chains)
  alone = graph_fit.fit(
    jax.random.split(jax.random.key(1), 2)[1:],
    MODULE,
    train,
    labels[:160],
    SETTINGS,
  )
  for one, both in zip(
    jax.tree.leaves(alone.variables),
    jax.tree.leaves(model.variables),
    strict=True,
  ):
    np.testing.assert_allclose(one[0], both[1], rtol=1e-3, atol=1e-3)


def test_the_loss_is_equation_4(data, model):
  chains, labels = data
  features = chains.features[:32].transpose(1, 2, 0)
  mask = (jnp.arange(features.shape[1])[:, None] < chains.lengths[:32]).astype(
    jnp.float32
  )
  variables = jax.tree.map(lambda x: x[0], model.variables)
  embedded = MODULE.apply(variables, features, mask)
  targets = jnp.asarray((labels[:32] - labels.mean()) / labels.std())
  wanted = float(jnp.mean((embedded.prediction - targets) ** 2))
  terms = []
  for hop in embedded.hops:
    mean = hop.sum(axis=1) / mask.sum(axis=0)
    norm = jnp.abs(mean).sum(axis=0)
    terms.append(1 - float(soft_spearman(norm, targets)))
  found = graph_fit.loss(embedded, mask, targets, SETTINGS)
  np.testing.assert_allclose(found, wanted + np.mean(terms), rtol=1e-4)
  alone = graph_fit.loss(
    embedded, mask, targets, SETTINGS._replace(ranking=0.0)
  )
  np.testing.assert_allclose(alone, wanted, rtol=1e-5)


def test_fewer_labels_than_a_batch_and_equal_ones(data):
  chains, _ = data
  few = jax.tree.map(lambda x: x[:5], chains)
  found = graph_fit.fit(
    jax.random.split(jax.random.key(0), 1),
    MODULE,
    few,
    np.full(5, 0.7),
    SETTINGS._replace(epochs=2),
  )
  said = graph_fit.evaluate(found, few)
  assert float(found.deviation) == 0
  np.testing.assert_allclose(said.prediction, 0.7, rtol=1e-6)
  assert np.isfinite(np.asarray(said.norms)).all()


def test_wrong_labels(data):
  chains, labels = data
  keys = jax.random.split(jax.random.key(0), 1)
  with pytest.raises(ValueError, match="one for each"):
    graph_fit.fit(keys, MODULE, chains, labels[:3])
  labels = labels.copy()
  labels[7] = np.nan
  with pytest.raises(ValueError, match=r"labels\[7\] is nan"):
    graph_fit.fit(keys, MODULE, chains, labels)


def test_saved_and_loaded(tmp_path, model, data):
  path = tmp_path / "predictor.npz"
  graph_files.save(path, model, {"expression": "acc"})
  again = graph_files.load(path, {"expression": "acc"})
  test = jax.tree.map(lambda x: x[:5], data[0])
  np.testing.assert_array_equal(
    graph_fit.evaluate(again, test).prediction,
    graph_fit.evaluate(model, test).prediction,
  )
  with pytest.raises(ValueError, match="was fitted to"):
    graph_files.load(path, {"expression": "latency"})


@pytest.mark.parametrize(
  ("module", "words"),
  [
    ({"hidden": "8"}, "module.hidden is '8'; legal: a whole number"),
    ({"hidden": 10**9}, "module.hidden is 1000000000; legal: .* to 65,536"),
    ({"num_hops": -1}, "module.num_hops is -1; legal"),
    ({"categories": [2, 0]}, r"module.categories\[1\] is 0; legal"),
    ({"hidden": 9}, "has the shape"),
  ],
)
def test_a_file_that_was_altered(module, words, tmp_path):
  path = tmp_path / "predictor.npz"
  network = GraphPredictor((2, 3), 1, hidden=8, num_hops=2)
  shapes = jax.eval_shape(
    network.init, jax.random.key(0), np.zeros((6, 2, 2)), np.ones((2, 2))
  )
  zeros = jax.tree.map(lambda x: np.zeros((1, *x.shape), x.dtype), shapes)
  model = graph_fit.FittedGraph(zeros, np.float32(0), np.float32(1), network)
  graph_files.save(path, model, {})
  assert graph_files.load(path, {}).module == network
  with np.load(path) as file:
    arrays = {name: file[name] for name in file}
  metadata = json.loads(str(arrays["metadata"]))
  metadata["module"] |= module
  arrays["metadata"] = np.asarray(json.dumps(metadata))
  np.savez(path, **arrays)
  with pytest.raises(ValueError, match=words) as told:
    graph_files.load(path, {})
  assert str(path) in str(told.value)
