"""Classifiers from elsewhere: the files, and what is refused in them."""

import json

import numpy as np
import pytest

from fbnax.jobs.nbdt import foreign
from fbnax.jobs.nbdt.config import ForeignKeys
from fbnax.models import safetensors

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(4, 3)).astype(np.float32)
LOGITS = RANDOM.normal(size=(6, 4)).astype(np.float32)
LABELS = np.asarray([0, 1, 2, 3, 0, 1])


def read(weights, logits="", key="", names=""):
  return foreign.read(ForeignKeys(str(weights), str(logits), key), names)


def saved(path, **arrays):
  np.savez(path, **arrays)
  return path


def test_all_in_one_file(tmp_path):
  images = RANDOM.integers(0, 256, (6, 2, 2, 1), np.uint8)
  path = saved(
    tmp_path / "all.npz",
    weights=WEIGHTS,
    logits=LOGITS.astype(np.float16),
    labels=LABELS,
    images=images,
    class_names=np.asarray(["a", "b", "c", "<d>"]),
  )
  found = read(path)
  np.testing.assert_array_equal(found.weights, WEIGHTS)
  np.testing.assert_allclose(found.logits, LOGITS, atol=2e-3)
  np.testing.assert_array_equal(found.labels, LABELS)
  np.testing.assert_array_equal(found.images, images)
  assert found.class_names == ("a", "b", "c", "<d>")


def test_names_in_bytes_may_repeat(tmp_path):
  names = np.asarray(["crane", "k\xfche", "crane", "d"])
  path = saved(
    tmp_path / "all.npz",
    weights=WEIGHTS,
    class_names=np.char.encode(names, "utf-8"),
  )
  assert read(path).class_names == tuple(names.tolist())


def test_weights_and_logits_apart(tmp_path):
  np.save(tmp_path / "w.npy", WEIGHTS)
  np.save(tmp_path / "z.npy", LOGITS)
  found = read(tmp_path / "w.npy", tmp_path / "z.npy", names="a,b,c,d")
  np.testing.assert_array_equal(found.weights, WEIGHTS)
  np.testing.assert_array_equal(found.logits, LOGITS)
  assert found.labels is None
  assert found.class_names == ("a", "b", "c", "d")


def test_weights_alone(tmp_path):
  found = read(saved(tmp_path / "w.npz", **{"fc.weight": WEIGHTS}))
  assert found.logits is None
  assert found.class_names == ("0", "1", "2", "3")


@pytest.mark.parametrize("key", ["weight", "my_layer"])
def test_the_only_matrix_is_the_last_layer(tmp_path, key):
  path = saved(tmp_path / "w.npz", logits=LOGITS, **{key: WEIGHTS})
  np.testing.assert_array_equal(read(path).weights, WEIGHTS)


def test_safetensors(tmp_path):
  path = tmp_path / "model.safetensors"
  conv = np.zeros((2, 2, 3, 3), np.float32)
  safetensors.write(path, {"conv.weight": conv, "fc.weight": WEIGHTS})
  np.testing.assert_array_equal(read(path).weights, WEIGHTS)
  path.write_bytes(path.read_bytes()[:-8])
  with pytest.raises(ValueError, match=r"model.safetensors is cut off"):
    read(path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "ema.module."])
def test_the_last_layer_of_a_wrapped_network(tmp_path, prefix):
  other = np.zeros((7, 3), np.float32)
  arrays = {f"{prefix}fc.weight": WEIGHTS, f"{prefix}layer.weight": other}
  safetensors.write(tmp_path / "w.safetensors", arrays)
  np.testing.assert_array_equal(
    read(tmp_path / "w.safetensors").weights, WEIGHTS
  )


def test_the_last_layer_of_a_network_in_parts(tmp_path):
  files = {"a.weight": "m-00001-of-00002.safetensors"}
  files["fc.weight"] = "m-00002-of-00002.safetensors"
  for name, file in files.items():
    safetensors.write(tmp_path / file, {name: WEIGHTS})
  index = tmp_path / "m.safetensors.index.json"
  index.write_text(json.dumps({"weight_map": files}), "utf-8")
  np.testing.assert_array_equal(read(index).weights, WEIGHTS)
  with pytest.raises(ValueError, match="is part 2 of 2"):
    read(tmp_path / files["fc.weight"])


def changed(value, dtype=np.float32):
  array = WEIGHTS.copy()
  array[2, 1] = value
  return array.astype(dtype)


