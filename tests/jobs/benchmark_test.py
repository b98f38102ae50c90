"""The job `benchmark` from end to end on a made-up table, and started again."""

import importlib.util
import json
import pathlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fbnax import spaces
from fbnax.base import records
from fbnax.jobs.benchmark import job as benchmark
from fbnax.jobs.runtime.comparing import summary
from fbnax.jobs.runtime.shell import run_job
from fbnax.report.searches import SearchEnd
from fbnax.search.benchmarks import tables
from fbnax.search.nars import posterior

ROOT = pathlib.Path(__file__).parents[2]
ROWS = 125


def load(name):
  """The config of a file of `configs/`."""
  path = ROOT / "configs" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  """Some cells; more convolutions are better, and tests agree roughly."""
  path = tmp_path_factory.mktemp("tables") / "cells.npz"
  space = spaces.get("nasbench201")
  random = np.random.default_rng(0)
  genotypes = np.full((ROWS, 6), 2, np.int32)
  # Every operation on three edges, so that cells have neighbours.
  genotypes[:, :3] = np.indices((5, 5, 5)).reshape(3, -1).T
  good = (genotypes == 2).sum(axis=1) + 0.5 * (genotypes == 3).sum(axis=1)
  validation = (good + random.normal(0, 0.3, ROWS) + 2) / 10
  test = (good + random.normal(0, 0.3, ROWS) + 2) / 10
  # Of some rows a score is not known.
  score = np.where(np.arange(ROWS) % 5 == 4, np.nan, good)
  tables.save(
    path,
    space,
    genotypes,
    np.clip(validation, 0, 1),
    test,
    scores={"good": score},
  )
  return path


def make_config(table, **changes):
  """The smallest comparison: three rounds of 8, 2 and 2 candidates."""
  config = load("benchmark")
  config.update(
    {
      "table": str(table),
      "seeds": 2,
      "evaluations": 12,
      "search": {"first": 8, "candidates": 2, "predictors": 2},
      "evolution": {"population": 6, "sample": 3},
    }
  )
  config.update(changes)
  return config.lock()


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
  config = make_config(table)
  workdir = tmp_path_factory.mktemp("work") / "benchmark"
  run_job(config, str(workdir))
  return config, workdir


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


def test_noise_is_that_of_the_seed_and_the_choice_a_key(table, tmp_path):
  """Two methods of a seed see the same noise at the same cell."""
  config = make_config(
    table, noise=0.05, seeds=1, methods=("nars", "random"), evaluations=12
  )
  config = config.copy_and_resolve_references()
  config.search.choice, config.search.learner = "measured", "posterior"
  run_job(config.lock(), str(tmp_path))
  with np.load(table) as file:
    validation = dict(
      zip(
        map(tuple, file["genotypes"].tolist()), file["validation"], strict=True
      )
    )
  seen = {}
  for method in ("nars", "random"):
    kept = records.read(tmp_path / "searches" / f"{method}-0.json")
    for genotype, accuracy in zip(
      map(tuple, kept["genotypes"]), kept["accuracies"], strict=True
    ):
      assert accuracy != validation[genotype]
      assert abs(accuracy - validation[genotype]) < 0.25
      assert seen.setdefault(genotype, accuracy) == accuracy
    [search] = [
      s for s in _result(tmp_path)["searches"] if s["method"] == method
    ]
    assert search["validation_accuracy"] == max(kept["accuracies"])


def test_every_method_has_every_seed(finished, table):
  result = _result(finished[1])
  assert (result["schema_version"], result["job"]) == (1, "benchmark")
  assert result["space"] == {"name": "nasbench201", "size": 15625, "rows": ROWS}
  assert [(s["method"], s["seed"]) for s in result["searches"]] == [
    (method, seed)
    for method in ("nars", "evolution", "random")
    for seed in (0, 1)
  ]
  with np.load(table) as rows:
    assert result["best_test_accuracy"] == rows["test"].max()


def test_a_search_is_judged_by_the_test_accuracy_of_its_best(finished, table):
  with np.load(table) as file:
    genotypes, validation, test = (
      file[name] for name in ("genotypes", "validation", "test")
    )
  row = {tuple(g): i for i, g in enumerate(genotypes.tolist())}
  for search in _result(finished[1])["searches"]:
    name = f"{search['method']}-{search['seed']}.json"
    kept = records.read(finished[1] / "searches" / name)
    asked = [row[tuple(g)] for g in kept["genotypes"]]
    assert len(set(asked)) == search["evaluations"] == 12
    np.testing.assert_array_equal(kept["accuracies"], validation[asked])
    best = [max(asked[: i + 1], key=lambda r: validation[r]) for i in range(12)]
    if search["method"] == "nars":
      # After each round the posterior chooses among what it has measured.
      space = spaces.get("nasbench201")
      for end in (8, 10, 12):
        chosen = posterior.chosen(
          space, genotypes[asked[:end]], validation[asked[:end]], 10
        )
        best[end - 1 : end + 1] = [asked[chosen]] * len(best[end - 1 : end + 1])
    assert search["test_curve"] == test[best].tolist()
    assert search["test_accuracy"] == test[best[-1]]
    assert search["validation_accuracy"] == validation[best[-1]]
    assert search["genotype"] == genotypes[best[-1]].tolist()


