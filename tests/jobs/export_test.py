"""Job `export`: what is exported runs elsewhere and gives the same."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from fbnax import models, spaces
from fbnax.jobs.export import onnx_files, tflite_files, tflite_int8
from fbnax.jobs.export import programs as exporting
from fbnax.models import folded
from fbnax.training import model_files
from fbnax.training.recipes import Settings

ROOT = pathlib.Path(__file__).parents[2]
MEAN, STD = (0.3,), (0.4,)


@pytest.fixture(scope="module")
def member(tmp_path_factory):
  """A run's directory with one member."""
  folder = tmp_path_factory.mktemp("run")
  space = spaces.get("small")
  network = dataclasses.replace(
    space.architecture(np.zeros(len(space.decisions), int)), input_channels=1
  )
  variables = jax.jit(
    lambda k: models.initialize(
      models.Network(network, 10),
      k,
      np.zeros((1, network.resolution, network.resolution, 1), np.float32),
      train=False,
    )
  )(jax.random.key(0))
  side = network.resolution
  model_files.save(
    folder / "members" / "tiny",
    network,
    variables,
    Settings(1, 32, side, MEAN, STD),
    tuple("0123456789"),
    recipe={"optimizer": "sgd"},
    licence="BSD",
    entry={"test_accuracy": 0.75, "test_log_loss": 0.5},
  )
  budget = {"macs": [1.0, 2.0], "params": None}
  (folder / "result.json").write_text(
    json.dumps({"members": [{"name": "tiny", "budget": budget}]})
  )
  return folder / "members" / "tiny"


def run(workdir, *flags):
  return subprocess.run(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT}/configs/export.py",
      f"--workdir={workdir}",
      *flags,
    ],
    capture_output=True,
    text=True,
    check=False,
  )


def predict_with(model, member, folder):
  """Classes and probabilities of an image, the likeliest first."""
  from fbnax.jobs.export import predicting_files
  from fbnax.jobs.runtime import predicting

  image = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
  Image.fromarray(image).save(folder / "image.png")
  predict = predicting.predict if model == member else predicting_files.predict
  (found,) = predict(model, [folder / "image.png"], top=2)
  assert found.image.shape[2] == 1 and "squeezed" in found.notes[0]
  return found.classes


