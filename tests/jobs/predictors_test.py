"""The job `predictors` from end to end on accuracies that a formula gives."""

import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.jobs.predictors import job as predictors
from fbnax.jobs.predictors.result import LearnerCurve
from fbnax.jobs.runtime.shell import run_job
from fbnax.search.benchmarks import tables
from fbnax.search.nars import learning_curves

ROOT = pathlib.Path(__file__).parents[2]
COUNTS = (8, 16)


def load(name):
  """The config of a file of `configs/`."""
  path = ROOT / "configs" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config()


def make_config(**changes):
  config = load("predictors")
  small = {
    "labels": COUNTS,
    "held_out": 50,
    "seeds": 2,
    "pool": 500,
    "predictors": 2,
  }
  with config.ignore_type():
    config.update({**small, **changes})
  return config.lock()


def _accuracies(space, genotypes):
  logs = np.log(np.asarray(costs.batch(space, genotypes).macs, np.float64))
  return 0.7 + 0.05 * np.tanh(logs - logs.mean())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  """Networks whose accuracy rises with the logarithm of their MACs."""
  path = tmp_path_factory.mktemp("tables") / "mnasnet.npz"
  space = spaces.get("mnasnet")
  genotypes = np.asarray(space.sample(jax.random.key(0), 120))
  genotypes = np.unique(genotypes, axis=0)
  tables.save(path, space, genotypes, _accuracies(space, genotypes))
  return path


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
  config = make_config(table=str(table))
  workdir = tmp_path_factory.mktemp("work") / "predictors"
  run_job(config, workdir)
  return config, workdir


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


def test_every_learner_is_scored_with_every_count_and_seed(finished, table):
  result = _result(finished[1])
  assert (result["schema_version"], result["job"]) == (1, "predictors")
  found = [(s["learner"], s["labels"], s["seed"]) for s in result["scores"]]
  assert len(found) == 4 * 2 * 2
  assert set(found) == {
    (learner, count, seed)
    for learner in ("pretrained", "from scratch", "ridge", "gaussian process")
    for count in COUNTS
    for seed in (0, 1)
  }
  with np.load(table) as file:
    labels = 100 * file["validation"]
  assert result["space"]["name"] == "mnasnet"
  assert result["space"]["rows"] == len(labels)
  assert result["label_deviation"] == pytest.approx(
    np.sqrt(np.mean((labels - labels.mean()) ** 2))
  )
  # No learner is much worse than saying the mean.
  assert all(0 < s["rmse"] < 3 * np.std(labels) for s in result["scores"])


