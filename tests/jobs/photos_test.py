"""The main job from pretrained weights: one training, networks of any size."""

import contextlib
import dataclasses
import json
import shutil
import types

import jax
import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import costs, models, spaces
from fbnax.jobs.evolve import inheriting
from fbnax.jobs.nars import baselines, members, supernet, time_plan
from fbnax.jobs.runtime import configs, inputs
from fbnax.jobs.runtime.shell import run_job
from fbnax.jobs.runtime.training import Teacher
from fbnax.jobs.study import runs as study_runs
from fbnax.models.network import extract
from fbnax.report.schema import MemberRow
from fbnax.search.budgets import Budget
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.training import loop, model_files
from fbnax.training.step import Model
from tests.configs_test import load

NETWORK = Architecture(
  resolution=8,
  stem=Stem(16, stride=1, activation="relu6", bias=False),
  blocks=(
    Block(24, 1, expansion=2.0, stride=2, activation="relu6"),
    Block(24, 1, expansion=2.0, activation="relu6"),
  ),
  head=Head(32, expansion=0.0, activation="relu6"),
  padding="same",
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
  """Files of a network for 3 channels and 7 classes, and what it is."""
  folder = tmp_path_factory.mktemp("weights")
  (folder / "tiny.json").write_text(NETWORK.to_json())
  variables = jax.jit(
    lambda key: models.initialize(
      models.Network(NETWORK, 7), key, np.zeros((1, 8, 8, 3)), train=False
    )
  )(jax.random.key(0))
  models.save_weights(folder / "w.safetensors", NETWORK, variables)
  return folder


def photos(folder, **changes):
  """The preset on digits, as small as can be."""
  config = load("nars.py").get_config("photos")
  config.update_from_flattened_dict(
    {
      "data.name": "digits",
      "data.max_images": 400,
      "weights": str(folder / "w.safetensors"),
      "weights_architecture": str(folder / "tiny.json"),
      "around.resolutions": (8,),
      "around.widths": (0.5, 1.0),
      "around.expansions": (1.0,),
      "around.kernels": (3,),
      "budgets.share": (1.0, 0.6),
      "budgets.floor": 0.3,
      "minutes": 0.0,
      "shared.epochs": 8,
      "shared.head_epochs": 0.0,
      "shared.subnets": 1,
      "recipe.learning_rate": 0.08,
      "shared.images": 64,
      "search.rounds": 1,
      "search.candidates": 4,
      "search.pool": 100,
      "search.predictors": 2,
      "training.epochs": 0,
      **changes,
    }
  )
  return config


@pytest.fixture(scope="module")
def finished(weights, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("photos") / "run"
  config = photos(weights)
  run_job(config, str(workdir))
  return config, workdir


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


def test_members_meet_their_shares_with_weights_of_the_supernet(finished):
  _, workdir = finished
  result = _result(workdir)
  largest = result["supernet"]
  assert [m["epochs"] for m in result["members"]] == [0, 0]
  shared = model_files.load(workdir / "members/supernet")
  config = inputs.NamedSpace.of_run(result["config"], workdir)
  space = inputs.space(config, 1)
  for member, share in zip(result["members"], (0.6, 1.0), strict=True):
    assert member["macs"] <= share * largest["macs"]
    saved = model_files.load(workdir / member["checkpoint"])
    inherited = extract(space, member["genotype"], shared.variables)
    jax.tree.map(
      np.testing.assert_array_equal,
      saved.variables["params"],
      jax.device_get(inherited["params"]),
    )


def test_candidates_are_measured_by_what_they_inherit(finished):
  _, workdir = finished
  result = _result(workdir)
  accuracies = [t["accuracy"] for t in result["trials"]]
  assert len(accuracies) == 4
  # From random weights; a tenth would be chance.
  assert max(accuracies) > 0.3
  assert all(t["epochs"] == 1 for t in result["trials"])


def test_the_test_accuracy_is_that_of_the_model_that_is_left(finished):
  config, workdir = finished
  dataset = inputs.dataset(configs.typed(config))
  for member in _result(workdir)["members"]:
    saved = model_files.load(workdir / member["checkpoint"])
    measured = loop.measure(
      Model(saved.module),
      saved.settings(32),
      saved.variables,
      None,
      loop.place(dataset.test),
    )
    assert float(measured.accuracy) == pytest.approx(member["test_accuracy"])


def test_a_new_budget_gives_a_trained_network(finished, tmp_path):
  _, workdir = finished
  config = load("evolve.py").get_config()
  config.run = str(workdir)
  macs = _result(workdir)["supernet"]["macs"]
  config.budgets.macs = (0.8 * macs,)
  config.budgets.floor = 0.3
  config.top = 1
  run_job(config, str(tmp_path / "evolved"))
  (candidate,) = _result(tmp_path / "evolved")["candidates"]
  assert candidate["macs"] <= 0.8 * macs
  saved = model_files.load(tmp_path / "evolved" / candidate["checkpoint"])
  assert saved.card["entry"]["test_accuracy"] == candidate["test_accuracy"]
  assert candidate["test_accuracy"] > 0.2


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    # What a run needed and this machine or job does not.
    ("mesh.data", 64, None),
    ("evaluator", "tests/jobs/example_parts.py:by_formula", None),
    ("training.teacher", "tests/jobs/example_parts.py:mean_colour", None),
    ("data.name", "tests/jobs/example_parts.py:x", "say --config.data.name="),
    ("shared.images", 0, "shared.images is 0"),
  ],
)
def test_what_a_new_budget_takes_of_the_run_s_config(
  finished, key, value, words
):
  result = _result(finished[1])
  of_run = config_dict.ConfigDict(result["config"])
  of_run.update_from_flattened_dict({key: value})
  config = configs.typed(load("evolve.py").get_config())
  if words is None:
    run = inheriting._run_config(config, {"config": of_run.to_dict()})
    assert (run.mesh.data, run.evaluator, run.training.teacher) == (
      1,
      "shared",
      "",
    )
    return
  with pytest.raises(ValueError, match=words):
    inheriting._run_config(config, {"config": of_run.to_dict()})


