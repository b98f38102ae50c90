"""The job `autobuild` at its smallest, to its report."""

import csv
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.jobs.autobuild import search as autobuild_search
from fbnax.jobs.autobuild.result import AutobuildResult
from fbnax.jobs.runtime.shell import run_job
from fbnax.report.reading import read_as
from fbnax.search.autobuild import additive, modules

ROOT = pathlib.Path(__file__).parents[2]
SPACE = spaces.get("mnasnet").fix(**{"block5.layers": (1, 2, 3)})
FIX = "block5.layers=1,2,3"


def config_of(name, **changes):
  spec = importlib.util.spec_from_file_location(
    name, ROOT / "configs" / f"{name}.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  return config


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  """Networks whose accuracy and latencies are sums over their choices."""
  genotypes = np.unique(
    np.asarray(SPACE.sample(jax.random.key(0), 150)), axis=0
  )
  columns = np.asarray(additive.columns(SPACE, jnp.asarray(genotypes)))
  random = np.random.default_rng(0)
  weights = random.uniform(0, 1, columns.shape[1])
  labels = {
    "acc": 0.6 + 0.01 * columns @ weights,
    "phone": 3 + columns @ random.uniform(0, 1, columns.shape[1]),
    "board": 9 + columns @ random.uniform(0, 2, columns.shape[1]),
  }
  path = tmp_path_factory.mktemp("data") / "labels.csv"
  with open(path, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow([*(d.name for d in SPACE.decisions), *labels])
    for i, genotype in enumerate(genotypes):
      values = [
        d.values[c] for d, c in zip(SPACE.decisions, genotype, strict=True)
      ]
      writer.writerow([*values, *(f"{v[i]:.6f}" for v in labels.values())])
  return path


def autobuild_config(table, **changes):
  return config_of(
    "autobuild",
    **{
      "labels": str(table),
      "space": "mnasnet",
      "fix": FIX,
      "accuracy": "acc",
      "cost": "phone",
      "expressions": ("acc / phone",),
      "top": 2,
      "predictor.seeds": 1,
      "predictor.epochs": 4,
      "predictor.hidden": 4,
      "predictor.hops": 1,
      "search.seeds": 1,
      "search.first": 10,
      "search.children": 10,
      "search.rounds": 2,
    }
    | changes,
  )


def test_autobuild_to_the_report(table, tmp_path):
  config = autobuild_config(table)
  run_job(config, tmp_path)
  found = json.loads((tmp_path / "result.json").read_text())
  [row] = found["expressions"]
  assert len(row["hops"][0]) == 2
  # Seven stages of two modules each.
  assert len(row["constructed"]["points"]) == 2**7
  methods = [s["method"] for s in found["searches"]]
  assert methods == ["autobuild", "stage", "layer"]
  assert all(len(s["points"]) == 30 for s in found["searches"])
  for search in found["searches"]:
    assert len(search["genotypes"]) == 30
    points = [(-a, c) for a, c in search["points"]]
    # Each of the front is handed over as a network, and no other beats it.
    assert search["front"]
    for member in search["front"]:
      own = (-member["accuracy"], member["cost"])
      assert not any(
        p != own and p[0] <= own[0] and p[1] <= own[1] for p in points
      )
      place = points.index(own)
      assert search["genotypes"][place] == member["genotype"]
      network = spaces.Architecture.from_json(
        json.dumps(member["architecture"])
      )
      assert network == SPACE.architecture(np.asarray(member["genotype"]))
  assert {i["feature"] for i in row["importance"]} >= {"kernel", "expansion"}
  page = (tmp_path / "report.html").read_text()
  assert "acc / phone" in page and "chart-fronts" in page
  assert "chart-hops" in page and "modules0-best" in page
  result = read_as(tmp_path, AutobuildResult)
  assert result.expressions[0].best is not None
  # Started again it is done.
  before = (tmp_path / "result.json").read_bytes()
  run_job(config, tmp_path)
  assert (tmp_path / "result.json").read_bytes() == before


def test_networks_in_reach_are_counted_beyond_64_bits():
  space = spaces.get("proxylessnas").fix(resolution=[192, 224])
  scores = [np.zeros(len(s.modules)) for s in modules.stages(space)]
  reduced, stage, layer = autobuild_search.methods(space, [scores], 3)
  # 7,371 modules in four stages, 66,339 where the last one is merged in.
  assert stage.size == layer.size == float(7371**4 * 66339 * 2) > 2.0**64
  assert reduced.size == 3**5 * 2


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"labels": ""}, "config.labels is empty"),
    ({"cost": "watch"}, "config.cost is 'watch'; legal: columns"),
    ({"expressions": ("acc / watch",)}, "config.expressions: .*'watch'"),
    ({"expressions": ()}, "config.expressions is empty"),
    ({"region": 1e6}, "wanted phone is 1000000.0"),
    ({"held_out": 0.0}, "config.held_out is 0.0"),
    ({"top": 0}, "config.top is 0"),
    ({"predictor.learning_rate": 0.0}, "learning_rate is 0.0"),
    ({"space": "mnasnett"}, "no space 'mnasnett'"),
    ({"test_rows": "none.json"}, "config.test_rows"),
  ],
)
def test_wrong_configs(table, tmp_path, changes, words):
  with pytest.raises(ValueError, match=words):
    run_job(autobuild_config(table, **changes), tmp_path / "run")
  # The right config can have the work directory.
  assert not (tmp_path / "run" / "config.json").exists()
