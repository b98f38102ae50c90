"""The job `latency_predictor` at its smallest, to its report and its table."""

import csv
import json

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.jobs.latency_predictor import data as latency_predictor_data
from fbnax.jobs.latency_predictor import job as latency_predictor
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.shell import run_job
from fbnax.search.prices import Price, feasible
from tests.jobs.autobuild_test import config_of
from tests.search.devices import make_measured

SPACE = spaces.get("fbnet_cifar")


@pytest.fixture(scope="module")
def measurements(tmp_path_factory):
  """Three devices like each other, one with two batches, and accuracies."""
  genotypes = np.unique(
    np.asarray(SPACE.sample(jax.random.key(0), 150)), axis=0
  )
  measured = make_measured(SPACE, genotypes)
  columns = {
    "phone_1": measured(0.0, 3.0),
    "phone_32": 20 * measured(0.05, 1.0),
    "board/2": 2.5 * measured(0.1, 1.0),
    "acc": np.linspace(-1, 1, len(genotypes)),
  }
  path = tmp_path_factory.mktemp("data") / "labels.csv"
  with open(path, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow([*(d.name for d in SPACE.decisions), *columns])
    for i, genotype in enumerate(genotypes):
      values = [
        d.values[c] for d, c in zip(SPACE.decisions, genotype, strict=True)
      ]
      writer.writerow([*values, *(f"{v[i]:.6f}" for v in columns.values())])
  return path


def make_config(path, **changes):
  return config_of(
    "latency_predictor",
    **{
      "measurements": str(path),
      "space": "fbnet_cifar",
      "devices": ("board/2",),
      "not_devices": ("acc",),
      "counts": (10, 1000),
      "kinds": ("additive",),
    }
    | changes,
  )


def read_config(path, **changes):
  return configs.typed(make_config(path, **changes))


def test_stopped_and_started_again_to_a_table(
  measurements, tmp_path, monkeypatch
):
  config = make_config(measurements)
  real, places = latency_predictor._score, []

  def score(*arguments):
    places.append(arguments[-4:])
    if len(places) == 3:
      raise KeyboardInterrupt
    return real(*arguments)

  monkeypatch.setattr(latency_predictor, "_score", score)
  with pytest.raises(KeyboardInterrupt):
    run_job(config, tmp_path)
  assert not (tmp_path / "result.json").exists()
  run_job(config, tmp_path)
  # What was scored is not scored again; 120 networks are all that are left.
  assert [place[1:3] for place in places] == [
    ("scratch", 10),
    ("scratch", 120),
    ("warm", 10),
    ("warm", 10),
    ("warm", 120),
  ]
  found = json.loads((tmp_path / "result.json").read_text())
  assert found["held_out"] == 30
  by_place = {(s["start"], s["count"]): s for s in found["scores"]}
  few = {s: by_place[s, 10]["kinds"][0] for s in ("scratch", "warm")}
  assert few["warm"]["error"] < 0.5 * few["scratch"]["error"]
  assert {"phone_1", "phone_32"} & set(by_place["warm", 10]["shares"])
  page = (tmp_path / "report.html").read_text()
  assert "chart-error" in page and "chart-tables" in page
  # What a search names as its table: as good as it is said to be.
  [left] = found["tables"]
  assert left["file"] == "tables/board_2.json"
  table = costs.LatencyTable.load(tmp_path / left["file"])
  assert table.device == "board/2"
  price = Price(SPACE, 10, "latency", table)
  low, high = feasible(price)
  assert low < min(left["measured"]) < max(left["measured"]) < high
  errors = np.abs(np.divide(left["predicted"], left["measured"]) - 1)
  assert left["error"] == pytest.approx(np.median(errors))
  assert left["error"] < 0.01
  # A score and a table that were altered are made again, and nothing else.
  texts = {}
  for name in ("scores.jsonl", "checkpoints/board_2.scratch.json"):
    texts[tmp_path / name] = text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace("0.", "1.", 1))
  (tmp_path / "result.json").unlink()
  places.clear()
  run_job(config, tmp_path)
  assert [place[1:3] for place in places] == [("scratch", 10), ("scratch", 120)]
  again = json.loads((tmp_path / "result.json").read_text())
  assert again["scores"] == found["scores"]
  assert again["tables"] == found["tables"]
  for path, text in texts.items():
    assert sorted(path.read_text()) == sorted(text)


def test_batches_of_one_device_do_not_teach_each_other(measurements):
  config = read_config(measurements, devices=("phone_1", "board/2"))
  data = latency_predictor_data.read(config)
  known = latency_predictor_data.others(config, data)
  assert {d: set(o) for d, o in known.items()} == {
    "phone_1": {"board/2"},
    "board/2": {"phone_1", "phone_32"},
  }
  config = read_config(measurements, others=False, devices=())
  data = latency_predictor_data.read(config)
  assert data.devices == ("phone_1", "phone_32", "board/2")
  assert not any(latency_predictor_data.others(config, data).values())


def test_what_is_learned_from_is_not_judged_on(measurements):
  data = latency_predictor_data.read(read_config(measurements))
  few, test = data.split(3, 10)
  many, same = data.split(3, 120)
  assert set(few) < set(many) and not set(many) & set(test)
  np.testing.assert_array_equal(test, same)


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"measurements": ""}, "config.measurements is empty"),
    ({"devices": ("watch",)}, r"config.devices has \['watch'\]; legal: col"),
    ({"not_devices": ()}, "column 'acc' is -1.0 for network 0; legal: above 0"),
    ({"not_devices": ("acc", "board/2")}, "both have .*'board/2'"),
    ({"counts": (2,)}, "config.counts is"),
    ({"counts": ()}, "config.counts is"),
    ({"kinds": ("tree",)}, "config.kinds has .*'tree'"),
    ({"seeds": 0}, "config.seeds is 0"),
    ({"held_out": 0.0}, "config.held_out is 0.0"),
    ({"held_out": 0.99}, "config.held_out is 0.99"),
    ({"space": ""}, "the space is not given"),
    ({"space": "nasbench201"}, "is made of cells|no column"),
  ],
)
def test_wrong_configs(measurements, tmp_path, changes, words):
  with pytest.raises(ValueError, match=words):
    run_job(make_config(measurements, **changes), tmp_path / "run")
  assert {path.name for path in (tmp_path / "run").glob("*")} <= {"lock"}


def test_names_of_files():
  name = latency_predictor_data.file_name
  assert name("1080ti_64") == "1080ti_64"
  assert name("../my phone") == "_my_phone"
  assert name("..") == "_"
