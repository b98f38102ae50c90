"""The ensemble of few labels, and the program for U-Nets, on synthetic labels.

Nobody has published labels of U-Nets: here more channels and attention are
good, which says nothing of real ones.
"""

import csv
import json

import jax
import numpy as np
import pytest

from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild import (
  ensemble,
  graph_fit,
  modules,
  unet_chains,
  unet_construction,
  unet_ranking,
)
from fbnax.search.nars.pretraining import correlations
from fbnax.spaces import unet

SPACE = unet.space().fix(
  **{f"input{i}.residuals": 1 for i in (1, 2, 3, 4)},
  **{f"output{i}.residuals": 2 for i in (1, 2, 3)},
)
COUNT, HOPS = 40, 1  # Fewer hops than modules have blocks, for speed.
# Predictors start at a regression, which is all that is needed here; the slow
# test trains.
SETTINGS = ensemble.SETTINGS._replace(epochs=0)


def fid_of(network):
  channels = np.mean([n.channels for n in network.nodes])
  attention = np.mean([n.operation == "attention" for n in network.nodes])
  return 30 - channels / 64 - 10 * attention


def networks(space=SPACE, count=COUNT):
  draw = np.random.default_rng(0)
  drawn = draw.integers(0, space.choices, (2 * count, len(space.choices)))
  genotypes = draw.permutation(np.unique(drawn, axis=0))[:count]
  fid = [fid_of(network) for network in map(space.architecture, genotypes)]
  # No two labels are alike.
  return genotypes, np.asarray(fid) + draw.normal(scale=1e-3, size=len(fid))


