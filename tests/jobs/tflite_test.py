"""TensorFlow Lite files: the same network, on a phone and a microcontroller."""

import dataclasses
import importlib.util

import jax
import numpy as np
import pytest

from fbnax import models
from fbnax.jobs.export import (
  c_array,
  predicting_files,
  tflite_files,
  tflite_int8,
)
from fbnax.models import folded
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.resnet import ResNet

needs_tflite = pytest.mark.skipif(
  bool(tflite_int8.missing()), reason="needs: pip install 'fbnax[tflite]'"
)
needs_micro = pytest.mark.skipif(
  not tflite_int8.has_micro(), reason="needs: pip install 'fbnax[tflm]'"
)
pytestmark = [
  needs_tflite,
  # Of LiteRT, where a quantizer looks at all maps.
  pytest.mark.filterwarnings("ignore:Warning. Enabling:UserWarning"),
]


def _network(side, channels=3, **changes):
  """Both paddings at both strides, all activations, gates, groups, skips."""
  blocks = (
    Block(channels=8, stage=1, expansion=2.0, stride=2, kernel=3),
    Block(channels=8, stage=1, expansion=2.0, kernel=5, activation="hswish"),
    Block(
      channels=12,
      stage=2,
      expansion=3.0,
      stride=2,
      kernel=5,
      activation="silu",
      squeeze_excite=True,
    ),
    Block(channels=12, stage=2, expansion=1.0, groups=2, activation="relu6"),
  )
  return Architecture(
    resolution=side,
    input_channels=channels,
    stem=Stem(channels=8, stride=2, activation="relu6"),
    blocks=blocks,
    head=Head(channels=16, expansion=0.0, activation="hswish"),
    **changes,
  )


def _steps(network, classes=4, seed=0):
  """Of random weights and statistics."""
  module = models.building.build(network, classes)
  side, channels = network.resolution, network.input_channels
  variables = jax.jit(
    lambda key: module.init(
      key, np.zeros((1, side, side, channels), np.float32), train=False
    )
  )(jax.random.key(seed))
  rng = np.random.default_rng(seed)

  def drawn(path, leaf):
    name = jax.tree_util.keystr(path)
    if leaf.ndim > 1:
      return np.asarray(leaf)
    low = 0.5 if "var" in name or "scale" in name else -0.3
    return rng.uniform(low, low + 0.8, leaf.shape).astype(np.float32)

  return folded.fold(
    network, jax.tree_util.tree_map_with_path(drawn, variables)
  )


@pytest.fixture(scope="module")
def steps():
  return _steps(_network(18))


def _operators(content):
  return [
    tflite_files.unpack(content).operatorCodes[o.opcodeIndex].builtinCode
    for o in tflite_files.unpack(content).subgraphs[0].operators
  ]


@pytest.mark.parametrize(
  "network",
  [
    _network(18),
    _network(17, channels=1),
    _network(18, padding="same"),
    ResNet(blocks=(1, 1), widths=(4, 8), stem=4, preactivation=True),
  ],
  ids=["even", "odd", "same", "resnet"],
)
def test_the_float_file_is_the_network(network):
  steps = _steps(network)
  side, channels = network.resolution, network.input_channels
  images = np.random.default_rng(1).normal(size=(2, side, side, channels))
  images = images.astype(np.float32)
  content = tflite_files.convert(steps, images.shape[1:])
  logits = np.asarray(folded.run(steps, images))
  found = tflite_files.run(content, images)
  scale = np.abs(logits).max()
  np.testing.assert_allclose(found, logits, atol=1e-5 * scale)


def test_operators_are_those_of_the_network(steps):
  """No transposes; pads where a stride meets an even side; ReLUs are fused."""
  from ai_edge_litert import schema_py_generated as schema

  kinds = schema.BuiltinOperator
  even = _operators(tflite_files.convert(steps, (18, 18, 3)))
  assert even.count(kinds.PAD) == 1  # 18 to 9; 9 to 5 and 5 to 3 need none.
  assert kinds.RELU not in even and kinds.RELU6 not in even
  # Of the channel shuffle alone.
  assert even.count(kinds.TRANSPOSE) <= 1


@pytest.mark.parametrize(("classes", "channels"), [(1, 1), (2, 3), (1000, 1)])
def test_numbers_of_classes_and_channels(classes, channels):
  network = dataclasses.replace(_network(12), input_channels=channels)
  content = tflite_files.convert(_steps(network, classes), (12, 12, channels))
  graph = tflite_files.unpack(content).subgraphs[0]
  assert content[4:8] == b"TFL3"
  shapes = [
    tuple(graph.tensors[i].shape) for i in (*graph.inputs, *graph.outputs)
  ]
  assert shapes == [(1, 12, 12, channels), (1, classes)]
  images = np.zeros((1, 12, 12, channels), np.float32)
  assert tflite_files.run(content, images).shape == (1, classes)


@pytest.fixture(scope="module")
def quantized(steps):
  """The int8 file, its pixels, and the network's logits of them."""
  mean, std = (0.4, 0.4, 0.4), (0.25, 0.2, 0.25)
  network = tflite_int8.of_pixels(steps, mean, std)
  assert network.zero == 102
  pixels = np.random.default_rng(2).integers(0, 256, (40, 18, 18, 3))
  content = tflite_int8.quantize(
    network.steps, pixels[:32] - network.zero, (-102.0, 153.0)
  )
  normal = (pixels / 255.0 - mean) / std
  logits = folded.run(steps, normal.astype(np.float32))
  return content, pixels, np.asarray(logits)


