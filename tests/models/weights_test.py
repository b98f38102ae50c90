"""Weights of other programs in and out."""

import dataclasses
import json
import pickle

import jax
import numpy as np
import pytest

from fbnax import costs, models, spaces
from fbnax.models import safetensors, weight_names, weight_places, weights
from fbnax.spaces import zoo
from tests.models import torch_peers

SPACE = spaces.get("small")
SMALLEST = SPACE.architecture(np.zeros(len(SPACE.decisions), int))
COLOUR = dataclasses.replace(
  SMALLEST,
  resolution=8,
  input_channels=3,
  stem=dataclasses.replace(SMALLEST.stem, bias=False),
)


def filled(architecture, classes, seed=0):
  """Random variables of a network, made without compiling anything."""
  shapes = weight_places._shapes(architecture, classes)
  rng = np.random.default_rng(seed)
  return jax.tree_util.tree_map_with_path(
    lambda path, s: (
      rng.uniform(0.5, 1.5, s.shape)
      if path[-1].key in ("var", "scale")
      else rng.normal(0, 0.3, s.shape)
    ).astype(np.float32),
    shapes,
  )


def equal(a, b):
  return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def logits(architecture, variables, images):
  classes = variables["params"]["head"]["classifier"]["bias"].shape[-1]
  module = models.Network(architecture, classes)
  return np.asarray(module.apply(variables, images, train=False))


@pytest.mark.parametrize("name", torch_peers.NETWORKS)
def test_names_and_shapes_are_those_of_timm(name):
  architecture = zoo.get(f"timm_{name}")
  found = weights.state_dict(architecture, filled(architecture, 1000))
  recorded = json.loads(torch_peers.RECORD.read_text())[name]
  assert torch_peers.digest({k: v.shape for k, v in found.items()}) == recorded


