"""The detection example: its parts against numbers by hand, and the whole."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models.building import build
from fbnax.spaces import ResNet
from fbnax.training import model_files
from fbnax.training.recipes import Settings

FILE = Path(__file__).parents[1] / "launch" / "examples" / "detection.py"


@pytest.fixture(scope="module")
def example():
  spec = importlib.util.spec_from_file_location("detection", FILE)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  """A finished model with random weights, and its variables."""
  network = ResNet((1, 1, 1), (4, 4, 8), 4, resolution=8, input_channels=1)
  shapes = model_files.variable_shapes(build(network, 3))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda s: rng.uniform(0.1, 1, s.shape).astype(np.float32), shapes
  )
  path = tmp_path_factory.mktemp("run") / "tiny"
  settings = Settings(1, 1, 8, (0.3,), (0.4,))
  model_files.save(path, network, variables, settings, tuple("abc"))
  return path, variables


def test_overlap(example):
  boxes = np.asarray([[0, 0, 4, 4], [2, 2, 6, 6], [0, 0, 4, 2], [9, 9, 10, 10]])
  found = example.overlap(boxes[0].astype(float), boxes.astype(float))
  np.testing.assert_allclose(found, [1, 4 / 28, 0.5, 0], atol=1e-6)


def test_shapes_fill_their_boxes(example):
  black = np.zeros((3, 8, 8, 3), np.uint8)
  images, boxes, classes = example.scenes(
    np.random.default_rng(3), black, 30, 3
  )
  assert images.shape == (30, 64, 64, 3) and set(classes.flat) == {-1, 0, 1, 2}
  for image, own, kinds in zip(images, boxes, classes, strict=True):
    drawn = image.any(-1)
    for box, kind in zip(own, kinds, strict=True):
      if kind < 0:
        assert not box.any()
        continue
      left, top, right, bottom = box
      rows, columns = np.nonzero(
        drawn[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
      )
      assert np.ptp(rows) + 1 == pytest.approx(bottom - top, abs=2.5)
      assert np.ptp(columns) + 1 == pytest.approx(right - left, abs=2.5)
  covered = np.zeros_like(drawn)
  for left, top, right, bottom in np.round(own).astype(int):
    covered[top : bottom + 1, left : right + 1] = True
  assert not (drawn & ~covered).any()
  gray, _, _ = example.scenes(np.random.default_rng(0), black, 2, 1)
  assert gray.shape == (2, 64, 64, 1)


def test_a_perfect_answer_has_no_box_loss(example):
  boxes = np.asarray([[[8.0, 16, 32, 40], [0, 0, 0, 0]]], np.float32)
  classes = np.asarray([[1, -1]])
  middle = (np.arange(8) + 0.5) * 8
  x, y = np.meshgrid(middle, middle)
  sides = np.stack([x - 8, y - 16, 32 - x, 40 - y], -1)[None]
  np.testing.assert_allclose(
    example.decode(jnp.asarray(sides)),
    np.broadcast_to(boxes[0, 0], (1, 8, 8, 4)),
  )
  # Cells within a stride of the centre (20, 28) belong to the shape.
  mine = (np.abs(x - 20) < 8) & (np.abs(y - 28) < 8)
  logits = np.full((1, 8, 8, 3), -30.0)
  logits[0, mine, 1] = 30
  found = jnp.asarray(logits), jnp.asarray(sides)
  assert float(example.loss(found, boxes, classes)) < 1e-5
  wrong = jnp.roll(found[0], 1, -1), found[1]
  assert float(example.loss(wrong, boxes, classes)) > 1
  # Half of each box: 1 - IoU is a half for each of its cells.
  low = np.concatenate([sides[..., :3], (28 - y)[None, ..., None]], -1)
  assert float(
    example.loss((found[0], jnp.asarray(low)), boxes, classes)
  ) == pytest.approx(0.5, abs=1e-5)


def test_average_precision_by_hand(example):
  box = np.asarray([0.0, 0, 10, 10])
  boxes = np.asarray([[box, box + 20], [box, box * 0]], np.float32)
  classes = np.asarray([[0, 0], [0, -1]])
  # By score: right, wrong (found twice), right; one of three is missed.
  detections = [
    (np.asarray([0, 0]), np.asarray([0.9, 0.8]), np.stack([box, box])),
    (np.asarray([0, 1]), np.asarray([0.7, 0.9]), np.stack([box, box])),
  ]
  found = example.average_precision(detections, boxes, classes, 0)
  assert found == pytest.approx((1 + 2 / 3) / 3)
  assert example.average_precision(detections, boxes, classes, 2) == 0
  assert example.mean_overlap(detections, boxes, classes) == pytest.approx(
    2 / 3
  )


def test_of_each_shape_the_best_box_is_kept(example):
  logits = np.full((2, 2, 3), -9.0)
  logits[0, 0, 1], logits[0, 1, 1], logits[1, 0, 2] = 2, 3, 1
  boxes = np.tile(np.asarray([0.0, 0, 10, 10]), (2, 2, 1))
  kinds, scores, _ = example.best(logits, boxes)
  assert kinds.tolist() == [1, 2]
  np.testing.assert_allclose(scores, 1 / (1 + np.exp([-3.0, -1])))


def test_the_backbone_starts_as_the_model(example, model):
  path, wanted = model
  detector, variables, scale = example.start(path, "", jax.random.key(0))
  assert scale == ((0.3,), (0.4,))
  backbone = variables["params"]["backbone"]
  assert set(wanted["params"]) - set(backbone) == {"classifier"}
  for kind in ("params", "batch_stats"):
    for name, own in variables[kind]["backbone"].items():
      jax.tree.map(np.testing.assert_array_equal, own, wanted[kind][name])
  classes, sides = jax.eval_shape(
    lambda images: detector.apply(variables, images, train=False),
    jax.ShapeDtypeStruct((2, 64, 64, 1), jnp.float32),
  )
  assert classes.shape == (2, 16, 16, 3) and sides.shape == (2, 16, 16, 4)


@pytest.mark.slow  # 20 CPU-seconds of compilation.
def test_the_command(model, tmp_path):
  command = [sys.executable, str(FILE), f"--model={model[0]}"]
  sizes = ["--steps=2", "--batch=2", "--tests=8"]
  done = subprocess.run(
    [*command, *sizes, f"--picture={tmp_path / 'a.png'}"],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert "step 2: loss " in done.stdout and "mean IoU: " in done.stdout
  assert (tmp_path / "a.png").stat().st_size > 10_000
