"""The job `study` from end to end at the smallest size, and started again."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import costs
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.shell import run_job
from fbnax.jobs.study import cases as study_cases
from fbnax.jobs.study import runs as study_runs
from fbnax.jobs.study import training as study_training
from fbnax.jobs.study.result import SeedOutcome
from fbnax.models import Network, initialize
from fbnax.spaces import Architecture
from fbnax.training import loop
from fbnax.training.step import Metrics


@pytest.fixture(scope="module")
def finished(nars_runs, tmp_path_factory):
  """Config and work directory of a study of one member and one pair."""
  config = config_dict.ConfigDict(
    {
      "job": "study",
      "study": "random",
      "seed": 0,
      "runs": (nars_runs[0],),
      "members": ("small-200k",),
      "seeds": 2,
      "epochs": 1,
      "pairs": 1,
    }
  )
  workdir = tmp_path_factory.mktemp("study") / "random"
  run_job(config, workdir)
  return config, workdir


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


def test_every_training_is_reported(finished, nars_runs):
  result = _result(finished[1])
  assert (result["schema_version"], result["job"]) == (1, "study")
  assert result["runs"][0]["test"] == 60
  assert result["runs"][0]["train"] == 60
  assert [(c["name"], c["seed"]) for c in result["cases"]] == [
    ("member", 0),
    ("member", 1),
    ("pair 1", 0),
    ("pair 1", 1),
  ]
  for case in result["cases"]:
    architecture = Architecture.from_json(json.dumps(case["architecture"]))
    counted = costs.count(architecture, 10)
    assert (case["macs"], case["params"]) == counted
    assert 180e3 <= case["macs"] <= 200e3
    assert case["teacher"] is None
    assert case["epochs"] == 1
    assert case["seconds"] > 0
    # Of 60 images an accuracy is a sixtieth.
    assert 60 * case["test_accuracy"] == pytest.approx(
      round(60 * case["test_accuracy"]), abs=1e-4
    )
    assert 0.5 < case["test_log_loss"] < 20
  # Seeds and networks differ, so that no two are the same training.
  assert len({c["test_log_loss"] for c in result["cases"]}) == 4


def test_the_summary_is_of_these_trainings(finished):
  result = _result(finished[1])
  losses = [c["test_log_loss"] for c in result["cases"]]
  (found,) = result["summary"]["comparisons"]
  want = np.asarray(losses[:2]) - np.asarray(losses[2:])
  assert found["test_log_loss"]["mean"] == pytest.approx(want.mean())
  assert found["test_log_loss"]["over"] == "seeds"
  assert found["test_log_loss"]["units"] == 2
  page = (finished[1] / "report.html").read_text()
  assert "Members against random pairs" in page


def test_started_again_it_trains_nothing(finished, monkeypatch, capsys):
  config, workdir = finished
  before = _result(workdir)

  def refuse(*_):
    raise AssertionError("a case is trained again")

  monkeypatch.setattr(study_training, "train_case", refuse)
  (workdir / "result.json").unlink()
  run_job(config, workdir)
  after = _result(workdir)
  assert after["cases"] == before["cases"]
  assert after["summary"] == before["summary"]
  assert "small-200k minus random pairs" in capsys.readouterr().out


def test_a_case_that_is_missing_or_damaged_is_trained_again(
  finished, monkeypatch
):
  config, workdir = finished
  wanted = _result(workdir)["cases"]
  trained = []

  def fake(case, run, seeds, on_epoch):
    trained.append(case.name)
    on_epoch()
    return [SeedOutcome(0.5, None, 1.0) for _ in seeds]

  monkeypatch.setattr(study_training, "train_case", fake)
  records = sorted((workdir / "cases").iterdir())
  texts = [record.read_text() for record in records]
  result = (workdir / "result.json").read_text()
  records[0].unlink()
  records[1].write_text(texts[1][:40])
  (workdir / "result.json").unlink()
  run_job(config, workdir)
  assert trained == ["member", "pair 1"]
  again = _result(workdir)
  assert again["summary"]["failed"] == 4
  assert again["summary"]["comparisons"][0]["test_log_loss"]["mean"] is None
  assert "nothing could be measured" in (workdir / "report.html").read_text()
  assert len(again["cases"]) == len(wanted)
  # As it was, for the tests that follow.
  for record, text in zip(records, texts, strict=True):
    record.write_text(text)
  (workdir / "result.json").write_text(result)


def test_a_case_is_trained_as_its_run_trained_members(
  nars_runs, study_config, monkeypatch
):
  run = study_runs.read(study_config("random", ()), nars_runs[0])
  (case, *_) = study_cases.swapped(study_config("swapped", ()), [run]).cases
  given = {}

  class Enough(Exception):
    pass

  def fit(model, settings, state, members, train, **more):
    given.update(more, model=model, settings=settings, state=state)
    given.update(members=members, train=train)
    raise Enough

  monkeypatch.setattr(study_training.loop, "fit", fit)
  with pytest.raises(Enough):
    study_training.train_case(case, run, [3, 4], lambda: None)
  # Taught by the largest member, whose weights are all zero.
  assert given["model"].teacher.module.architecture == (
    run.family[1].architecture
  )
  assert all(not leaf.any() for leaf in jax.tree.leaves(given["teacher"]))
  assert given["epochs"] == given["settings"].epochs == 6
  assert given["settings"].distillation == 0.8
  assert given["settings"].batch_size == 30
  assert len(given["train"].labels) == 60
  assert given["stacked"]
  # Each seed starts elsewhere, with the same recipe.
  first, second = (
    jax.tree.map(lambda leaf, i=i: leaf[i], given["state"]) for i in range(2)
  )
  assert not np.allclose(first.ema, second.ema)
  assert given["members"].recipe.dropout.tolist() == pytest.approx(
    [case.recipe.dropout] * 2
  )


def test_seeds_start_as_a_run_with_that_seed_does(nars_runs, study_config):
  run = study_runs.read(study_config("random", ()), nars_runs[0])
  (case, *_) = study_cases.swapped(study_config("swapped", ()), [run]).cases
  module = Network(case.architecture, 10)
  members, state = study_training._start(module, case, [0, 7])
  init_key, member_key = jax.random.split(jax.random.key(7))
  images = np.zeros((1, 8, 8, 1), np.float32)
  want = jax.jit(lambda k: initialize(module, k, images, train=False))(init_key)
  got = jax.tree.map(lambda leaf: leaf[1], state.variables)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
    assert np.allclose(a, b)
  assert members.key[1] == member_key


def test_data_that_is_not_the_runs_is_refused(nars_runs, study_config):
  run = study_runs.read(study_config("random", ()), nars_runs[1])
  run = dataclasses.replace(run, facts=dataclasses.replace(run.facts, test=59))
  with pytest.raises(ValueError, match=r"tested on 59.* now has 60, 60 and 10"):
    study_training._images(run)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"study": "rondom"}, "'rondom'; legal: random, swapped, stages"),
    ({"runs": ()}, r"config\.runs is \(\); legal"),
    ({"runs": ("a", "a")}, "names a run twice"),
    ({"seeds": 0}, "config.seeds is 0; legal: at least 1"),
    ({"epochs": -1}, "config.epochs is -1; legal"),
    ({"runs": ("nowhere",)}, "nowhere holds no finished run"),
    ({"pairs": 0}, "config.pairs is 0; legal: at least 1"),
    ({"members": ("tiny",)}, "'tiny'; .* has small-150k, small-200k"),
  ],
)
def test_bad_input_names_what_is_legal(
  changes, message, nars_runs, study_config, tmp_path
):
  config = configs.config(study_config("random", nars_runs[:1]))
  with config.ignore_type():
    config.update(changes)
  with pytest.raises(ValueError, match=message):
    run_job(config, tmp_path / "run")
  # The right config can have the work directory.
  assert not (tmp_path / "run" / "config.json").exists()


def test_a_seed_that_diverges_has_no_accuracy(
  nars_runs, study_config, monkeypatch
):
  """It has one of a guess, and its log-loss may be finite where BN hides it."""
  run = study_runs.read(study_config("random", ()), nars_runs[0])
  (case, *_) = study_cases.swapped(study_config("swapped", ()), [run]).cases
  fitted = loop.Fitted(None, None, np.asarray([True, False, True]))
  measured = Metrics(np.asarray([1.0, 2.3, np.nan]), np.full(3, 0.5))
  for name, value in (
    ("_start", (None, None)),
    ("loop.fit", fitted),
    ("loop.result", None),
    ("loop.measure", measured),
  ):
    monkeypatch.setattr(
      f"fbnax.jobs.study.training.{name}", lambda *_, v=value, **__: v
    )
  outcomes = study_training.train_case(case, run, [3, 4, 5], lambda: None)
  assert [o.test_accuracy for o in outcomes] == [0.5, None, None]
  assert [o.test_log_loss for o in outcomes] == [1.0, None, None]
