import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models.graph_predictor import (
  GraphPredictor,
  chain_norms,
  node_norms,
)

CATEGORIES, NUMBERS = (3, 4), 1
COLUMNS = sum(CATEGORIES) + NUMBERS


def some_chains(lengths, nodes, seed=0):
  """One-hot columns and numbers of random chains."""
  random = np.random.default_rng(seed)
  count = len(lengths)
  features = np.zeros((COLUMNS, nodes, count), np.float32)
  mask = (np.arange(nodes)[:, None] < np.asarray(lengths)).astype(np.float32)
  start = 0
  for options in CATEGORIES:
    chosen = random.integers(options, size=(nodes, count))
    features[start : start + options] = np.eye(options)[chosen].transpose(
      2, 0, 1
    )
    start += options
  features[-1] = random.normal(size=(nodes, count))
  return features * mask, mask


@pytest.fixture(scope="module")
def module():
  return GraphPredictor(CATEGORIES, NUMBERS, hidden=5, num_hops=3)


@pytest.fixture(scope="module")
def variables(module):
  features, mask = some_chains([4, 2, 3], 4)
  found = module.init(jax.random.key(1), features, mask)
  # BN as after training, and offsets that are not zero.
  random = np.random.default_rng(3)
  return jax.tree.map(
    lambda x: x + jnp.asarray(random.uniform(0, 0.3, x.shape), x.dtype), found
  )


def by_hand(variables, features, mask):
  """The same network for one chain after the other, in NumPy."""
  params = jax.tree.map(np.float64, variables["params"])
  stats = jax.tree.map(np.float64, variables["batch_stats"])
  predictions, embeddings = [], []
  for b in range(mask.shape[1]):
    length = int(mask[:, b].sum())
    columns = np.float64(features[:, :length, b]).T
    scalars, start = [], 0
    own = params["features"]
    for i, options in enumerate(CATEGORIES):
      code = columns[:, start : start + options].argmax(axis=1)
      embedded = own[f"table{i}"][code]
      scalars.append(embedded @ own[f"map{i}"][:-1] + own[f"map{i}"][-1])
      start += options
    inner = columns[:, -1:] * own["number0"][0] + own["number0"][1]
    scalars.append(inner @ own["number_map0"][:-1] + own["number_map0"][-1])
    nodes = np.abs(np.stack(scalars, axis=1))
    hops = [nodes]
    for hop in range(3):
      pick = (lambda x: x) if hop == 0 else (lambda x, h=hop: x[h - 1])
      p = {
        k: pick(v) for k, v in params["first" if hop == 0 else "rest"].items()
      }
      s = {
        k: pick(v) for k, v in stats["first" if hop == 0 else "rest"].items()
      }
      width = len(p["attention"])
      sources = nodes @ p["weights"][:width].T
      targets = nodes @ p["weights"][width:].T + p["offset"]
      found = np.zeros_like(sources)
      for i in range(length):
        near = [i] if i == 0 else [i - 1, i]
        pairs = np.stack([sources[j] + targets[i] for j in near])
        scores = np.where(pairs > 0, pairs, 0.2 * pairs) @ p["attention"]
        shares = np.exp(scores) / np.exp(scores).sum()
        found[i] = sum(
          w * sources[j] for w, j in zip(shares, near, strict=True)
        )
      normal = (found - s["mean"]) / np.sqrt(s["variance"] + 1e-5)
      after = np.maximum(normal * p["scale"] + p["bias"], 0)
      nodes = after + nodes if hop else after
      hops.append(nodes)
    row = nodes.mean(axis=0)
    for i in range(4):
      layer = params[f"dense_{i}"]
      row = layer["weights"] @ row + layer["bias"]
      row = np.maximum(row, 0) if i in (1, 3) else row
    label = params["label"]
    predictions.append((label["weights"] @ row + label["bias"])[0])
    embeddings.append(hops)
  return np.asarray(predictions), embeddings


def test_it_is_the_network_of_the_paper(module, variables):
  lengths = [4, 1, 3, 2, 4]
  features, mask = some_chains(lengths, 4, seed=5)
  found = module.apply(variables, features, mask)
  predictions, embeddings = by_hand(variables, features, mask)
  np.testing.assert_allclose(found.prediction, predictions, atol=1e-5)
  nodes, norms = node_norms(found), chain_norms(found, mask)
  for b, (length, hops) in enumerate(zip(lengths, embeddings, strict=True)):
    for h, wanted in enumerate(hops):
      np.testing.assert_allclose(
        found.hops[h][:, :length, b], wanted.T, atol=1e-5
      )
      np.testing.assert_allclose(
        nodes[h, :length, b], np.abs(wanted).sum(axis=1), atol=1e-4
      )
      # The L1 norm of the mean embedding, which is what is ranked.
      np.testing.assert_allclose(
        norms[h, b], np.abs(wanted.mean(axis=0)).sum(), atol=1e-4
      )


def test_padding_changes_nothing(module, variables):
  lengths = [3, 2]
  features, mask = some_chains(lengths, 3)
  wide = np.pad(features, ((0, 0), (0, 4), (0, 0)))
  wide_mask = np.pad(mask, ((0, 4), (0, 0)))
  for train in (False, True):
    found, _ = module.apply(
      variables, features, mask, train, mutable=["batch_stats"]
    )
    padded, _ = module.apply(
      variables, wide, wide_mask, train, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(found.prediction, padded.prediction, atol=1e-5)
    assert all((np.asarray(hop)[:, 3:] == 0).all() for hop in padded.hops)


def test_statistics_are_those_of_the_last_batch(module, variables):
  features, mask = some_chains([4, 2, 3, 1, 4], 4, seed=8)
  trained, updates = module.apply(
    variables, features, mask, True, mutable=["batch_stats"]
  )
  after = module.apply({**variables, **updates}, features, mask)
  np.testing.assert_allclose(after.prediction, trained.prediction, atol=1e-4)


def test_a_node_hears_of_as_many_before_it_as_there_are_hops(module, variables):
  features, mask = some_chains([4], 4, seed=2)
  changed = features.copy()
  changed[-1, 0] += 1.0
  found = module.apply(variables, features, mask)
  other = module.apply(variables, changed, mask)
  for h, (hop, moved) in enumerate(zip(found.hops, other.hops, strict=True)):
    differs = (np.asarray(hop) != np.asarray(moved)).any(axis=0)[:, 0]
    assert differs[0]
    assert not differs[h + 1 :].any()


def test_without_hops_only_features_are_left():
  module = GraphPredictor(CATEGORIES, NUMBERS, num_hops=0)
  features, mask = some_chains([2, 1], 2)
  variables = module.init(jax.random.key(0), features, mask)
  found = module.apply(variables, features, mask)
  assert len(found.hops) == 1
  assert found.prediction.shape == (2,)
