"""Classifiers from elsewhere: the files, and what is refused in them."""

import numpy as np
import pytest
from ml_collections import config_dict

from fbnax.jobs import nbdt_weights
from fbnax.models import safetensors

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(4, 3)).astype(np.float32)
LOGITS = RANDOM.normal(size=(6, 4)).astype(np.float32)
LABELS = np.asarray([0, 1, 2, 3, 0, 1])


def read(weights, logits="", key="", names=""):
  return nbdt_weights.read(
    config_dict.create(
      foreign=config_dict.create(
        weights=str(weights), key=key, logits=str(logits)
      ),
      class_names=names,
    )
  )


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
      r"logits\[0\] is not finite",
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
