"""Saving and loading: the same bits, never another space, no pickle."""

import json

import jax
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.nars import predictor
from fbnax.search.nars.predictor import HeadSettings
from fbnax.search.nars.pretraining import PretrainedEncoder

SMALL = spaces.get("small")


def fitted(space, pretrained=None):
  genotypes = space.sample(jax.random.key(0), 20)
  settings = HeadSettings(epochs=1, capacity=32)
  return predictor.fit(
    jax.random.key(1),
    space,
    pretrained,
    genotypes,
    np.arange(20.0),
    members=2,
    settings=settings,
  )


@pytest.fixture(scope="module")
def model():
  return fitted(SMALL)


def test_the_same_bits(model, tmp_path):
  path = tmp_path / "predictor.npz"
  predictor.save(path, model)
  loaded = predictor.load(path)
  assert loaded.space == SMALL
  assert jax.tree.structure(loaded) == jax.tree.structure(model)
  for a, b in zip(jax.tree.leaves(model), jax.tree.leaves(loaded), strict=True):
    np.testing.assert_array_equal(a, b)
  genotypes = SMALL.sample(jax.random.key(2), 10)
  np.testing.assert_array_equal(
    predictor.predict(model, genotypes).score,
    predictor.predict(loaded, genotypes).score,
  )
  assert [p.name for p in tmp_path.iterdir()] == ["predictor.npz"]


def test_no_objects_and_readable_metadata(model, tmp_path):
  path = tmp_path / "predictor.npz"
  predictor.save(path, model)
  with np.load(path, allow_pickle=False) as file:
    assert all(file[name].dtype != object for name in file)
    metadata = json.loads(str(file["metadata"]))
  assert metadata["space"] == "small"
  assert metadata["label_mean"] == 9.5
  assert (
    len(metadata["features"])
    == SMALL.encode(SMALL.sample(jax.random.key(0), 1)).shape[1]
  )


def test_a_space_with_fixed_decisions_comes_back(tmp_path):
  space = SMALL.fix(resolution=8, **{"stage2.channels": [16, 24]})
  path = tmp_path / "predictor.npz"
  predictor.save(path, fitted(space))
  assert predictor.load(path).space == space
  with pytest.raises(ValueError, match=r"decisions \['resolution', \[8\]"):
    predictor.load(path, SMALL)


def test_another_space_or_file_is_refused(model, tmp_path):
  path = tmp_path / "predictor.npz"
  predictor.save(path, model)
  with pytest.raises(ValueError, match=r"space 'small'.*'fbnetv3'"):
    predictor.load(path, spaces.get("fbnetv3"))
  other = tmp_path / "other.npz"
  np.savez(other, a=np.ones(2))
  with pytest.raises(ValueError, match="no metadata"):
    predictor.load(other)
  np.savez(other, metadata=np.asarray(json.dumps({"version": 99})))
  with pytest.raises(ValueError, match="version 99"):
    predictor.load(other)


def test_an_encoder_that_learned_scores_leaves_the_same_file(model, tmp_path):
  """What the file holds is fixed: files of earlier versions load, too."""
  encoder = jax.tree.map(lambda leaf: leaf[0], model.params["encoder"])
  pretrained = PretrainedEncoder(
    encoder,
    {"kernel": np.zeros((24, 5)), "bias": np.zeros(5)},
    np.zeros(5),
    np.ones(5),
    ("macs", "params", "synflow", "jacob_cov", "snip"),
  )
  scored = fitted(SMALL, pretrained)
  for name, each in (("plain.npz", model), ("scored.npz", scored)):
    predictor.save(tmp_path / name, each)
    with np.load(tmp_path / name, allow_pickle=False) as file:
      assert set(file) == {
        "metadata",
        "mean",
        "deviation",
        *(
          f"params/{layer}/{part}"
          for layer in ("encoder", "hidden_layer", "score_head")
          for part in ("kernel", "bias")
        ),
      }
  genotypes = SMALL.sample(jax.random.key(2), 10)
  np.testing.assert_array_equal(
    predictor.predict(predictor.load(tmp_path / "scored.npz"), genotypes).score,
    predictor.predict(scored, genotypes).score,
  )


def rewritten(path, change):
  """Changes the arrays of a file."""
  with np.load(path) as file:
    arrays = {name: file[name] for name in file}
  change(arrays)
  np.savez(path, **arrays)


def test_a_file_that_is_cut_in_half(model, tmp_path):
  path = tmp_path / "predictor.npz"
  predictor.save(path, model)
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  with pytest.raises(ValueError, match=r"predictor\.npz: is no \.npz file"):
    predictor.load(path, SMALL)


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    ("space", None, "metadata: space is None; legal: a string"),
    ("space", "smal", "metadata: no space 'smal'"),
    ("decisions", 7, "metadata: decisions is 7; legal: a list"),
    ("decisions", [7], r"metadata: decisions\[0\] is 7; legal: a list"),
    ("decisions", [["a"]], r"metadata: decisions\[0\] is \['a'\]; legal"),
    ("decisions", [["a", [[]], True]], r"decisions\[0\] has \[\]; legal: num"),
    (
      "decisions",
      [[7, [1], True]],
      r"decisions\[0\] is \[7, \[1\], True\]; legal",
    ),
    ("features", {}, "metadata: features is {}; legal: a list"),
    ("version", True, "has version True; legal: 1"),
  ],
)
def test_metadata_that_no_predictor_has(model, key, value, words, tmp_path):
  path = tmp_path / "predictor.npz"
  predictor.save(path, model)

  def change(arrays):
    metadata = json.loads(str(arrays["metadata"])) | {key: value}
    arrays["metadata"] = np.asarray(json.dumps(metadata))

  rewritten(path, change)
  with pytest.raises(ValueError, match=words) as told:
    predictor.load(path)
  assert str(path) in str(told.value)


@pytest.mark.parametrize(
  ("name", "value", "words"),
  [
    ("metadata", np.asarray("[1"), "metadata is no JSON"),
    ("metadata", np.asarray("[" * 9999), "metadata is damaged: nested too"),
    ("metadata", np.ones(2), r"metadata is float64\[2\]; legal: one string"),
    ("params/encoder/bias", None, "lacks the array params/encoder/bias"),
    ("deviation", None, "lacks the array deviation"),
    ("deviation", np.float32(-1), "deviation is -1.0; legal: at least 0"),
    ("mean", np.ones(2), r"mean has the shape \[2\]; legal: \[\]"),
    ("mean", np.float32(np.nan), "'mean' is float32.*legal: finite floats"),
    ("params/score_head/bias", np.ones((3, 1)), r"bias has the shape \[3, 1\]"),
    ("params/score_head/kernel", np.asarray("x"), "legal: finite floats"),
    ("params/score_head/more", np.ones(2), "has an array 'params/score_head/"),
  ],
)
def test_arrays_that_no_predictor_has(model, name, value, words, tmp_path):
  path = tmp_path / "predictor.npz"
  predictor.save(path, model)
  rewritten(
    path, lambda a: a.pop(name) if value is None else a.update({name: value})
  )
  with pytest.raises(ValueError, match=words) as told:
    predictor.load(path, SMALL)
  assert str(path) in str(told.value)