def test_the_summary_is_that_of_scipy_and_numpy(finished):
  result = _result(finished[1])
  ends = {
    method: [
      s["test_accuracy"] for s in result["searches"] if s["method"] == method
    ]
    for method in ("nars", "evolution", "random")
  }
  for row in result["summary"]:
    values = np.asarray(ends[row["method"]])
    assert row["seeds"] == 2
    assert row["mean"] == pytest.approx(values.mean())
    assert row["deviation"] == pytest.approx(abs(np.diff(values))[0] / 2**0.5)
    assert (row["smallest"], row["largest"]) == (values.min(), values.max())
    assert set(row["p_values"]) == set(ends) - {row["method"]}
    for other, p in row["p_values"].items():
      want = stats.mannwhitneyu(ends[other], values, alternative="two-sided")
      assert p == pytest.approx(want.pvalue)


def test_searches_that_scores_assist(table, tmp_path):
  methods = ("naswot_10", "area", "area_moves", "random")
  config = make_config(
    table, methods=methods, assisted={"score": "good", "samples": 60}
  )
  run_job(config, str(tmp_path))
  result = _result(tmp_path)
  assert [row["method"] for row in result["summary"]] == list(methods)
  scores = tables.scores(table, "good")
  known = tables.genotypes(table)[~np.isnan(scores)].tolist()
  for search in result["searches"]:
    if search["method"] != "random":
      assert search["genotype"] in known
  first = [s["test_curve"][0] for s in result["searches"][:2]]
  found = result["summary"][0]["first"]
  assert found["mean"] == pytest.approx(np.mean(first))
  assert found["deviation"] == pytest.approx(np.std(first, ddof=1))
  assert "NASWOT (N = 10)" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
  ("assisted", "message"),
  [
    ({"score": "nwot"}, "has no score 'nwot'; legal: good"),
    ({"score": "good", "samples": 101}, "samples=101 .* legal: 12 to 100"),
    ({"score": "good", "samples": 60, "moves": 0}, "moves=0; legal: .* 1 move"),
  ],
)
def test_assisted_searches_that_cannot_be(assisted, message, table, tmp_path):
  config = make_config(table, methods=("area",), assisted=assisted)
  with pytest.raises(ValueError, match=message):
    run_job(config, str(tmp_path))


def test_a_clear_difference_is_found():
  entries = [
    SearchEnd(m, i, test_accuracy=v + 0.001 * i)
    for m, v in (("nars", 0.94), ("random", 0.9))
    for i in range(8)
  ]
  ours, theirs = summary(entries)
  # All 64 pairs are ahead: two of the 16 choose 8 ways to deal the ranks.
  assert ours.p_values["random"] == pytest.approx(2 / 12870)
  assert theirs.p_values["nars"] == pytest.approx(2 / 12870)
  (alone,) = summary(entries[:1])
  assert (alone.deviation, alone.p_values) == (0.0, {})


def test_the_report_is_that_of_a_benchmark(finished):
  page = (finished[1] / "report.html").read_text()
  assert "Searches compared on nasbench201" in page
  assert 'id="chart-progress"' in page


def test_started_again_it_searches_nothing(finished, monkeypatch, capsys):
  config, workdir = finished
  before = _result(workdir)

  def refuse(*_):
    raise AssertionError("a search is made again")

  monkeypatch.setattr(
    benchmark, "METHODS", dict.fromkeys(benchmark.METHODS, refuse)
  )
  run_job(config, str(workdir))
  assert capsys.readouterr().out == ""
  (workdir / "result.json").unlink()
  run_job(config, str(workdir))
  after = _result(workdir)
  assert after["searches"] == before["searches"]
  assert after["summary"] == before["summary"]
  assert "nars: test accuracy" in capsys.readouterr().out


def _altered(path):
  path.write_text(path.read_text().replace("0.", "0.9", 1))


def _of_another_seed(path):
  path.write_bytes(path.with_name("random-0.json").read_bytes())


@pytest.mark.parametrize("lose", [Path.unlink, _altered, _of_another_seed])
def test_only_what_is_missing_is_searched_again(finished, monkeypatch, lose):
  config, workdir = finished
  before = _result(workdir)
  made = []
  random = benchmark.METHODS["random"]

  def counted(task, seed):
    made.append(seed)
    return random(task, seed)

  monkeypatch.setitem(benchmark.METHODS, "random", counted)
  lose(workdir / "searches" / "random-1.json")
  (workdir / "result.json").unlink()
  run_job(config, str(workdir))
  assert made == [1]
  assert _result(workdir)["searches"] == before["searches"]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"methods": ("nars", "annealing")}, r"\['annealing'\]; legal: nars, evol"),
    ({"methods": ()}, "config.methods has None; legal: nars"),
    ({"methods": ("random", "random")}, "legal: each once"),
    ({"seeds": 0}, "config.seeds is 0; legal: at least 1"),
    ({"evaluations": 0}, "config.evaluations is 0; legal: at least 1"),
    ({"evaluations": 13}, "config.evaluations is 13, .* whole rounds after it"),
    ({"evaluations": 6}, "config.evaluations is 6, .* whole rounds after it"),
    ({"evaluations": 130}, f"is 130; legal: up to {ROWS}, the rows of"),
    ({"epochs": 2}, "config.epochs is 2; legal: up to 1, the epochs of"),
    ({"evolution.population": 13}, "population=13; legal: 1 <= sample"),
    ({"evolution.sample": 7}, "sample=7 and .* legal: 1 <= sample"),
    ({"table": "nowhere.npz"}, "nowhere.npz: no such table"),
  ],
)
def test_bad_input_names_what_is_legal(changes, message, table, tmp_path):
  config = make_config(table)
  with config.unlocked(), config.ignore_type():
    config.update_from_flattened_dict(changes)
  with pytest.raises(ValueError, match=message):
    run_job(config, str(tmp_path / "run"))
