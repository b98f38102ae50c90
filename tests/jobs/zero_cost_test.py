"""The job `zero_cost` on digits: cells with a table, blocks without one."""

import dataclasses
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fbnax import costs, models, proxies, spaces
from fbnax.jobs.runtime.shell import run_job
from fbnax.jobs.zero_cost import job as zero_cost
from fbnax.jobs.zero_cost import networks as zero_cost_networks
from fbnax.jobs.zero_cost import summary as zero_cost_summary
from fbnax.search.benchmarks import tables

ROOT = pathlib.Path(__file__).parents[2]
COUNT = 24


def make_config(preset="digits", **changes):
  path = ROOT / "configs" / "zero_cost.py"
  spec = importlib.util.spec_from_file_location("zero_cost_config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(preset)
  config.update(changes)
  return config.lock()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  """Accuracies that grow with the parameters."""
  path = tmp_path_factory.mktemp("tables") / "cells.npz"
  space = spaces.get("nasbench201")
  genotypes = np.unique(np.asarray(space.sample(jax.random.key(3), 60)), axis=0)
  sizes = [costs.count(space.architecture(g), 10).params for g in genotypes]
  accuracies = 0.1 + 0.8 * stats.rankdata(sizes) / len(sizes)
  tables.save(path, space, genotypes, accuracies)
  return path


def cells(table, **changes):
  return make_config(
    "nasbench201",
    **{
      "table": str(table),
      "sample": COUNT,
      "batch_size": 12,
      "chunk": 5,
      "bootstrap": 50,
      "best": 0.5,
      "proxies": ("grad_norm", "synflow"),
      "cells": {"channels": 4, "per_stage": 2},
      "data": {"name": "digits", "max_images": 200},
      **changes,
    },
  )


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
  config = cells(table)
  workdir = tmp_path_factory.mktemp("work") / "scores"
  run_job(config, str(workdir))
  return config, workdir


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


def test_scores_are_those_of_the_cells_own_networks(finished):
  config, workdir = finished
  result = _result(workdir)
  assert (result["schema_version"], result["job"]) == (1, "zero_cost")
  dataset = zero_cost.inputs.dataset(config)
  found = zero_cost_networks.networks(config, dataset)
  images, labels = zero_cost_networks.batch(config, dataset, found.resolution)
  key, init_key = jax.random.split(jax.random.key(config.seed))
  variables = zero_cost_networks.initial(found, 1)(init_key)
  for row in result["networks"][:2]:
    network = found.space.architecture(row["genotype"])
    counted = costs.count(network, 10)
    assert row["scores"]["params"] == counted.params
    assert row["scores"]["macs"] == counted.macs
    own = proxies.score(
      ("grad_norm", "synflow"),
      models.CellNet(network, 10, affine=False, biased=True),
      models.extract_cell(network, variables),
      images,
      labels,
      key,
    )
    for name, value in own.items():
      assert row["scores"][name] == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_correlations_are_those_of_scipy(finished, table):
  result = _result(finished[1])
  networks = result["networks"]
  accuracies = np.asarray([n["accuracy"] for n in networks])
  wanted = tables.test_accuracy(
    table, np.asarray([n["genotype"] for n in networks])
  )
  np.testing.assert_array_equal(accuracies, wanted)
  rows = {row["name"]: row for row in result["summary"]["proxies"]}
  assert rows["params"]["spearman"] == pytest.approx(1.0)
  top = accuracies >= np.median(accuracies)
  for name in ("grad_norm", "synflow"):
    values = np.asarray([n["scores"][name] for n in networks])
    row = rows[name]
    assert row["spearman"] == pytest.approx(
      stats.spearmanr(values, accuracies).statistic
    )
    assert row["best"] == pytest.approx(
      stats.spearmanr(values[top], accuracies[top]).statistic
    )
    assert row["low"] <= row["spearman"] <= row["high"]
  assert rows["mean rank of all proxies"]["combination"]
  names = result["summary"]["names"]
  matrix = np.asarray(result["summary"]["matrix"])
  assert matrix.shape == (4, 4)
  assert matrix[names.index("grad_norm"), names.index("synflow")] == (
    pytest.approx(
      stats.spearmanr(
        *zip(
          *[
            (n["scores"]["grad_norm"], n["scores"]["synflow"]) for n in networks
          ],
          strict=True,
        )
      ).statistic
    )
  )


def test_the_report_shows_it(finished):
  page = (finished[1] / "report.html").read_text()
  assert "Zero-cost scores of nasbench201" in page
  for chart in ("correlations", "scatters", "matrix"):
    assert f'id="chart-{chart}"' in page


def test_killed_and_started_again_the_bits_are_the_same(
  finished, table, tmp_path, monkeypatch, caplog
):
  """Stopped in the third chunk, and a line half written."""
  config, done = finished
  score = zero_cost.Scorer.__call__
  calls = []

  def stop(self, *arguments):
    calls.append(1)
    if len(calls) == 13:
      raise KeyboardInterrupt
    return score(self, *arguments)

  monkeypatch.setattr(zero_cost.Scorer, "__call__", stop)
  smaller = cells(table, sample=16)
  with pytest.raises(KeyboardInterrupt):
    run_job(smaller, str(tmp_path))
  path = tmp_path / zero_cost.SCORES
  assert len(path.read_text().splitlines()) == 10
  with path.open("a") as file:
    file.write("[0.12345, 0.")
  run_job(smaller, str(tmp_path))
  assert len(calls) == 13 + 6
  # What has ended goes on with a larger sample, and then does nothing.
  run_job(config, str(tmp_path))
  assert len(calls) == 13 + 6 + 8
  run_job(config, str(tmp_path))
  assert len(calls) == 13 + 6 + 8
  assert path.read_text() == (done / zero_cost.SCORES).read_text()
  ours, theirs = _result(tmp_path), _result(done)
  for name in ("networks", "summary"):
    assert ours[name] == theirs[name]
  # What is altered, cut, or there twice is scored again, and nothing else.
  lines = path.read_bytes().splitlines(True)
  values, *rest = json.loads(lines[0])
  lines[0] = json.dumps([[100 * values[0], *values[1:]], *rest]).encode()
  lines[0] += b"\n"
  lines[3] = b"[1.0]\n"
  lines[5] = b"\xff" + lines[5][1:]
  path.write_bytes(b"".join([*lines, lines[7]]))
  (tmp_path / "result.json").unlink()
  run_job(config, str(tmp_path))
  assert len(calls) == 13 + 6 + 8 + 3
  assert caplog.text.count("scores.jsonl: line ") == 1 + 4
  assert _result(tmp_path)["networks"] == theirs["networks"]


def test_blocks_without_a_table(tmp_path):
  config = make_config(
    sample=3,
    proxies=("synflow", "naswot"),
    batch_size=10,
    fix="resolution=8;stage3.depth=1;stage4.depth=1",
    data={"max_images": 200},
  )
  run_job(config, str(tmp_path))
  result = _result(tmp_path)
  genotypes = [n["genotype"] for n in result["networks"]]
  assert len(np.unique(genotypes, axis=0)) == 3
  assert all(row["spearman"] is None for row in result["summary"]["proxies"])
  page = (tmp_path / "report.html").read_text()
  assert "There is no table of accuracies" in page
  # Synflow sees through the masks, naswot scores the network itself: both are
  # scores of the network with its part of the weights.
  dataset = zero_cost.inputs.dataset(config)
  found = zero_cost_networks.networks(config, dataset)
  key, init_key = jax.random.split(jax.random.key(config.seed))
  variables = zero_cost_networks.initial(found, 1)(init_key)
  images, labels = zero_cost_networks.batch(config, dataset, 8)
  genotype = jnp.asarray(genotypes[0])
  own = proxies.score(
    config.proxies,
    models.Network(found.space.architecture(genotypes[0]), 10),
    models.extract(found.space, genotype, variables),
    images,
    labels,
    key,
  )
  for name, value in own.items():
    scored = result["networks"][0]["scores"][name]
    assert scored == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize(
  ("space", "count"),
  [
    ("small", 1),
    pytest.param("small", 20, marks=pytest.mark.slow),
    pytest.param("mnasnet", 20, marks=pytest.mark.slow),
    pytest.param("fbnetv2_f", 20, marks=pytest.mark.slow),
    pytest.param("proxylessnas", 20, marks=pytest.mark.slow),
  ],
)
def test_what_one_program_gives_is_that_of_the_network(space, count):
  """Of every proxy that claims to see through masks."""
  names = tuple(n for n, p in proxies.PROXIES.items() if p.of_mask)
  names = ("snip", "jacob_cov") if count == 1 else names
  config = make_config(
    space=space,
    sample=max(count, 2),
    proxies=names,
    batch_size=10,
    fix="resolution=8" if space == "small" else "",
    resolution=0 if space == "small" else 32,
    data={"max_images": 200},
  )
  dataset = zero_cost.inputs.dataset(config)
  found = zero_cost_networks.networks(config, dataset)
  key, init_key = jax.random.split(jax.random.key(config.seed))
  variables = zero_cost_networks.initial(found, 1)(init_key)
  images, labels = zero_cost_networks.batch(config, dataset, found.resolution)
  scorer = proxies.Scorer(names, found.network)
  for genotype in found.genotypes[:count]:
    choice = models.one_hot(found.space, jnp.asarray(genotype))
    masked = scorer(variables, images, labels, key, choice)
    module, own = zero_cost_networks.own(found, genotype, variables)
    alone = proxies.score(names, module, own, images, labels, key)
    for name in names:
      assert masked[name] == pytest.approx(alone[name], rel=1e-2), name


def test_networks_of_a_table_at_another_resolution(tmp_path):
  """The preset `mnasnet`, not compiled."""
  space = spaces.get("mnasnet")
  genotypes = np.unique(np.asarray(space.sample(jax.random.key(4), 20)), axis=0)
  table = tmp_path / "mnasnet.npz"
  tables.save(table, space, genotypes, np.linspace(0.5, 0.8, len(genotypes)))
  config = make_config(
    "mnasnet",
    table=str(table),
    sample=5,
    data={"name": "digits", "max_images": 200},
  )
  dataset = zero_cost.inputs.dataset(config)
  found = zero_cost_networks.networks(
    config,
    dataset,
  )
  assert found.resolution == 32
  assert {tuple(g) for g in found.genotypes} < {tuple(g) for g in genotypes}
  images, _ = zero_cost_networks.batch(config, dataset, found.resolution)
  assert images.shape == (32, 32, 32, 1)
  # The module is that of the smaller images.
  assert found.module.space.table.resolution == 32
  # Their MACs are those of the network that the table measured.
  counted = zero_cost_networks.counts(found, 10)["macs"]
  for genotype, macs in zip(found.genotypes, counted, strict=True):
    network = space.architecture(genotype)
    assert network.resolution == 224
    network = dataclasses.replace(network, input_channels=1)
    assert macs == costs.count(network, 10).macs
  names = tuple(config.proxies)
  assert zero_cost_networks.masked(found, names) == names


def test_combinations_are_those_whose_parts_are_there():
  random = np.random.default_rng(1)
  names = {*zero_cost_summary.SEVEN, "vkdnw_dim"}
  scores = {name: random.normal(size=20) for name in sorted(names)}
  found = zero_cost_summary.combinations(scores)
  assert "VKDNW without its entropy" in found and "VKDNW" not in found
  scores["vkdnw"] = random.normal(size=20)
  assert "VKDNW" in zero_cost_summary.combinations(scores)
  four = np.stack([scores[name] for name in zero_cost_summary.AZ_NAS], 1)
  by_hand = np.log(stats.rankdata(four, axis=0) / 20).sum(1)
  np.testing.assert_allclose(found["log rank of AZ-NAS"], by_hand)
  del scores["az_trainability"]
  kept = zero_cost_summary.combinations(scores)
  assert not any("AZ-NAS" in name or "VKDNW" in name for name in kept)


def test_within_groups_size_alone_knows_nothing():
  """Groups of ten networks of one size, told apart by one score alone."""
  random = np.random.default_rng(0)
  macs = np.repeat(np.arange(10.0), 10)
  luck = random.permutation(100) / 1000
  accuracies = macs + luck
  within = zero_cost_summary.within_groups
  assert within(macs, accuracies, macs) == 0.0
  assert within(luck, accuracies, macs) == pytest.approx(1.0)
  assert within(macs - luck, accuracies, macs) == pytest.approx(-1.0)
  assert within(luck[:99], accuracies[:99], macs[:99]) is None


def test_discounted_gain_by_hand():
  gains = np.asarray([0.2, 0.9, 0.5])
  log = np.log2([2, 3, 4])
  best = (np.asarray([0.9, 0.5, 0.2]) / log).sum()
  assert zero_cost_summary.ndcg(
    np.asarray([1.0, 3.0, 2.0]), gains
  ) == pytest.approx(1.0)
  found = zero_cost_summary.ndcg(np.asarray([5.0, -np.inf, 2.0]), gains)
  wanted = (np.asarray([0.2, 0.5, 0.9]) / log).sum() / best
  assert found == pytest.approx(wanted)


def test_the_best_have_an_order_only_if_they_are_some():
  random = np.random.default_rng(0)
  values = random.normal(size=40)
  scores = {"snip": values, "macs": random.normal(size=40)}
  summary = zero_cost_summary.summarize(
    scores, np.exp(values), best=0.1, draws=20, seed=0
  )
  snip, macs = summary.proxies[:2]
  assert snip.spearman == pytest.approx(1.0)
  assert snip.best is None
  assert macs.given_macs is None
  assert summary.best_networks == 4


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"proxies": ("snap",)}, r"config.proxies is \('snap',\); legal: .*snip"),
    ({"proxies": ("params",)}, "MACs and parameters are counted anyway"),
    ({"proxies": ()}, "config.proxies is"),
    ({"sample": 1}, "config.sample is 1; legal: 0 for all"),
    ({"sample": 0}, "config.sample is 0, space 'small' has"),
    ({"resolution": 4}, "config.resolution is 4; legal: 0, for the space's"),
    ({"resolution": -1}, "config.resolution is -1; legal: 0"),
    ({"resolution": 16}, "is 16; legal: 0, since space 'small' decides on it"),
    ({"fix": ""}, "has the resolutions .* legal: one, by config.fix="),
    ({"batch_size": 5}, "config.batch_size is 5; legal: 10 to"),
    ({"chunk": 0}, "config.chunk is 0; legal: at least 1"),
    (
      {"cells": {"channels": 0}},
      "config.cells.channels is 0; legal: at",
    ),
    ({"cells": {"per_stage": -1}}, "config.cells.per_stage is -1; legal: at"),
    ({"best": 0.0}, "config.best is 0.0; legal: above 0"),
    ({"space": "smal"}, "no space 'smal'"),
  ],
)
def test_bad_input_names_what_is_legal(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    run_job(make_config(**changes), str(tmp_path / "run"))
  assert not (tmp_path / "run" / "config.json").exists()


def test_a_table_of_another_space(table, tmp_path):
  with pytest.raises(ValueError, match="table is of space 'nasbench201'"):
    run_job(make_config(table=str(table)), str(tmp_path))