def test_a_fresh_process_without_this_package(member, tmp_path):
  on_device = ("--config.tflite", "--config.int8", "--config.max_drop=0")
  if tflite_int8.missing():
    on_device = ()
  done = run(
    tmp_path / "out",
    f"--config.model={member}",
    "--config.budget_ms=5",
    "--config.repeats=3",
    "--config.data.max_images=60",
    *on_device,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert "the budget is 5 ms" in done.stdout
  saved = model_files.load(member)
  side = saved.module.architecture.resolution
  for batch in (1, 7):
    images = np.random.default_rng(batch).integers(
      0, 256, (batch, side, side, 1), np.uint8
    )
    np.save(tmp_path / "images.npy", images)
    # Isolated, so that neither the environment nor this folder gives fbnax.
    code = (
      "import runpy, sys; sys.modules['fbnax'] = None;"
      f"sys.argv = ['load.py', {str(tmp_path / 'images.npy')!r}];"
      f"runpy.run_path({str(tmp_path / 'out' / 'load.py')!r})"
    )
    subprocess.run(
      [sys.executable, "-I", "-c", code],
      check=True,
      cwd=tmp_path,
      env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    normal = ((images / 255.0 - MEAN) / STD).astype(np.float32)
    wanted = jax.jit(
      lambda x: saved.module.apply(saved.variables, x, train=False)
    )(normal)
    found = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(found, wanted, atol=1e-6, rtol=0)
  card = json.loads((tmp_path / "out" / "model.json").read_text())
  if on_device:
    content = (tmp_path / "out" / "model_int8.tflite").read_bytes()
    assert tflite_files.metadata(content, "labels.txt") == "\n".join(
      "0123456789"
    )
    assert card["programs"]["int8"]["bytes"] == len(content)
    assert card["programs"]["tflite"]["difference"] < 1e-4
    checks = card["int8"]
    assert checks["tensor_types"] == ["int32", "int8"]
    assert checks["images"] == 60 and checks["same_class"] > 0.8
    drop = checks["float_accuracy"] - checks["int8_accuracy"]
    assert ("warning: int8 costs" in done.stdout) == (drop > 0)
    assert f"on {checks['images']} test images" in done.stdout
    assert (tmp_path / "out" / "example.cc").is_file()
    by_file, by_network = (
      predict_with(model, member, tmp_path)
      for model in (tmp_path / "out" / "model_int8.tflite", member)
    )
    assert [name for name, _ in by_file] == [name for name, _ in by_network]
    for (_, one), (_, other) in zip(by_file, by_network, strict=True):
      assert abs(one - other) < 0.05
  assert card["schema_version"] == 1
  assert card["accuracy"]["test_accuracy"] == 0.75
  assert card["costs"]["macs"] > 0
  assert card["licence"] == "BSD"
  readme = (tmp_path / "out" / "README.md").read_text()
  assert readme.startswith('---\nlicense: "bsd"\n')
  assert card["budget"]["macs"] == [1.0, 2.0]
  assert card["latency"]["ms"] > 0
  assert card["input"]["dtype"] == "uint8"
  assert card["class_names"] == list("0123456789")
  assert card["weights"] == "weights.safetensors"
  plain, wanted = models.weights.unbiased(
    saved.module.architecture, saved.variables
  )
  loaded = models.load_weights(tmp_path / "out" / "weights.safetensors", plain)
  assert jax.tree.all(jax.tree.map(np.array_equal, loaded, wanted))


@pytest.mark.skipif(
  bool(onnx_files.missing()), reason="the extra `onnx` is not installed"
)
@pytest.mark.parametrize(
  "name", ["small", "fbnet_a", "same", "bare", "preactivation"]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_onnx(name, dtype):
  from tests.models import folded_test

  network = folded_test.NETWORKS[name]
  module, variables = folded_test.filled(network)
  steps = folded.fold(network, variables)
  mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
  pixels = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), np.uint8)
  normal = ((pixels / 255.0 - mean) / std).astype(np.float32)
  images = normal
  if dtype == np.uint8:
    steps, images = exporting.normalizing(steps, mean, std), pixels
  model = onnx_files.convert(steps, (16, 16, 3), dtype)
  wanted = jax.jit(lambda x: module.apply(variables, x, train=False))(normal)
  for batch in (1, 7):
    found = onnx_files.run(model, images[:batch])
    np.testing.assert_allclose(found, wanted[:batch], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ((), "config.model is empty"),
    (("--config.model=nowhere",), "nowhere holds no model"),
    (("--config.model={}", "--config.budget_ms=-1"), "config.budget_ms is"),
    (
      ("--config.model={}", "--config.platforms=('cpu', 'metal')"),
      "legal: some of cpu, cuda, tpu",
    ),
  ],
)
def test_bad_input_is_told(member, tmp_path, flags, message):
  done = run(tmp_path / "out", *(flag.format(member) for flag in flags))
  assert done.returncode == 2, done.stderr[-2000:]
  assert message in done.stderr


@pytest.mark.skipif(
  bool(onnx_files.missing()), reason="the extra `onnx` is not installed"
)
def test_int8_onnx(member):
  from fbnax.jobs.export import onnx_int8

  saved = model_files.load(member)
  side = saved.module.architecture.resolution
  steps = folded.fold(saved.module.architecture, saved.variables)
  steps = exporting.normalizing(steps, MEAN, STD)
  model = onnx_files.convert(steps, (side, side, 1), np.uint8)
  images = np.random.default_rng(0).integers(0, 256, (40, side, side, 1))
  images = images.astype(np.uint8)
  quantized = onnx_int8.quantize(model, images[:32])
  wanted, found = (onnx_files.run(m, images[32:]) for m in (model, quantized))
  assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98
  assert b"QuantizeLinear" in quantized
  with pytest.raises(ValueError, match="no calibration images"):
    onnx_int8.quantize(model, images[:0])