def test_a_new_budget_is_not_answered_by_another_run_s_weights(
  finished, tmp_path
):
  _, workdir = finished
  shutil.copytree(workdir, tmp_path / "run")
  file = tmp_path / "run/members/supernet/model.json"
  card = json.loads(file.read_text())
  card["class_names"][:2] = card["class_names"][1::-1]
  file.write_text(json.dumps(card))
  config = load("evolve.py").get_config()
  config.run = str(tmp_path / "run")
  config.budgets.macs = (0.8 * _result(workdir)["supernet"]["macs"],)
  config.budgets.floor = 0.3
  with pytest.raises(ValueError, match="the same in another order"):
    run_job(config, str(tmp_path / "evolved"))


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"weights_architecture": ""}, "config.weights_architecture is empty"),
    (
      {"fix": "resolution=8"},
      "config.fix is 'resolution=8' and config.weights",
    ),
    ({"around.resolutions": ()}, "digits has images of 8 pixels"),
    (
      {"around.resolutions": (8, 16), "data.decode_resolution": 12},
      "has 16 pixels, and images are read at config.data.decode_resolution, 12",
    ),
    ({"budgets.scaled": (1e6,)}, "config.budgets.scaled is (1000000.0,)"),
    (
      {"weights": ""},
      "config.evaluator is 'shared' and config.weights is empty",
    ),
    (
      {"weights": "", "evaluator": "train", "baselines": True},
      "config.baselines is True and config.weights is empty",
    ),
    (
      {"weights": "", "evaluator": "train", "minutes": 3.0},
      "config.minutes is 3.0 and config.weights is empty",
    ),
    (
      {"around.widths": (1.0,), "around.depths": 9},
      "config.around leaves one network alone",
    ),
    ({"around.widths": (0.01,)}, "config.around.widths has 0.01"),
    ({"shared.strategy": "burger"}, "config.shared: strategy is 'burger'"),
    ({"search.classes": 3}, "config.search.classes is 3"),
    (
      {"shared.epochs": 1, "shared.head_epochs": 1.0},
      "config.shared.head_epochs is 1",
    ),
  ],
)
def test_what_does_not_fit_weights_is_refused(weights, changes, words):
  config = configs.typed(photos(weights, **changes))
  with pytest.raises(ValueError, match="legal") as error:
    supernet.read(config, inputs.dataset(config))
  assert words in str(error.value)


@pytest.mark.parametrize("outer", [None, "another"])
def test_baselines_meet_the_members_budgets_with_their_teacher(
  finished, weights, monkeypatch, outer
):
  result = _result(finished[1])
  config = configs.typed(
    photos(weights, baselines=True, **{"shared.head_epochs": 2.0})
  )
  dataset = inputs.dataset(config)
  network = supernet.read(config, dataset)
  largest = Teacher("supernet", None, None, 8)
  chosen = [
    members.Chosen(
      row["name"],
      Budget(macs=tuple(row["budget"]["macs"])),
      network.space.architecture(row["genotype"]),
      network.space.recipe(row["genotype"]),
    )
    for row in result["members"]
  ]
  trained = {}

  def train_network(path, name, architecture, recipe, settings, *_, **rest):
    trained[name] = settings
    macs = costs.count(architecture, dataset.num_classes).macs
    if rest["start_from"] is not None:
      shapes = jax.tree.map(np.shape, rest["start_from"]()["params"])
      module = models.Network(architecture, dataset.num_classes)
      wanted = jax.eval_shape(
        lambda key: module.init(key, np.zeros((1, 8, 8, 1)), train=False),
        jax.random.key(0),
      )
      assert shapes == jax.tree.map(np.shape, wanted["params"])
    assert rest["teacher"] == (outer or largest)
    return MemberRow(name=name, macs=macs), None

  monkeypatch.setattr(baselines, "train_network", train_network)
  work = types.SimpleNamespace(
    path=finished[1], phase=lambda _: contextlib.nullcontext()
  )
  inheritance = supernet.Inheritance(network, None, largest)
  rows = baselines.train(
    config, work, dataset, inheritance, outer, chosen, None
  )
  small, large = (m["name"] for m in result["members"])
  # The network as it is meets the larger budget: it is trained once.
  assert [(r.beside, r.kind) for r in rows if r.kind != "resolution"] == [
    (small, "width"),
    (small, "scratch"),
    (large, "scratch"),
  ]
  assert (large, "resolution") in [(r.beside, r.kind) for r in rows]
  limits = {m["name"]: m["budget"]["macs"][1] for m in result["members"]}
  assert all(row.macs <= limits[row.beside] for row in rows)
  # A new classifier begins alone, as in the supernet.
  assert trained[f"{small}-width"].head_epochs == 2.0
  assert trained[f"{small}-scratch"].head_epochs == 0.0
  assert {s.epochs for s in trained.values()} == {8}


