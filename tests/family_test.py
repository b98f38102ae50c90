"""The task as a function: its arguments, its family, and the job behind it."""

import json

import numpy as np
import pytest

import fbnax
from fbnax import family
from fbnax.data import Dataset


def test_images_in_memory_become_a_family(tmp_path, monkeypatch):
  """The job's own code path, of which the search is another test's matter."""
  from fbnax.jobs.runtime import shell

  asked = []

  def run_job(config, out):
    asked.append((config, out))
    rows = [
      {"name": name, "macs": macs, "params": 10, "test_accuracy": accuracy}
      for name, macs, accuracy in (("b", 20, 0.9), ("a", 10, 0.9), ("c", 30, 1))
    ]
    document = json.dumps({"job": "nars", "members": rows})
    (tmp_path / "run" / "result.json").write_text(document)

  monkeypatch.setattr(shell, "run_job", run_job)
  images = np.zeros((6, 8, 8), np.uint8)
  made = fbnax.design(
    images,
    [0, 1] * 3,
    macs=(2e5,),
    out=tmp_path / "run",
    class_names=("x", "y"),
    training__epochs=3,
  )
  ((config, out),) = asked
  assert out == tmp_path / "run" and config.job == "nars"
  assert config.budgets.macs == (2e5,) and config.training.epochs == 3
  with np.load(config.data.path) as arrays:
    assert arrays["train_x"].shape == (6, 8, 8)
    assert arrays["class_names"].tolist() == ["x", "y"]
  assert [m.name for m in made.members] == ["a", "b", "c"]
  assert made.best().name == "c"
  assert made.best(macs=25).name == "a"  # As accurate as b, and cheaper.
  with pytest.raises(ValueError, match=r"at most 5 MACs .* there are a \(10"):
    made.best(macs=5)
  with pytest.raises(ValueError, match="labels is None; legal: a number for"):
    fbnax.design(images, out=tmp_path / "run")
  with pytest.raises((KeyError, AttributeError), match="epoch"):
    fbnax.design(images, [0] * 6, out=tmp_path / "run", training__epoch=3)


def test_runs_that_are_none(tmp_path):
  (tmp_path / "config.json").touch()
  with pytest.raises(ValueError, match=r"no finished run.*: config\.json"):
    fbnax.open_run(tmp_path)
  (tmp_path / "result.json").write_text('{"job": "eval"}')
  with pytest.raises(ValueError, match="'eval' and has no members"):
    fbnax.open_run(tmp_path)


def test_a_data_set_keeps_its_test_images(tmp_path):
  from fbnax.data import load

  dataset = load("digits", max_images=20)
  assert isinstance(dataset, Dataset)
  keys = family._source(dataset, None, (), tmp_path)
  with np.load(keys["data.path"]) as arrays:
    np.testing.assert_array_equal(arrays["test_y"], dataset.test.labels)
    assert len(arrays["class_names"]) == 10
  assert family._source("a.npz", None, (), tmp_path)["data.name"] == "npz"


def test_names_of_the_package():
  assert {"design", "open_run", "Family", "Member"} <= set(dir(fbnax))
  with pytest.raises(AttributeError, match="no attribute 'desing'"):
    _ = fbnax.desing
