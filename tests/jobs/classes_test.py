"""Models and data sets of the same classes, and of others."""

import dataclasses
import json
import types

import jax
import numpy as np
import pytest

from fbnax import data
from fbnax.base import records
from fbnax.jobs.runtime import classes, networks, training
from fbnax.jobs.runtime.shell import run_job
from fbnax.models.building import build
from fbnax.spaces import Recipe, ResNet
from fbnax.training import model_files
from fbnax.training.recipes import Settings
from tests.configs_test import load

CAR = ("cat", "dog", "ship", "truck")


def saved(names, channels=3, **card):
  module = types.SimpleNamespace(
    architecture=types.SimpleNamespace(input_channels=channels)
  )
  return model_files.SavedModel(module, None, {"class_names": names, **card})


def images(names, channels=3, **facts):
  count = 2 * len(names)
  pixels = np.zeros((count, 4, 4, channels), np.uint8)
  split = data.Split(pixels, np.arange(count, dtype=np.int32) % len(names))
  return data.Dataset(
    "made", tuple(names), split, split, False, 0, "there", **facts
  )


NUMBERS = ("0", "1", "2", "3")


@pytest.mark.parametrize(
  ("model", "dataset"),
  [
    (saved(CAR), images(CAR)),
    (saved(["caf\u00e9", "b"]), images(["cafe\u0301", "b"])),
    (saved([0, 1]), images([0, 1])),
    (saved(CAR), images(NUMBERS, numbered=True)),
    (saved(NUMBERS, numbered_classes=True), images(CAR)),
  ],
)
def test_the_same_classes(model, dataset):
  classes.check("model", model, dataset)


@pytest.mark.parametrize(
  ("model", "dataset", "message"),
  [
    (
      saved(["cat", "dog"]),
      images(["bus", "tram"]),
      "m is for the classes 'cat', 'dog': 2 .*; there has 'bus', 'tram': 2 ",
    ),
    (saved(CAR), images(CAR[::-1]), "another order, .* 0: 'cat' and 'truck'"),
    (
      saved([*map(str, range(90)), "a"]),
      images([*map(str, range(90)), "b"]),
      "'0', '1', '2', '3', …: 91 .*; other classes, .* 90: 'a' and 'b'",
    ),
    # Digits are named so; they are not numbers of unknown classes.
    (saved(CAR), images(NUMBERS), "other classes, the first at class 0"),
    (saved(NUMBERS), images(CAR), "other classes, the first at class 0"),
    (saved(CAR), images(NUMBERS[:3], numbered=True), "4 classes and .* 3 clas"),
    # Folders called by numbers are sorted as words; an npz counts.
    (
      saved(["0", "1", "10", "2"]),
      images(["0", "1", "2", "10"], numbered=True),
      "another order, the first at class 2: '10' and '2'",
    ),
    (
      saved(NUMBERS, numbered_classes=True),
      images(NUMBERS[::-1]),
      "the same in another order",
    ),
    (saved(CAR), images(CAR, channels=1), "and 3 channels; .* and 1 channels"),
    (saved(CAR), images(CAR[:3]), "4 classes and 3 channels; .* 3 classes"),
    (saved(["\x1b[2J", "b"]), images(["a", "b"]), r"'\\x1b\[2J', 'b'"),
  ],
)
def test_other_classes(model, dataset, message):
  with pytest.raises(ValueError, match=message):
    classes.check("m", model, dataset)


NETWORK = ResNet((1,), (4,), 4, resolution=8)
RECIPE = Recipe()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  """A model of cats and dogs, which has learnt nothing."""
  path = tmp_path_factory.mktemp("run") / "members" / "tiny"
  zeros = jax.tree.map(
    lambda x: np.zeros(x.shape, x.dtype),
    model_files.variable_shapes(build(NETWORK, 2)),
  )
  settings = Settings(1, 4, 8, (0.5,) * 3, (0.5,) * 3)
  entry = {
    **{"name": "tiny", "macs": 1, "params": 1, "epochs": 1, "history": []},
    **{"test_accuracy": 0.5, "test_log_loss": 0.7, "scores": {}},
    "architecture": json.loads(NETWORK.to_json()),
    "recipe": json.loads(RECIPE.to_json()),
  }
  model_files.save(
    path,
    NETWORK,
    zeros,
    settings,
    ("cat", "dog"),
    entry=entry,
    entry_sha256=records.digest("entry", entry),
  )
  return path


def npz(path, *names):
  more = {"class_names": np.asarray(names)} if names else {}
  pixels = np.zeros((8, 8, 8, 3), np.uint8)
  np.savez(path, train_x=pixels, train_y=np.arange(8) % 2, **more)
  return path


def evaluated(model, path, workdir):
  config = load("eval.py").get_config()
  config.model = str(model)
  config.data.name, config.data.path = "npz", str(path)
  run_job(config, workdir)


def test_eval_on_other_classes(model, tmp_path):
  path = npz(tmp_path / "d.npz", "aeroplane", "bus")
  with pytest.raises(
    ValueError, match=r"'cat', 'dog'.*d.npz has 'aeroplane', 'bus'"
  ):
    evaluated(model, path, tmp_path / "a")
  with pytest.raises(ValueError, match="the same in another order"):
    evaluated(model, npz(path, "dog", "cat"), tmp_path / "b")
  # What has no names may be these classes.
  evaluated(model, npz(path), tmp_path / "c")
  assert (tmp_path / "c" / "result.json").exists()


def test_teachers_of_other_classes(model, tmp_path):
  dataset = data.load("npz", path=npz(tmp_path / "d.npz", "dog", "cat"))
  with pytest.raises(ValueError, match=r"config.teacher='.*tiny' is for the"):
    networks.read_teacher(str(model), "config.teacher", dataset)


def test_a_run_whose_data_has_become_another(model, tmp_path):
  dataset = data.load("npz", path=npz(tmp_path / "d.npz", "cat", "dog"))
  assert training._finished(model, NETWORK, RECIPE, dataset) is not None
  dataset = dataclasses.replace(dataset, class_names=("cat", "fox"))
  with pytest.raises(ValueError, match=r"model.json is for .* 'dog' and 'fox'"):
    training._finished(model, NETWORK, RECIPE, dataset)


def test_numbers_that_stand_for_names(tmp_path):
  unnamed = data.load("npz", path=npz(tmp_path / "d.npz"))
  assert unnamed.numbered and unnamed.class_names == ("0", "1")
  assert data.fold(unnamed, 2, 0, 0).numbered
  assert not data.load("npz", path=npz(tmp_path / "d.npz", "0", "1")).numbered