def test_no_share_is_smaller_than_the_smallest_network(weights):
  config = configs.typed(photos(weights, **{"budgets.share": (1.0, 0.001)}))
  dataset = inputs.dataset(config)
  space = supernet.read(config, dataset).space
  with pytest.raises(
    ValueError, match=r"share has 0\.001; legal: from 0\.\d+ to 1, since"
  ):
    inputs.budgets(config, space, dataset.num_classes)


def test_images_for_calibration_are_seen_by_no_inherited_weights(weights):
  """More of them than the search has for validation."""
  config = configs.typed(
    photos(weights, **{"training.calibration_images": 150})
  )
  dataset = inputs.dataset(config)
  kept, held = members.calibration_split(config, dataset)
  train, validation = members.search_split(config, dataset)

  def found(split):
    return {image.tobytes() for image in split.images}

  assert len(held) == 150 > len(validation)
  assert len(train) + len(validation) == len(kept)
  assert not found(held) & (found(train) | found(validation))


def test_a_study_takes_no_run_that_started_from_weights(finished):
  config = configs.typed(load("study.py").get_config("random"))
  with pytest.raises(ValueError, match="inherit weights that what a study"):
    study_runs.read(config, str(finished[1]))


def test_a_run_that_fails_at_its_weights_binds_no_later_one(weights, tmp_path):
  absent = photos(weights, weights=str(tmp_path / "absent.safetensors"))
  with pytest.raises(ValueError, match="absent"):
    run_job(absent, str(tmp_path / "run"))
  assert [p.name for p in (tmp_path / "run").iterdir()] == ["lock"]


def test_minutes_are_spent_on_the_supernet_and_its_members():
  pace = time_plan.Pace(60.0, 1.0, 0.4, 100, 120, 60.0)
  shared, member = time_plan.epochs_within(30.0, pace, (1.0, 0.25))
  # 25 s for each member's program.
  left = 1800 - 60 - 60 - 50
  each = 120 * 0.4 * (1.25 + 2 / 3)
  assert shared == int(0.75 * left / 100)
  assert member == min(int((left - 100 * shared) / each), 10)
  with pytest.raises(ValueError, match="legal: 5 or more"):
    time_plan.epochs_within(4.0, pace, (1.0, 0.25))


def test_a_plan_has_programs_of_every_member_and_moves_the_trunk(weights):
  config = configs.typed(
    photos(weights, **{"minutes": 4.0, "shared.head_epochs": 1.0})
  )
  pace = time_plan.Pace(60.0, 1.0, 0.4, 100, 120, 0.0)
  # 240 s but for 60 and two programs: one epoch, a quarter of it the head's.
  fitted = time_plan.within(config, pace)
  assert (fitted.shared.epochs, fitted.shared.head_epochs) == (1, 0.25)
  limits = dataclasses.replace(config.budgets, share=(), macs=(1e6,) * 6)
  with pytest.raises(ValueError, match="legal: 6 or more"):
    time_plan.within(dataclasses.replace(config, budgets=limits), pace)


def test_minutes_are_planned_from_steps_that_were_taken(weights):
  config = configs.typed(
    photos(weights, **{"minutes": 60.0, "shared.strategy": "progressive"})
  )
  dataset = inputs.dataset(config)
  train, validation = inputs.hold_out(config, dataset)
  network = supernet.read(config, dataset)
  work = types.SimpleNamespace(kept=lambda _, make: make(), times=dict)
  fitted = time_plan.planned(
    config, work, dataset, network, train, validation, None
  )
  assert (fitted.shared.epochs, fitted.training.epochs) == (30, 10)


def test_the_space_of_a_run_is_built_from_its_files(finished, weights):
  config, workdir = finished
  settings = configs.typed(config)
  network = supernet.read(settings, inputs.dataset(settings))
  named = inputs.NamedSpace.of_run(_result(workdir)["config"], workdir)
  assert inputs.space(named, 1) == dataclasses.replace(network.space)
  assert (
    spaces.Surroundings.from_json(
      (workdir / "supernet/surroundings.json").read_text()
    )
    == network.surroundings
  )
