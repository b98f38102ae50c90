"""Weights of other programs in and out."""

import dataclasses
import json
import pickle

import jax
import jax.numpy as jnp
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


def test_gray_images_take_the_sum_over_the_channels(tmp_path, capsys):
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
  assert "first kernels are summed over" in capsys.readouterr().out


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


@pytest.fixture(scope="module")
def whole():
  """The arrays of a network for 5 classes, by timm's names."""
  variables = filled(COLOUR, 5)
  return variables, weights.state_dict(COLOUR, variables)


@pytest.mark.parametrize("lost", ["bias", "weight"])
def test_a_classifier_that_lacks_an_array(whole, tmp_path, lost, capsys):
  arrays = {k: v for k, v in whole[1].items() if k != f"classifier.{lost}"}
  path = tmp_path / "w.safetensors"
  safetensors.write(path, arrays)
  assert models.compare_weights(path, COLOUR).missing == (f"classifier.{lost}",)
  for classes in (5, None):
    with pytest.raises(ValueError, match=f"missing: classifier.{lost}"):
      models.load_weights(path, COLOUR, classes)
  assert not capsys.readouterr().out
  models.load_weights(path, COLOUR, 3)
  said = "w.safetensors: the classifier is new, for 3 classes; the file has one"
  assert f"{said} for 5" in capsys.readouterr().out


def test_a_classifier_of_two_sizes(whole, tmp_path):
  path = tmp_path / "w.safetensors"
  safetensors.write(
    path, whole[1] | {"classifier.bias": np.zeros(3, np.float32)}
  )
  for classes in (3, 5):
    with pytest.raises(ValueError, match="shape of classifier"):
      models.load_weights(path, COLOUR, classes)


def test_a_file_without_a_classifier(whole, tmp_path, capsys):
  arrays = {k: v for k, v in whole[1].items() if "classifier" not in k}
  path = tmp_path / "w.safetensors"
  safetensors.write(path, arrays)
  with pytest.raises(ValueError, match="has no classifier; say num_classes"):
    models.load_weights(path, COLOUR)
  models.load_weights(path, COLOUR, 4)
  assert "for 4 classes; the file has none" in capsys.readouterr().out


def test_a_head_that_fits_is_not_spoken_of(whole, tmp_path, capsys):
  path = tmp_path / "w.safetensors"
  safetensors.write(path, whole[1])
  assert equal(models.load_weights(path, COLOUR, 5), whole[0])
  assert not capsys.readouterr().out


VARIANCE = "blocks.0.0.bn1.running_var"


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize(
  ("name", "value", "message"),
  [
    (VARIANCE, np.nan, r"running_var\[1\] is nan, and 1 of "),
    (VARIANCE, -0.5, r"running_var\[1\] is -0.5, and 1 of .* 0 or more"),
    ("conv_stem.weight", np.inf, r"\[0, 0, 0, 1\] is inf, and 1 of"),
    ("classifier.bias", -np.inf, r"classifier.bias\[1\] is -inf"),
  ],
)
def test_numbers_that_no_weight_can_be(
  whole, tmp_path, dtype, name, value, message
):
  changed = whole[1][name].copy()
  changed.flat[1] = value
  path = tmp_path / "w.safetensors"
  safetensors.write(path, whole[1] | {name: changed.astype(jnp.dtype(dtype))})
  # In a head that is to be replaced, too: the file is a broken one.
  for read in (models.compare_weights, models.load_weights):
    with pytest.raises(ValueError, match=message):
      read(path, COLOUR, 3)


def test_numbers_too_large_for_float32(whole, tmp_path):
  path = tmp_path / "w.safetensors"
  large = np.full(5, 1e300)
  safetensors.write(path, whole[1] | {"classifier.bias": large})
  with pytest.raises(ValueError, match=r"\[0\] is 1e\+300, and 5 of 5 numbers"):
    models.load_weights(path, COLOUR)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.bool_])
def test_whole_numbers_are_no_weights(whole, tmp_path, dtype):
  path = tmp_path / "w.safetensors"
  kernel = whole[1]["conv_stem.weight"].astype(dtype)
  safetensors.write(path, whole[1] | {"conv_stem.weight": kernel})
  with pytest.raises(ValueError, match=r"conv_stem.weight is .*; legal: float"):
    models.load_weights(path, COLOUR)


@pytest.mark.parametrize(
  "prefix",
  [
    "module.",
    "model.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "state_dict.model.",
    "model_ema.module.",
    "ema.",
    "timm_model.",
  ],
)
def test_a_prefix_that_all_names_have(whole, tmp_path, capsys, prefix):
  path = tmp_path / "w.safetensors"
  arrays = {prefix + name: array for name, array in whole[1].items()}
  # As an average of weights is saved by PyTorch.
  safetensors.write(path, {"n_averaged": np.asarray(3), **arrays})
  assert equal(models.load_weights(path, COLOUR), whole[0])
  assert f"'{prefix}' is taken off the names" in capsys.readouterr().out
  assert models.compare_weights(path, COLOUR).fits


