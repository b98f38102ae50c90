"""The job `ground_truth` on a made-up table, stopped and gone on with."""

import importlib.util
import json
import pathlib

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.jobs.ground_truth import job as ground_truth
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.shell import run_job
from fbnax.search.benchmarks import tables
from fbnax.search.dnas.state import SearchPlan

ROOT = pathlib.Path(__file__).parents[2]
SPACE = spaces.get("nasbench201")


class Linear(nn.Module):
  """In place of the cells' supernet: the third operation is of use."""

  network: object
  num_classes: int

  @nn.compact
  def __call__(self, images, weights, *, train):
    """Logits."""
    gain = sum(w[2] for w in weights)
    x = images.reshape(len(images), -1) * gain
    return nn.Dense(self.num_classes)(x)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  """All cells; more 3x3 convolutions are better."""
  path = tmp_path_factory.mktemp("tables") / "cells.npz"
  genotypes = np.indices((5,) * 6).reshape(6, -1).T.astype(np.int32)
  test = 0.1 + 0.15 * (genotypes == 2).sum(1)
  tables.save(path, SPACE, genotypes, test, test)
  return path


def make_config(table, **changes):
  """Two epochs on digits."""
  path = ROOT / "configs" / "ground_truth.py"
  spec = importlib.util.spec_from_file_location("ground_truth", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  config.update_from_flattened_dict(
    {
      "table": str(table),
      "seeds": 2,
      "data.name": "digits",
      "data.max_images": 200,
      "network.resolution": 8,
      "network.channels": 4,
      "search.epochs": 3,
      "search.frozen_epochs": 1,
      "search.samples": 3,
      "search.tolerance": 0.3,
      "search.batch_size": 32,
    }
    | changes
  )
  return config


@pytest.fixture(scope="module")
def result(table, tmp_path_factory):
  """Of a run that was stopped after its first search."""
  folder = tmp_path_factory.mktemp("work") / "run"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(ground_truth, "CellSupernet", Linear)
    search, done = ground_truth._search, []

    def stop(*arguments):
      if done:
        raise KeyboardInterrupt
      done.append(search(*arguments))
      return done[0]

    with pytest.MonkeyPatch.context() as inner:
      inner.setattr(ground_truth, "_search", stop)
      with pytest.raises(KeyboardInterrupt):
        run_job(make_config(table), str(folder))
    first = (folder / "searches" / "safe-0.json").read_bytes()
    run_job(make_config(table), str(folder))
    assert (folder / "searches" / "safe-0.json").read_bytes() == first
  assert 'id="seeds"' in (folder / "report.html").read_text()
  return json.loads((folder / "result.json").read_text())


def test_every_variant_has_every_seed_and_is_scored_by_the_table(result):
  found = result["searches"]
  assert [(s["method"], s["seed"]) for s in found] == [
    ("safe", 0),
    ("safe", 1),
    ("bare", 0),
    ("bare", 1),
  ]
  for search in found:
    threes = search["genotype"].count(2)
    assert search["test_accuracy"] == pytest.approx(0.1 + 0.15 * threes)
    assert search["cell"].count("nor_conv_3x3") == threes
  assert result["best_test_accuracy"] == pytest.approx(1.0)
  assert [row["method"] for row in result["summary"]] == ["safe", "bare"]


def test_the_cost_is_sought_where_it_is_a_safeguard(result):
  """Within the tolerance of half of what the largest cell costs."""
  for search in result["searches"]:
    sought = search["method"] == "safe"
    assert (search["target"] > 0) == sought
    if sought:
      assert abs(search["cost"] / search["target"] - 1) <= 0.3


def test_the_target_is_a_share_of_the_largest_cell(table):
  config = configs.typed(make_config(table))
  dataset = ground_truth.inputs.dataset(config)
  space = ground_truth.small_space(config.network, SPACE, dataset.channels)
  assert space.table.channels == 4 and space.table.resolution == 8
  problem, weights, theta = ground_truth.task(config, "safe", dataset, space, 0)
  largest = costs.count(space.architecture(np.full(6, 2)), 10).macs
  assert problem.penalty.reference == largest / 2
  assert len(weights.labels) == len(theta.labels) == 100
  assert not problem.looped


def test_variants_are_legal_plans():
  """Each takes away what its name says, and nothing else."""
  whole = SearchPlan(relaxation="gumbel", frozen_epochs=5, epochs=20)
  for changes in ground_truth.VARIANTS.values():
    known = {k: v for k, v in changes.items() if hasattr(whole, k)}
    SearchPlan(**({"epochs": 20, "frozen_epochs": 5} | known))
  bare = ground_truth.VARIANTS["bare"]
  single = [
    ground_truth.VARIANTS[name]
    for name in ("no_noise", "no_warmup", "no_cost", "no_draws")
  ]
  assert bare == {k: v for changes in single for k, v in changes.items()}


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"variants": ("safe", "sane")}, r"config.variants has \['sane'\]; legal"),
    ({"variants": ()}, "config.variants has None"),
    ({"seeds": 0}, "config.seeds is 0; legal: at least 1"),
    ({"search.target_share": 0.0}, "search.target_share is 0.0; legal: above"),
    ({"network.resolution": 10}, "resolution is 10; legal: a multiple of 4"),
    ({"network.cells": 0}, "cells is 0; legal: an integer from 1"),
  ],
)
def test_bad_input_is_refused(table, tmp_path, changes, message):
  with pytest.raises(ValueError, match=message):
    run_job(make_config(table, **changes), str(tmp_path / "run"))


def test_the_table_of_another_space_is_refused(tmp_path):
  space = spaces.get("mnasnet")
  path = tmp_path / "other.npz"
  tables.save(path, space, np.asarray(space.sobol(4)), jnp.ones(4) / 2)
  with pytest.raises(ValueError, match="'mnasnet'; legal: a table of"):
    run_job(make_config(path), str(tmp_path / "run"))