def test_int8_is_int8_throughout(quantized, steps):
  content, pixels, logits = quantized
  assert tflite_int8.tensor_types(content) == {"int8", "int32"}
  # A pixel is its number less 128: nothing is rounded on the way in.
  integers = tflite_int8.as_integers(content, pixels, 102)
  np.testing.assert_array_equal(integers, pixels - 128)
  found = tflite_int8.run(content, integers[32:])
  error = np.abs(found.logits - logits[32:]).max()
  assert error < 0.15 * np.ptp(logits)
  (_, (scale, offset)) = tflite_int8.quantization(content)
  np.testing.assert_allclose(
    found.logits, scale * (found.integers.astype(float) - offset), rtol=1e-6
  )
  # Where microcontrollers do not look, nothing stands.
  assert not any(b.offset for b in tflite_files.unpack(content).buffers)
  # Far less than float32, whose weights alone are four times as much.
  assert len(content) < len(tflite_files.convert(steps, (18, 18, 3)))


@needs_micro
def test_a_microcontroller_gives_the_same(quantized):
  from fbnax.jobs.export import device

  content, pixels, _ = quantized
  integers = tflite_int8.as_integers(content, pixels[32:], 102)
  micro = tflite_int8.run_micro(content, integers)
  reference = tflite_int8.run(content, integers, reference=True)
  steps = micro.integers.astype(int) - reference.integers.astype(int)
  assert np.abs(steps).max() <= 1
  arena = device.arena_bytes(content)
  assert 9 * 9 * 8 < arena < 1 << 20
  loading = device.loading_arena(content, arena)
  from tflite_micro import runtime

  runtime.Interpreter.from_bytes(content, arena_size=loading)
  with pytest.raises(RuntimeError, match="failed to allocate"):
    runtime.Interpreter.from_bytes(content, arena_size=loading - 64)


@pytest.mark.parametrize("side", [18, 20])
def test_channels_that_never_open(side):
  """A dead map, a kernel of zeros: scales of 0, and biases that overflow.

  With 20 pixels the map is padded before it is read.
  """
  steps = _steps(_network(side))
  dead = list(steps)
  place = next(i for i, s in enumerate(steps) if i and s.op == "conv")
  arrays = dict(steps[place].arrays)
  arrays["kernel"] = 0 * arrays["kernel"]
  arrays["bias"] = np.full_like(arrays["bias"], -1.0)
  dead[place] = steps[place]._replace(arrays=arrays)
  images = np.random.default_rng(3).normal(size=(16, side, side, 3))
  content = tflite_int8.quantize(tuple(dead), images)
  logits = np.asarray(folded.run(tuple(dead), images.astype(np.float32)))
  found = tflite_int8.run(
    content, tflite_int8.as_integers(content, images)
  ).logits
  assert np.abs(found - logits).max() < 0.15 * max(np.ptp(logits), 0.1)


def test_means_of_channels_that_differ_stay_an_operation(steps):
  network = tflite_int8.of_pixels(steps, (0.485, 0.456, 0.406), (0.2,) * 3)
  assert network.zero == 0 and network.steps[0].op == "scale"
  assert len(network.steps) == len(steps) + 1


def test_what_cannot_be_quantized_is_told(steps):
  with pytest.raises(ValueError, match="no calibration images; legal: at leas"):
    tflite_int8.quantize(steps, np.zeros((0, 18, 18, 3)))
  first = steps[0]
  broken = {**first.arrays, "bias": np.full_like(first.arrays["bias"], np.nan)}
  images = np.zeros((2, 18, 18, 3))
  with pytest.raises(ValueError, match="not finite"):
    tflite_int8.quantize((first._replace(arrays=broken), *steps[1:]), images)


def test_texts_and_sources(quantized):
  content = quantized[0]
  with_labels = tflite_files.with_metadata(content, {"labels.txt": "a\nb"})
  assert tflite_files.metadata(with_labels, "labels.txt") == "a\nb"
  assert tflite_files.metadata(content, "labels.txt") is None
  names = ("a*/", "b\\", "c\n", "d")
  files = c_array.sources(with_labels, (18, 18, 3), names, 4321)
  assert "kArenaBytes = 4321;" in files["model_int8.h"]
  assert files["model_int8.cc"].count("0x") == len(with_labels)
  program = files["example.cc"]
  operators = tflite_files.operators(with_labels)
  assert f"MicroMutableOpResolver<{len(operators)}>" in program
  for call in ("AddConv2D", "AddDepthwiseConv2D", "AddFullyConnected"):
    assert f"operators.{call}();" in program
  (comment,) = [s for s in files["model_int8.h"].splitlines() if "class" in s]
  assert comment == "// 4 classes: a*/, b?, c?, d"


def test_files_that_say_nothing_of_images(quantized, tmp_path):
  (tmp_path / "a.tflite").write_bytes(quantized[0])
  with pytest.raises(ValueError, match="neither its classes nor how"):
    predicting_files.predict(tmp_path / "a.tflite", [])
  (tmp_path / "b.tflite").write_bytes(b"not at all")
  with pytest.raises(ValueError, match=r"b.tflite is no TensorFlow Lite file"):
    predicting_files.predict(tmp_path / "b.tflite", [])


def test_the_missing_package_is_named(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  assert tflite_files.missing() == "ai-edge-litert"
  assert tflite_int8.missing() == "ai-edge-litert"