def test_scores_are_those_of_a_learner_on_rows_it_has_not_seen(finished, table):
  """Ridge regression again, from the table's own columns."""
  from sklearn.linear_model import RidgeCV

  space = spaces.get("mnasnet")
  with np.load(table) as file:
    genotypes, labels = file["genotypes"], 100 * file["validation"]
  features = np.asarray(space.encode(genotypes), np.float64)
  for score in _result(finished[1])["scores"]:
    if score["learner"] != "ridge":
      continue
    order = np.random.default_rng(score["seed"]).permutation(len(labels))
    test, train = order[:50], order[50 : 50 + score["labels"]]
    model = RidgeCV(np.logspace(-3, 3, 25)).fit(features[train], labels[train])
    errors = model.predict(features[test]) - labels[test]
    assert score["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_curves_are_means_over_the_seeds(finished):
  result = _result(finished[1])
  assert [c["learner"] for c in result["curves"]] == list(predictors.LEARNERS)
  for curve in result["curves"]:
    assert curve["labels"] == list(COUNTS)
    for key in ("rmse", "kendall"):
      for i, count in enumerate(COUNTS):
        first, second = (
          s[key]
          for s in result["scores"]
          if (s["learner"], s["labels"]) == (curve["learner"], count)
        )
        assert curve[key][i] == pytest.approx((first + second) / 2)
        assert curve[f"{key}_deviation"][i] == pytest.approx(
          abs(first - second) / 2**0.5
        )


def _needed(counts, errors, error):
  """As NumPy interpolates it, for errors that fall."""
  if errors[0] <= error:
    return counts[0]
  if errors[-1] > error:
    return None
  x, y = np.log(counts), np.log(errors)
  return np.exp(np.interp(-np.log(error), -y, x))


def test_factors_are_labels_read_off_the_lines():
  counts = [10, 20, 40, 80]
  errors = {
    "pretrained": [1.0, 0.8, 0.5, 0.3],
    "ridge": [2.0, 1.2, 0.9, 0.6],
    "gaussian process": [0.9, 0.7, 0.6, 0.2],
  }
  curves = [
    LearnerCurve(name, tuple(counts), tuple(rmse))
    for name, rmse in errors.items()
  ]
  saved = predictors.saved(curves)
  assert [row.learner for row in saved] == ["ridge", "gaussian process"]
  for row in saved:
    assert row.labels == tuple(counts)
    for count, error, factor in zip(
      counts, errors["pretrained"], row.factors, strict=True
    ):
      want = _needed(counts, errors[row.learner], error)
      assert factor == (None if want is None else pytest.approx(want / count))
  assert saved[0].factors[-2:] == (None, None)
  assert saved[1].factors[0] == 1.0


def test_factors_in_the_result_are_those_of_its_curves(finished):
  result = _result(finished[1])
  ours, *others = result["curves"]
  assert len(result["saved"]) == 3
  for row, theirs in zip(result["saved"], others, strict=True):
    assert row["learner"] == theirs["learner"]
    for count, error, factor in zip(
      COUNTS, ours["rmse"], row["factors"], strict=True
    ):
      want = _needed(COUNTS, theirs["rmse"], error)
      assert factor == (None if want is None else pytest.approx(want / count))


def test_the_report_is_that_of_predictors(finished):
  page = (finished[1] / "report.html").read_text()
  assert "What pretraining on costs saves in labels" in page
  assert 'id="chart-rmse"' in page


def test_started_again_it_learns_only_what_is_missing(
  finished, monkeypatch, capsys
):
  config, workdir = finished
  before = _result(workdir)
  learned = []
  score = learning_curves.score

  def counted(learner, seed, genotypes, labels, count, held_out):
    learned.append((seed, count))
    return score(learner, seed, genotypes, labels, count, held_out)

  monkeypatch.setattr(learning_curves, "score", counted)
  (workdir / "result.json").unlink()
  run_job(config, workdir)
  assert learned == []
  assert _result(workdir)["curves"] == before["curves"]
  assert "pretrained: 8 labels" in capsys.readouterr().out
  path = workdir / "scores.jsonl"
  lines = path.read_text().splitlines(True)
  [altered] = [i for i, line in enumerate(lines) if '"ridge", 16, 1' in line]
  lines[altered] = lines[altered].replace("0.", "1.", 1)
  path.write_text("".join(lines))
  (workdir / "result.json").unlink()
  run_job(config, workdir)
  assert learned == [(1, 16)]
  assert _result(workdir)["scores"] == before["scores"]
  assert _result(workdir)["curves"] == before["curves"]


def _scores_run(folder, table):
  """Leaves a finished run of the job `zero_cost` on half of a table."""
  with np.load(table) as file:
    genotypes = file["genotypes"][::2]
  scores = {
    "synflow": np.linspace(1e3, 1e60, len(genotypes)),
    "snip": np.sin(np.arange(len(genotypes))),
  }
  result = {
    "schema_version": 1,
    "job": "zero_cost",
    "config": {"job": "zero_cost", "space": "mnasnet", "fix": ""},
    "networks": [
      {"genotype": g, "scores": {n: v[i] for n, v in scores.items()}}
      for i, g in enumerate(genotypes.tolist())
    ],
  }
  folder.mkdir()
  (folder / "result.json").write_text(json.dumps(result))
  return genotypes, scores


def test_scores_of_untrained_networks_give_one_more_learner(
  table, tmp_path, monkeypatch
):
  genotypes, scores = _scores_run(tmp_path / "run", table)
  given = []
  pretrain = predictors.pretrain

  def noted(key, space, pool, pool_costs, extra):
    given.append((np.asarray(pool), extra))
    return pretrain(key, space, pool, pool_costs, extra)

  monkeypatch.setattr(predictors, "pretrain", noted)
  config = make_config(
    table=str(table),
    labels=COUNTS[1:],  # As above, so that less is compiled.
    seeds=1,
    proxies=str(tmp_path / "run"),
    proxy_names=("synflow", "snip"),
  )
  workdir = tmp_path / "work"
  run_job(config, workdir)
  (pool, none), (longer, extra) = given
  assert none == {}
  np.testing.assert_array_equal(longer, np.concatenate([pool, genotypes]))
  for name, values in scores.items():
    np.testing.assert_array_equal(extra[name][-len(genotypes) :], values)
    assert np.isnan(extra[name][: len(pool)]).all()
  result = _result(workdir)
  learners = [c["learner"] for c in result["curves"]]
  assert learners == [*predictors.LEARNERS, predictors.WITH_PROXIES]
  row = result["saved"][-1]
  assert row["learner"] == predictors.WITH_PROXIES
  ours, theirs = (result["curves"][i]["rmse"][0] for i in (0, -1))
  assert row["factors"] == ([1.0] if theirs <= ours else [None])
  assert result["proxies"]["networks"] == len(genotypes)
  assert list(result["proxies"]["spearman"]) == [
    "macs",
    "params",
    "synflow",
    "snip",
  ]
  page = (workdir / "report.html").read_text()
  assert "pretrained on costs and proxies" in page
  assert 'id="proxies"' in page
  # Started again without its result it learns nothing anew.
  (workdir / "result.json").unlink()
  run_job(config, workdir)
  assert len(given) == 2
  assert _result(workdir)["proxies"] == result["proxies"]


def _make_run(folder, **changes):
  """Leaves a finished run of the job `nars`: its config, data and trials."""
  space = spaces.get("small")
  genotypes = np.unique(space.sample(jax.random.key(1), 40), axis=0)
  labels = np.linspace(0.5, 0.9, len(genotypes)).tolist()
  result = {
    "schema_version": 1,
    "job": "nars",
    "config": {"job": "nars", "space": "small", "fix": "", **changes},
    "dataset": {"channels": 1, "num_classes": 10},
    "trials": [
      {"genotype": g, "label": None if i == 3 else label}
      for i, (g, label) in enumerate(
        zip(genotypes.tolist(), labels, strict=True)
      )
    ],
  }
  folder.mkdir()
  (folder / "result.json").write_text(json.dumps(result))
  return str(folder)


def test_the_trials_of_a_finished_run_are_rows_too(tmp_path, monkeypatch):
  run = _make_run(tmp_path / "run")
  config = make_config(run=run, labels=(8, 8, 4), held_out=10, seeds=1)
  given = []

  def score(learner, seed, genotypes, labels, count, held_out):
    given.append((genotypes, labels, count, held_out))
    return learning_curves.HeldOutScore(1.0 / count, 0.5)

  monkeypatch.setattr(learning_curves, "score", score)
  monkeypatch.setattr(predictors, "pretrain", lambda *_: (None, {}))
  run_job(config, tmp_path / "work")
  result = _result(tmp_path / "work")
  trials = json.loads((tmp_path / "run" / "result.json").read_text())["trials"]
  done = [t for t in trials if t["label"] is not None]
  assert len(done) == len(trials) - 1
  assert result["space"]["rows"] == len(done)
  assert result["space"]["name"] == "small"
  for genotypes, labels, _, held_out in given:
    assert genotypes.tolist() == [t["genotype"] for t in done]
    assert labels.tolist() == pytest.approx([100 * t["label"] for t in done])
    assert held_out == 10
  # Counts ascend, and each is there once.
  assert result["curves"][0]["labels"] == [4, 8]
  assert result["curves"][0]["rmse_deviation"] == [0.0, 0.0]
  assert str(run) in (tmp_path / "work" / "report.html").read_text()


def test_code_that_a_run_names_is_not_run(tmp_path):
  run = _make_run(tmp_path / "run", space="my_spaces.py:mine")
  with pytest.raises(ValueError, match="code of its user's, which is not run"):
    run_job(make_config(run=run), tmp_path / "work")


def test_a_run_of_recipes_alone_is_refused(tmp_path):
  run = _make_run(
    tmp_path / "run",
    architecture="fbnet_96",
    resolution=0,
    recipe_file="",
  )
  with pytest.raises(ValueError, match="searched recipes alone"):
    run_job(make_config(run=run), tmp_path / "work")


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"table": "", "run": ""}, "config.table is '' and config.run ''; legal"),
    ({"run": "runs/digits"}, "and config.run 'runs/digits'; legal: one"),
    ({"table": "", "run": "nowhere"}, "nowhere holds no finished run"),
    ({"seeds": 0}, "config.seeds is 0; legal: at least 1"),
    ({"held_out": 1}, "config.held_out is 1; legal: at least 2"),
    ({"predictors": 0}, "config.predictors is 0; legal: at least 1"),
    ({"labels": ()}, r"config.labels is \(\); legal: from 2 to"),
    ({"labels": (1, 8)}, r"config.labels is \(1, 8\); legal: from 2 to"),
    ({"labels": (8, 100)}, r"rows without config.held_out"),
    ({"proxies": "nowhere"}, "nowhere holds no finished run"),
  ],
)
def test_bad_input_names_what_is_legal(changes, message, table, tmp_path):
  config = make_config(**{"table": str(table), **changes})
  with pytest.raises(ValueError, match=message):
    run_job(config, tmp_path / "run")