@pytest.mark.parametrize("name", torch_peers.NETWORKS)
def test_logits_are_timms_and_weights_come_back(name, tmp_path):
  module = torch_peers.network(name)
  import torch

  architecture = zoo.get(f"timm_{name}")
  given = module.state_dict()
  # By this package, so that the library need not be there.
  safetensors.write(
    tmp_path / "in", {k: v.numpy() for k, v in given.items()}, {"format": "pt"}
  )
  variables = models.load_weights(tmp_path / "in", architecture)
  models.save_weights(tmp_path / "out", architecture, variables)
  back = safetensors.read(tmp_path / "out")
  assert set(back) == set(given)
  for key, value in given.items():
    assert np.array_equal(back[key], value.numpy()), key
    assert back[key].dtype == value.numpy().dtype, key
  for side in (architecture.resolution, 96):
    images = np.random.default_rng(0).normal(size=(2, side, side, 3))
    images = images.astype(np.float32)
    with torch.no_grad():
      wanted = module(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    found = jax.jit(
      lambda v, x: models.Network(architecture, 1000).apply(v, x, train=False)
    )(variables, images)
    # Close, compared with how much they depend on the images, too.
    close = min(1e-4, 0.02 * wanted.std(0).max())
    np.testing.assert_allclose(found, wanted, atol=close, rtol=0)


def test_the_library_reads_and_writes_the_same(tmp_path):
  library = pytest.importorskip("safetensors.numpy")
  arrays = {
    "b": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a": np.asarray(3, np.int64),
    "empty": np.zeros((0, 2), np.float32),
  }
  safetensors.write(tmp_path / "ours", arrays, {"format": "pt"})
  found = library.load_file(tmp_path / "ours")
  assert {k: v.tolist() for k, v in found.items()} == {
    k: v.tolist() for k, v in arrays.items()
  }
  library.save_file(arrays, tmp_path / "theirs")
  for name, value in safetensors.read(tmp_path / "theirs").items():
    assert np.array_equal(value, arrays[name])
    assert value.dtype == arrays[name].dtype


def test_official_names():
  """As the published programs name them; facts, so written out."""
  found = weight_names.modules(zoo.get("fbnetv3_a"), "official")
  at = "backbone.stages."
  assert found["stem", "conv"] == f"{at}xif0_0.conv"
  assert found["stem", "norm"] == f"{at}xif0_0.bn"
  assert ("stage1_block0", "expand", "conv") not in found
  assert found["stage1_block1", "depthwise", "conv"] == f"{at}xif1_1.dw.conv"
  assert found["stage2_block0", "expand", "norm"] == f"{at}xif2_0.pw.bn"
  # Stage 4 holds two rows, in one numbering.
  inner = ("stage4_block5", "squeeze_excite")
  assert found[*inner, "squeeze"] == f"{at}xif4_5.se.se.0.conv"
  assert found[*inner, "excite"] == f"{at}xif4_5.se.se.1"
  assert found["stage5_block6", "project", "conv"] == f"{at}xif5_6.pwl.conv"
  assert found["head", "expand", "conv"] == f"{at}xif6_0.pw.conv"
  assert found["head", "project"] == f"{at}xif6_0.pwl.conv"
  assert found["head", "classifier"] == "head.conv"
  # Identities count, and have no weights; a skip that widens has.
  found = weight_names.modules(zoo.get("fbnetv2_f1"), "official")
  assert found["stage4_block3", "skip", "conv"] == f"{at}xif4_3.conv.conv"
  assert found["stage4_block4", "expand", "conv"] == f"{at}xif4_4.pw.conv"
  found = weight_names.modules(zoo.get("fbnet_a"), "official")
  assert not any(module[0] == "stage1_block0" for module in found)
  assert found["head", "expand", "conv"] == f"{at}xif6_0.conv"


@pytest.mark.parametrize("name", ["fbnet_96", "fbnetv2_f1"])
def test_official_weights_there_and_back(name, tmp_path):
  architecture = zoo.get(name)
  variables = filled(architecture, 7)
  path = tmp_path / "w.safetensors"
  models.save_weights(path, architecture, variables, "official")
  arrays = safetensors.read(path)
  assert arrays["head.conv.weight"].shape[2:] == (1, 1)
  # As saved from several devices.
  safetensors.write(path, {f"module.{n}": a for n, a in arrays.items()})
  assert equal(models.load_weights(path, architecture), variables)
  assert equal(models.load_weights(path, name), variables)


def test_every_network_of_the_zoo_has_official_names():
  for name in zoo.names():
    found = weight_names.modules(zoo.get(name), "official")
    assert len(set(found.values())) == len(found)
    norms = sum(module[-1] == "norm" for module in found)
    rows = costs.layers(zoo.get(name))
    assert len(found) - norms == len(rows), name


def test_a_searched_network_goes_to_timm_without_its_biases(tmp_path):
  architecture = dataclasses.replace(
    COLOUR,
    stem=dataclasses.replace(COLOUR.stem, bias=True),
    head=dataclasses.replace(COLOUR.head, bias=True),
    block_bias=True,
  )
  variables = filled(architecture, 4)
  path = tmp_path / "w.safetensors"
  models.save_weights(path, architecture, variables)
  plain, moved = weights.unbiased(architecture, variables)
  assert not (plain.stem.bias or plain.head.bias or plain.block_bias)
  loaded = models.load_weights(path, plain)
  assert equal(loaded, moved)
  images = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype("f4")
  wanted = logits(architecture, variables, images)
  found = logits(plain, loaded, images)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
  # The bias does something here.
  kept = filled(architecture, 4)
  kept["params"]["stem"]["conv"]["bias"] += 1
  assert np.abs(logits(architecture, kept, images) - wanted).max() > 1e-3


def test_a_new_head(tmp_path):
  path = tmp_path / "w.safetensors"
  variables = filled(COLOUR, 6)
  models.save_weights(path, COLOUR, variables)
  found = models.load_weights(path, COLOUR, 3)
  head = found["params"]["head"]["classifier"]
  assert head["kernel"].shape[-1] == 3
  assert not np.any(head["bias"])
  assert 0.003 < np.std(head["kernel"]) < 0.03
  again = models.load_weights(path, COLOUR, 3, key=jax.random.key(1))
  other = again["params"]["head"]["classifier"]["kernel"]
  assert not np.array_equal(other, head["kernel"])
  for tree in (found, variables):
    tree["params"]["head"].pop("classifier")
  assert equal(found, variables)


def test_gray_images_take_the_sum_over_the_channels(tmp_path):
  path = tmp_path / "w.safetensors"
  variables = filled(COLOUR, 5)
  models.save_weights(path, COLOUR, variables)
  gray = dataclasses.replace(COLOUR, input_channels=1)
  images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("f4")
  np.testing.assert_allclose(
    logits(gray, models.load_weights(path, gray), images),
    logits(COLOUR, variables, images.repeat(3, -1)),
    rtol=1e-4,
    atol=1e-5,
  )


def test_a_file_of_another_network_lists_everything(tmp_path):
  path = tmp_path / "w.safetensors"
  models.save_weights(path, COLOUR, filled(COLOUR, 5))
  arrays = safetensors.read(path)
  lost = "blocks.0.0.bn1.running_var"
  del arrays[lost]
  arrays["extra.weight"] = np.zeros(3, np.float32)
  arrays["conv_stem.weight"] = np.zeros((9, 3, 3, 3), np.float32)
  safetensors.write(path, arrays)
  found = models.compare_weights(path, COLOUR)
  assert found.missing == (lost,)
  assert found.unused == ("extra.weight",)
  assert list(found.misfits) == ["conv_stem.weight"]
  assert found.num_classes == 5
  with pytest.raises(ValueError) as error:
    models.load_weights(path, COLOUR)
  for text in (f"missing: {lost}", "unused: extra.weight", "[9, 3, 3, 3]"):
    assert text in str(error.value)


def test_networks_that_timm_does_not_have():
  grouped = zoo.get("fbnet_a")
  with pytest.raises(ValueError, match="grouped 1x1"):
    weight_names.modules(grouped, "timm")
  with pytest.raises(ValueError, match="padding"):
    weight_names.modules(zoo.get("fbnetv3_a"), "timm")
  with pytest.raises(ValueError, match="timm, official"):
    weight_names.modules(grouped, "caffe")


def _whole(tmp_path):
  path = tmp_path / "whole"
  safetensors.write(path, {"conv_stem.weight": np.zeros((4, 3), np.float32)})
  return path.read_bytes()


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda _: pickle.dumps({"a": 1}), "is a pickle; .*weights_only"),
    (lambda _: b"PK\x03\x04" + b"\0" * 40, "zip archive, as torch.save"),
    (lambda _: b"", "no safetensors file"),
    (lambda _: b"hello, this is some text", "no safetensors file"),
    (lambda whole: whole[:-5], "cut off: conv_stem.weight ends at byte 48"),
    (lambda whole: whole[:30], "cut off: its header"),
    (lambda whole: whole + b"\0", "damaged: 1 bytes after"),
    (lambda whole: whole.replace(b'"F32"', b'"F33"'), "type 'F33'; legal: F64"),
    (lambda whole: whole.replace(b"[4,3]", b"[4,4]"), "damaged: conv_stem"),
    (lambda whole: whole.replace(b"[4,3]", b"[4,-"), "damaged: its header"),
    (lambda whole: whole.replace(b"[0,48]", b"[9,48]"), "damaged: conv_stem"),
  ],
)
def test_what_is_no_safetensors_file(tmp_path, change, message):
  path = tmp_path / "bad"
  path.write_bytes(change(_whole(tmp_path)))
  with pytest.raises(ValueError, match=message):
    models.load_weights(path, COLOUR)