@pytest.mark.parametrize(
  ("first", "second"),
  [("model.", "model_ema."), ("", "ema."), ("module.", "ema.module.")],
)
def test_a_plain_network_and_an_average_in_one_file(
  whole, tmp_path, first, second
):
  path = tmp_path / "w.safetensors"
  arrays = {
    prefix + name: array
    for prefix in (first, second)
    for name, array in whole[1].items()
  }
  safetensors.write(path, arrays)
  with pytest.raises(ValueError, match="has the network 2 times") as error:
    models.load_weights(path, COLOUR)
  for prefix in (first, second):
    assert (f"'{prefix}'" if prefix else "no prefix") in str(error.value)


def test_a_prefix_that_some_names_have(whole, tmp_path, capsys):
  path = tmp_path / "w.safetensors"
  names = list(whole[1])
  for wrapped in (names[:9], names[9:]):
    arrays = {
      f"module.{name}" if name in wrapped else name: array
      for name, array in whole[1].items()
    }
    safetensors.write(path, arrays)
    with pytest.raises(ValueError) as error:
      models.load_weights(path, COLOUR, 5)
    assert f"missing: {wrapped[0]}" in str(error.value)
    assert f"unused: module.{wrapped[0]}" in str(error.value)
  assert not capsys.readouterr().out


def sharded(folder, arrays, cut=9):
  """Two parts and their index, which is returned."""
  names = list(arrays)
  files = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
  for file, part in zip(files, (names[:cut], names[cut:]), strict=True):
    safetensors.write(folder / file, {name: arrays[name] for name in part})
  places = {name: files[i >= cut] for i, name in enumerate(names)}
  index = folder / "model.safetensors.index.json"
  index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
  return index, places


def test_a_file_in_parts(whole, tmp_path):
  index, _ = sharded(tmp_path, whole[1])
  assert equal(models.load_weights(index, COLOUR), whole[0])
  part = tmp_path / "model-00001-of-00002.safetensors"
  with pytest.raises(
    ValueError, match=r"is part 1 of 2; legal: .*model.safetensors.index.json"
  ):
    models.load_weights(part, COLOUR)
  # One of one is whole.
  alone = tmp_path / "model-00001-of-00001.safetensors"
  safetensors.write(alone, whole[1])
  assert equal(models.load_weights(alone, COLOUR), whole[0])
  part.unlink()
  with pytest.raises(ValueError, match=f"part {part.name} is missing"):
    models.load_weights(index, COLOUR)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"conv_stem.weight": "../model-00001-of-00002.safetensors"}, "beside it"),
    ({"conv_stem.weight": "/model-00001-of-00002.safetensors"}, "beside it"),
    ({"conv_stem.weight": ".."}, "beside it"),
    ({"conv_stem.weight": 3}, "has 3 for conv_stem.weight"),
    ({"conv_stem.weight": "absent.safetensors"}, "absent.safetensors is miss"),
    (
      {"more.weight": "model-00002-of-00002.safetensors"},
      "more.weight is not in model-00002-of",
    ),
    (
      {"conv_stem.weight": "model-00002-of-00002.safetensors"},
      "conv_stem.weight is not in model-00002-of",
    ),
    ({"conv_stem.weight": "model.safetensors.index.json"}, "no safetensors"),
    ({"conv_stem.weight": "a\nb"}, r"the part a\\nb is missing"),
  ],
)
def test_an_index_that_leads_elsewhere(whole, tmp_path, change, message):
  index, places = sharded(tmp_path, whole[1])
  index.write_text(json.dumps({"weight_map": places | change}))
  with pytest.raises(ValueError, match=message):
    models.load_weights(index, COLOUR)


def test_names_that_would_break_a_line(whole, tmp_path):
  path = tmp_path / "weights.safetensors"
  safetensors.write(path, whole[1] | {"a\nmissing: b": np.zeros(1, "f4")})
  with pytest.raises(ValueError, match=r"1 do not fit:\n  unused: a\\nmiss"):
    models.load_weights(path, COLOUR)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{}", "weight_map is None"),
    ('{"weight_map": {}}', "weight_map is {}"),
    ('{"weight_map": []}', r"weight_map is \[\]"),
    ("[]", "legal: a JSON object"),
    ("{", "is no JSON"),
  ],
)
def test_what_is_no_index(tmp_path, text, message):
  (tmp_path / "a.json").write_text(text)
  with pytest.raises(ValueError, match=message):
    safetensors.read(tmp_path / "a.json")
  with pytest.raises(ValueError, match="no such file"):
    safetensors.read(tmp_path / "b.json")


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
    (lambda _: pickle.dumps({"a": 1}), "is a pickle, .*torch.save"),
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
    {"dtype": "F32", "shape": [1] * 70, "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]},
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