@pytest.mark.parametrize(
  ("arrays", "key", "message"),
  [
    ({"fc": changed(np.nan)}, "", r"'fc'\[2, 1\] is nan, and 1 of 12 numbers"),
    ({"fc": changed(np.inf, np.float16)}, "fc", r"\[2, 1\] is inf"),
    ({"fc": WEIGHTS.astype(complex)}, "", "complex128; legal: real numbers"),
    ({"fc": WEIGHTS.astype(str)}, "", "legal: real numbers"),
    ({"fc": WEIGHTS > 0}, "", "bool; legal: real numbers"),
    ({"fc": WEIGHTS[:, :0]}, "", r"\[4, 0\]; legal: .* 1 feature or more"),
    ({"fc": WEIGHTS[:1]}, "", r"\[1, 3\]; legal: .* 2 classes or more"),
    (
      {"fc.weight": WEIGHTS, "logits": LOGITS.astype(str)},
      "",
      "logits is .*; legal: real numbers",
    ),
  ],
)
def test_numbers_that_are_none(tmp_path, arrays, key, message):
  with pytest.raises(ValueError, match=message):
    read(saved(tmp_path / "w.npz", **arrays), key=key)


@pytest.mark.parametrize(
  ("arrays", "key", "message"),
  [
    (
      {"last": WEIGHTS, "first": WEIGHTS},
      "",
      r"config.foreign.key: one of its matrices, \['first', 'last'\]",
    ),
    ({"weights": WEIGHTS}, "fc", "no array 'fc'"),
    ({"weights": WEIGHTS[0]}, "", r"shape \[3\]; legal: \[K, D\]"),
    ({"weights": WEIGHTS, "logits": LOGITS[:, :3]}, "", r"legal: \[N, 4\]"),
    (
      {"weights": WEIGHTS, "logits": np.full((2, 4), np.nan)},
      "",
      r"logits\[0, 0\] is nan, and 8 of 8 numbers are not finite",
    ),
    (
      {"weights": WEIGHTS, "logits": LOGITS, "labels": LABELS + 1},
      "",
      "labels goes from 1 to 4; legal: 0 to 3",
    ),
    (
      {"weights": WEIGHTS, "logits": LOGITS, "labels": LABELS[:2]},
      "",
      "legal: 6 integers",
    ),
    (
      {"weights": WEIGHTS, "logits": LOGITS, "images": np.zeros((6, 2, 2, 1))},
      "",
      r"uint8\[6, H, W, 1 or 3\]",
    ),
    (
      {"weights": WEIGHTS, "class_names": np.asarray(["a"])},
      "",
      "legal: 4 strings",
    ),
    (
      {"weights": WEIGHTS, "class_names": np.asarray(["a", " ", "c", "d"])},
      "",
      r"class_names\[1\] is ' '; legal: a name that is not blank",
    ),
    (
      {"weights": WEIGHTS, "class_names": np.asarray([*"abc", "\ud800"])},
      "",
      r"class_names\[3\] is not UTF-8",
    ),
    (
      {"weights": WEIGHTS, "class_names": np.array([b"a", b"\xe9"] * 2)},
      "",
      r"class_names\[1\] is not UTF-8: byte 0xe9",
    ),
    (
      {
        "weights": WEIGHTS,
        "class_names": np.asarray(["e\u0301", "\xe9", "c", "d"]),
      },
      "",
      "class_names has .* the same to the eye",
    ),
  ],
)
def test_what_is_refused(tmp_path, arrays, key, message):
  with pytest.raises(ValueError, match=message):
    read(saved(tmp_path / "bad.npz", **arrays), key=key)


def test_files_that_are_none(tmp_path):
  with pytest.raises(ValueError, match="there is no such file"):
    read(tmp_path / "nowhere.npz")
  pickled = tmp_path / "model.npy"
  np.save(pickled, np.asarray([{"a": 1}], object), allow_pickle=True)
  with pytest.raises(ValueError, match="cannot be read"):
    read(pickled)
  (tmp_path / "model.pt").write_bytes(b"PK")
  with pytest.raises(ValueError, match=r"ends in .npy, .npz or .safetensors"):
    read(tmp_path / "model.pt")
  (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
  with pytest.raises(ValueError, match="cannot be read"):
    read(tmp_path / "broken.npz")
  path = saved(tmp_path / "w.npz", weights=WEIGHTS)
  with pytest.raises(ValueError, match="no array 'logits'"):
    read(path, saved(tmp_path / "z.npz", other=LOGITS))
  with pytest.raises(ValueError, match="has 2 names; legal: 4"):
    read(path, names="a,b")