def test_other_wrong_files(tmp_path):
  with pytest.raises(ValueError, match="no such file"):
    models.load_weights(tmp_path / "nothing", COLOUR)
  with pytest.raises(ValueError, match="is a directory"):
    models.load_weights(tmp_path, COLOUR)
  safetensors.write(tmp_path / "w", {"layer1.0.weight": np.zeros(3)})
  with pytest.raises(ValueError, match=r"no weights of a known layout.*layer1"):
    models.load_weights(tmp_path / "w", COLOUR)
  with pytest.raises(ValueError, match="complex64; legal: F64"):
    safetensors.write(tmp_path / "w", {"a": np.zeros(3, np.complex64)})
  with pytest.raises(ValueError, match="nearest"):
    models.load_weights(tmp_path / "w", "timm_fbnetc")


@pytest.mark.parametrize(
  "entry",
  [
    {"dtype": [], "shape": [1], "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4]},
    {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]},
    {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [10**40], "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [1]},
    [],
    None,
  ],
)
def test_headers_that_describe_no_array(tmp_path, entry):
  header = json.dumps({"a": entry}).encode()
  path = tmp_path / "w.safetensors"
  path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
  with pytest.raises(ValueError, match=r"w\.safetensors"):
    safetensors.read(path)


def test_a_header_without_end(tmp_path):
  header = b'{"a":' * 100_000
  path = tmp_path / "w.safetensors"
  path.write_bytes(len(header).to_bytes(8, "little") + header)
  with pytest.raises(ValueError, match="is damaged: its header"):
    safetensors.read(path)
