import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.autobuild import additive
from fbnax.search.latency import learning as latency_learning
from fbnax.search.latency import starts as latency_starts
from fbnax.search.latency.learning import agreement, as_table, fit, learn
from tests.search.devices import make_measured

SPACE = spaces.get("fbnet_cifar")


@pytest.fixture(scope="module")
def data():
  """Two devices whose parts add up, the second of which is like the first."""
  genotypes = np.asarray(SPACE.sample(jax.random.key(0), 500))
  measured = make_measured(SPACE, genotypes)
  return genotypes, measured(0.0, 3.0), 2.5 * measured(0.1, 1.0)


def first_device(data):
  model = additive.fit(SPACE, data[0], data[1])
  return lambda wanted: np.asarray(model(jnp.asarray(wanted)), np.float64)


def test_other_devices_help_where_there_are_few_measurements(data):
  genotypes, _, latency = data
  key = jax.random.key(0)
  found = []
  for others in ({}, {"first": first_device(data)}):
    predict, shares = fit(
      key, "additive", SPACE, genotypes[:10], latency[:10], others
    )
    assert set(shares) <= {*latency_starts.COUNTED, *others}
    assert 0.5 < sum(shares.values()) < 1 + 1e-9
    found.append(agreement(predict(genotypes[100:]), latency[100:]))
  alone, warm = found
  assert warm.error < 0.03 < alone.error
  assert warm.spearman > 0.9 > alone.spearman


def test_the_best_kind_is_taken_and_becomes_a_table(data):
  genotypes, _, latency = data
  found = learn(
    jax.random.key(0),
    SPACE,
    genotypes[:400],
    latency[:400],
    kinds=("mlp", "additive"),
  )
  assert found.kind == "additive"
  assert set(found.errors) == {"mlp", "additive"}
  assert found.errors["additive"] < found.errors["mlp"]
  table = as_table(SPACE, found.predict, device="mine")
  told = np.asarray(table.batch(SPACE, genotypes[400:]), np.float64)
  assert agreement(told, latency[400:]).error < 0.01
  # What searches take: a cost under choice weights too.
  weights = [
    jax.nn.one_hot(g, c)
    for g, c in zip(genotypes[0], SPACE.choices, strict=True)
  ]
  np.testing.assert_allclose(
    table.expected(SPACE, weights), latency[0], rtol=0.02
  )


def test_errors_are_of_what_was_not_seen():
  splits = latency_learning._splits(10)
  assert sorted(np.concatenate([test for _, test in splits])) == list(range(10))
  for train, test in [*splits, *latency_learning._splits(1000)]:
    assert not set(train) & set(test)
  assert len(latency_learning._splits(1000)) == 1


@pytest.mark.parametrize(
  "change, words",
  [
    (lambda g, y: (g[:3], y[:3], ("additive",)), "n at least 4"),
    (lambda g, y: (g[:9], 0 * y[:9], ("additive",)), r"latency\[0\] is 0.0"),
    (lambda g, y: (g[:9], y[:9], ("tree",)), "kinds has .*'tree'"),
    (lambda g, y: (g[:9], y[:9], ()), "kinds has nothing"),
  ],
)
def test_what_cannot_be_learned(data, change, words):
  genotypes, latency, kinds = change(data[0], data[2])
  with pytest.raises(ValueError, match=words):
    learn(jax.random.key(0), SPACE, genotypes, latency, kinds=kinds)


@pytest.mark.slow
def test_the_graph_predictor_learns_what_a_start_leaves_over(data):
  # python -m pytest -n 0 -m slow tests/search/latency_learning_test.py
  genotypes, _, latency = data
  key, few = jax.random.key(0), slice(0, 200)
  known, _ = latency_starts.start(SPACE, genotypes[few], latency[few], {})
  predict, _ = fit(key, "graph", SPACE, genotypes[few], latency[few])
  alone = agreement(known(genotypes[200:]), latency[200:])
  found = agreement(predict(genotypes[200:]), latency[200:])
  # Times of parts are random here: it learns order, a table learns them.
  assert found.spearman > alone.spearman + 0.1
  table, _ = fit(key, "additive", SPACE, genotypes[few], latency[few])
  assert agreement(table(genotypes[200:]), latency[200:]).error < found.error
