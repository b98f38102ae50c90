"""The page of AutoBuild, from results that are made up."""

import pytest

from tests.report.pages import words, write

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"


def make_result(**changes):
  """A result of schema version 1 with one label."""
  row = {
    "expression": "acc / ms",
    "prediction": [0.9, 0.92],
    "hops": [[0.5, 0.6, 0.7], [0.6, 0.7, 0.8]],
    "ridge": 0.95,
    "constant": False,
    "unseen": [],
    "importance": [
      {"feature": "kernel", "values": ["3", "5"], "scores": [0.1, 0.3]}
    ],
    "stages": [
      {
        "stage": "stage1",
        "modules": 90,
        "best": [{"score": 1.5, "layers": ["k5 e6", "k3 e4"]}],
        "worst": [{"score": -1.25, "layers": ["k3 e3"]}],
      }
    ],
    "constructed": {
      "points": [[0.8, 4.0], [0.7, 3.0]],
      "hypervolume": 2.0,
      "with_training": 2.5,
      "beyond": 1,
    },
  }
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "autobuild",
    "config": {"labels": "mine.csv", "predictor": {"batch_size": 128}},
    "space": {"name": "mobilenetv3", "size": 10**19, "rows": 300},
    "train": 270,
    "held_out": 30,
    "accuracy": "acc",
    "cost": "ms",
    "training": {
      "points": [[0.7, 4.0], [0.6, 2.0]],
      "front": [[0.6, 2.0], [0.7, 4.0]],
      "reference": [0.6, 4.0],
      "hypervolume": 1.0,
    },
    "expressions": [row | changes],
    "times": {"phases": {"fit": 60.0}, "total": 90.0},
  }


def test_what_was_found_is_said_and_drawn(tmp_path):
  page = write(tmp_path, make_result())
  text = words(page)
  assert "By acc / ms, 1 of 2 networks put together" in text
  assert "does not beat the ridge regression on acc / ms" in text
  assert "k5 e6 → k3 e4 (1.500)" in text
  for name in ("chart-fronts", "chart-hops", "chart-importance0"):
    assert f'<svg id="{name}"' in page
  for absent in ("all equal", "No labelled network", "fewer labels"):
    assert absent not in text


@pytest.mark.parametrize(
  "changes, train, said",
  [
    ({"constant": True}, 270, "The labels are all equal"),
    (
      {"unseen": [{"stage": "stage2", "length": 3}]},
      270,
      "No labelled network has stage2 with 3 layers",
    ),
    ({}, 100, "fewer labels to learn from (100) than a batch holds (128)"),
  ],
)
def test_what_labels_cannot_tell_is_said(tmp_path, changes, train, said):
  result = make_result(**changes) | {"train": train}
  assert said in words(write(tmp_path, result))


def test_names_are_escaped(tmp_path):
  result = make_result(expression=HOSTILE) | {"cost": HOSTILE}
  result["space"]["name"] = result["config"]["labels"] = HOSTILE
  page = write(tmp_path, result)
  assert "<script" not in page
  assert "<b>猫" not in page


def test_what_is_missing_is_left_out(tmp_path):
  page = write(tmp_path, {"schema_version": 1, "job": "autobuild"})
  assert "The result holds no networks." in page
  assert "<svg" not in page