def write_csv(path, space, genotypes, fid):
  with open(path, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow([*(d.name for d in space.decisions), "fid"])
    for genotype, value in zip(genotypes, fid, strict=True):
      chosen = zip(space.decisions, genotype, strict=True)
      writer.writerow([*(d.values[i] for d, i in chosen), value])


@pytest.fixture(scope="module")
def fitted():
  """An ensemble of two folds and two shuffles, and what each learned from."""
  genotypes, fid = networks()
  blocks = [SPACE.architecture(genotype).nodes for genotype in genotypes]
  chains = unet_chains.of_nodes(SPACE, blocks)
  found = unet_chains.encoding(SPACE)
  module = GraphPredictor(
    found.categories, found.numbers, hidden=4, num_hops=HOPS
  )
  seen, fit = [], graph_fit.fit

  def recorded(keys, module, chains, labels, settings):
    seen.append(labels)
    return fit(keys, module, chains, labels, settings)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(graph_fit, "fit", recorded)
    model = ensemble.fit(
      jax.random.key(0),
      module,
      chains,
      -fid,
      folds=2,
      shuffles=2,
      settings=SETTINGS,
    )
  return model, seen, chains, -fid


def test_each_label_is_held_out_once_in_a_shuffle(fitted):
  model, seen, _, labels = fitted
  assert len(model.models) == len(seen) == 4
  for first, second in (seen[:2], seen[2:]):
    both = sorted([*first, *second])
    np.testing.assert_allclose(both, sorted(labels))
  assert not np.array_equal(seen[0], seen[2])


def test_predictors_are_judged_by_what_they_had_not_seen(fitted):
  model, seen, chains, labels = fitted
  assert model.by_hop.shape == (4, HOPS + 1)
  held_out = np.flatnonzero(~np.isin(labels, seen[3]))
  assert len(held_out) == COUNT // 2
  own = jax.tree.map(lambda x: x[held_out], chains)
  found = graph_fit.evaluate(model.models[3], own)
  for hop, norms in enumerate(np.asarray(found.norms[0])):
    wanted = correlations(norms, labels[held_out])[1]
    assert model.by_hop[3, hop] == pytest.approx(wanted, abs=1e-6)
  wanted = correlations(found.prediction[0], labels[held_out])[1]
  assert model.by_prediction[3] == pytest.approx(wanted, abs=1e-3)
  assert model.by_hop[:, 0].min() > 0.8  # It has learned something.


def test_predictions_and_modules_are_weighted_means(fitted):
  model, _, chains, _ = fitted
  chains = jax.tree.map(lambda x: x[: COUNT // 2], chains)
  weights = ensemble.shares(model.by_prediction)
  each = [graph_fit.evaluate(m, chains).prediction[0] for m in model.models]
  np.testing.assert_allclose(
    ensemble.predict(model, chains), weights @ np.asarray(each), rtol=1e-4
  )
  scores = unet_construction.module_scores(model, SPACE)
  parts = unet_chains.stages(SPACE)
  nodes = [n for part in parts for n in part.modules]
  of_nodes = unet_chains.of_nodes(SPACE, nodes)
  norms = [np.asarray(modules.last_norms(m, of_nodes)[0]) for m in model.models]
  lengths = np.asarray([len(n) for n in nodes])
  together = np.concatenate(scores)
  for length in (1, 2, 3):
    # Modules that are longer than the last hop are of one group.
    rows = np.minimum(lengths, HOPS + 1) == min(length, HOPS + 1)
    if not rows.any():
      continue
    total = 0.0
    of_hop = model.by_hop[:, min(length - 1, HOPS)]
    for norm, weight in zip(norms, np.maximum(of_hop, 0), strict=True):
      own = norm[rows].astype(np.float64)
      total = total + weight * (own - own.mean()) / own.std()
    total = (total - total.mean()) / total.std()
    np.testing.assert_allclose(together[rows], total, atol=1e-3)
  # More channels were better: of each size the widest are.
  wide = {n[0].channels for n, s in zip(nodes, together, strict=True) if s > 1}
  assert min(wide) > 256


def test_shares():
  np.testing.assert_allclose(
    ensemble.shares(np.asarray([0.6, -0.5, 0.2])), [0.75, 0.0, 0.25]
  )
  np.testing.assert_allclose(ensemble.shares(np.asarray([-1.0, 0.0])), 0.5)


def test_the_exhaustive_search_looks_at_all(fitted, monkeypatch):
  model, *_ = fitted
  monkeypatch.setattr(ensemble, "CHUNK", 500)
  small = SPACE.fix(channels=256, multipliers=["1-2-3-4", "1-3-4-4"])
  asked = []

  def predict(given, chains):
    assert given is model
    asked.append(len(chains.lengths))
    return np.asarray(chains.features.sum(axis=(1, 2)), np.float64)

  monkeypatch.setattr(ensemble, "predict", predict)
  found = unet_construction.exhaustive(small, model, networks=2)
  assert asked == [small.size]
  lengths = sorted(
    len(small.architecture(g).nodes)
    for g in np.indices(small.choices).reshape(len(small.choices), -1).T
  )
  assert (found.scores / 4).tolist() == lengths[-1:-3:-1]


def test_the_program(fitted, tmp_path, monkeypatch, capsys):
  """A CSV in, ranked networks out; the predictors are those of above."""
  model, *_ = fitted
  genotypes, fid = networks()
  write_csv(tmp_path / "labels.csv", SPACE, genotypes, fid)
  given = []

  def fit(key, module, chains, labels, **options):
    given.append(options["settings"].ranking)
    np.testing.assert_allclose(labels, -fid)
    options["on_fit"](1, 2)
    options["on_fit"](2, 2)
    return model

  monkeypatch.setattr(ensemble, "fit", fit)
  monkeypatch.setattr(unet, "space", lambda: SPACE)
  monkeypatch.setattr(
    ensemble, "predict", lambda _, chains: np.asarray(chains.lengths, float)
  )
  arguments = [str(tmp_path / "labels.csv"), str(tmp_path / "ranked.json")]
  options = ["--label=-fid", "--hidden=4", "--exhaustive"]
  assert unet_ranking.main(arguments + options) == 0
  assert given == [1.0, 0.0]
  assert "predictors: 1 of 2" in capsys.readouterr().out
  found = json.loads((tmp_path / "ranked.json").read_text("utf-8"))
  assert found["networks"] == COUNT
  for name in ("constrained", "unconstrained", "exhaustive"):
    assert len(found[name]) == 4
    for network in found[name]:
      text = json.dumps(network["architecture"])
      own = SPACE.genotype(unet.UNet.from_json(text))
      assert own.tolist() == network["genotype"]
  # What is put together is wider than most of what was labelled.
  best = found["constrained"][0]["architecture"]
  assert best["channels"] == 256
  assert found["modules"]["input4"][0]["channels"] == 1024
  assert unet_ranking.main([*arguments, "--label=-kid"]) == 2
  assert "no column" in capsys.readouterr().err


def test_wrong_labels(fitted):
  _, _, chains, labels = fitted
  module = GraphPredictor((2,), 0)
  with pytest.raises(ValueError, match="folds is 1"):
    ensemble.fit(jax.random.key(0), module, chains, labels, folds=1)
  with pytest.raises(ValueError, match="at least 60 for 30 folds"):
    ensemble.fit(jax.random.key(0), module, chains, labels, folds=30)


@pytest.mark.slow
def test_networks_are_better_than_most_that_were_labelled(tmp_path):
  """All of it, six hops in the whole space: pytest -m slow, 60 CPU-seconds.

  Most, not all: scores compare modules with those of their own size, and do not
  say that longer ones, with attention, are better.
  """
  space = unet.space()
  genotypes, fid = networks(space, 68)
  write_csv(tmp_path / "labels.csv", space, genotypes, fid)
  arguments = [str(tmp_path / "labels.csv"), str(tmp_path / "ranked.json")]
  options = ["--label=-fid", "--epochs=200", "--shuffles=1"]
  assert unet_ranking.main(arguments + options) == 0
  found = json.loads((tmp_path / "ranked.json").read_text("utf-8"))
  assert found["hops"][0] > 0.8
  for name in ("constrained", "unconstrained"):
    texts = [json.dumps(n["architecture"]) for n in found[name]]
    built = [fid_of(unet.UNet.from_json(text)) for text in texts]
    assert max(built) < np.quantile(fid, 0.1)
