import functools
import json
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models import Network
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.training import model_files
from fbnax.training.recipes import Settings

CLASSES = ("ein Stuhl", "ein Tisch", "köstlich")
ARCHITECTURE = Architecture(
  resolution=6,
  stem=Stem(channels=4, stride=1),
  blocks=(Block(channels=4, stage=1), Block(channels=8, stage=2, stride=2)),
  head=Head(channels=8, expansion=0),
  input_channels=2,
)
SETTINGS = Settings(
  epochs=3, batch_size=8, resolution=6, mean=(0.1, 0.3), std=(0.25, 1 / 3)
)


@functools.cache
def _variables():
  """Numbers with nothing special about them."""
  shapes = model_files.variable_shapes(Network(ARCHITECTURE, len(CLASSES)))
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: jnp.asarray(rng.random(leaf.shape), leaf.dtype), shapes
  )


def _save(directory, **facts):
  model_files.save(
    directory, ARCHITECTURE, _variables(), SETTINGS, CLASSES, **facts
  )
  return directory


def _change(directory, change):
  path = directory / "model.json"
  card = json.loads(path.read_text("utf-8"))
  change(card)
  path.write_text(json.dumps(card), "utf-8")


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
  facts = {"entry": {"test_accuracy": 0.1 + 0.2}, "licence": "CC BY 4.0"}
  found = model_files.load(_save(tmp_path / "models" / "a", **facts))
  chex.assert_trees_all_equal(found.variables, _variables())
  assert found.module == Network(ARCHITECTURE, 3)
  assert found.card["entry"] == facts["entry"]
  assert found.card["licence"] == "CC BY 4.0"
  assert tuple(found.card["class_names"]) == CLASSES
  images = jnp.asarray(
    np.random.default_rng(1).normal(size=(2, 6, 6, 2)), jnp.float32
  )
  logits = jax.jit(lambda v: found.module.apply(v, images, train=False))(
    found.variables
  )
  assert logits.shape == (2, 3) and np.isfinite(logits).all()


def test_images_are_prepared_as_they_were(tmp_path):
  settings = model_files.load(_save(tmp_path)).settings(batch_size=5)
  assert (settings.mean, settings.std) == (SETTINGS.mean, SETTINGS.std)
  assert (settings.resolution, settings.batch_size) == (6, 5)


def test_a_model_can_be_saved_again(tmp_path):
  _save(tmp_path)
  doubled = jax.tree.map(lambda leaf: 2 * leaf, _variables())
  model_files.save(tmp_path, ARCHITECTURE, doubled, SETTINGS, CLASSES)
  chex.assert_trees_all_equal(model_files.load(tmp_path).variables, doubled)


def test_the_card_is_written_last(tmp_path):
  """What JSON cannot say leaves no card behind."""
  with pytest.raises(ValueError, match=r"card\.entry"):
    _save(tmp_path, entry=object())
  with pytest.raises(ValueError, match="holds no model"):
    model_files.load(tmp_path)


def _refused(directory, name, *words):
  with pytest.raises(ValueError, match=re.escape(str(directory / name))) as e:
    model_files.load(directory)
  for word in words:
    assert word in str(e.value)


def test_no_model(tmp_path):
  _refused(tmp_path / "absent", "model.json", "holds no model")
  (tmp_path / "file").write_text("")
  _refused(tmp_path / "file", "model.json", "holds no model")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version(tmp_path, version):
  _save(tmp_path)
  _change(tmp_path, lambda card: card.update(schema_version=version))
  _refused(tmp_path, "model.json", f"schema_version is {version!r}; legal: 1")


@pytest.mark.parametrize(
  "key", ["architecture", "class_names", "preprocessing"]
)
def test_a_missing_key(tmp_path, key):
  _save(tmp_path)
  _change(tmp_path, lambda card: card.pop(key))
  _refused(tmp_path, "model.json", key)


@pytest.mark.parametrize("key", ["class_names", "preprocessing"])
@pytest.mark.parametrize("value", [None, 7, "x", True])
def test_a_key_of_another_type(tmp_path, key, value):
  _save(tmp_path)
  _change(tmp_path, lambda card: card.update({key: value}))
  _refused(tmp_path, "model.json", f"{key} is {value!r}; legal: a")


@pytest.mark.parametrize("key", ["resolution", "mean", "std"])
def test_a_missing_key_of_the_preprocessing(tmp_path, key):
  _save(tmp_path)
  _change(tmp_path, lambda card: card["preprocessing"].pop(key))
  _refused(tmp_path, "model.json", key)


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", '{"a": \xff}'])
def test_no_card(tmp_path, text):
  _save(tmp_path)
  (tmp_path / "model.json").write_bytes(text.encode("latin1"))
  _refused(tmp_path, "model.json")


def test_a_truncated_card(tmp_path):
  path = _save(tmp_path) / "model.json"
  path.write_text(path.read_text("utf-8")[:-20], "utf-8")
  _refused(tmp_path, "model.json", "no JSON")


@pytest.mark.parametrize(
  ("change", "word"),
  [
    (lambda a: a.pop("stem"), "stem"),
    (lambda a: a["blocks"][1].update(channels=-3), "-3"),
    (lambda a: a.update(colour="red"), "colour"),
  ],
)
def test_an_architecture_that_cannot_be_built(tmp_path, change, word):
  _save(tmp_path)
  _change(tmp_path, lambda card: change(card["architecture"]))
  _refused(tmp_path, "model.json", word)


def test_weights_of_another_network(tmp_path):
  _save(tmp_path)
  _change(tmp_path, lambda card: card["class_names"].pop())
  _refused(tmp_path, "weights", "classifier")


def test_missing_weights(tmp_path):
  _save(tmp_path)
  for file in sorted((tmp_path / "weights").rglob("*"), reverse=True):
    if file.is_file():
      file.unlink()
    else:
      file.rmdir()
  _refused(tmp_path, "weights", "no weights that load")


def test_damaged_weights(tmp_path):
  _save(tmp_path)
  files = [f for f in (tmp_path / "weights").rglob("*") if f.is_file()]
  largest = max(files, key=lambda file: file.stat().st_size)
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(content)
  _refused(tmp_path, "weights", "no weights that load")


def test_the_number_of_parameters():
  params = {"a": jnp.zeros((2, 3)), "b": {"c": jnp.zeros(5)}}
  variables = {"params": params, "batch_stats": {"mean": jnp.zeros(9)}}
  assert model_files.number_of_parameters(variables) == 11


@pytest.mark.parametrize(
  ("collection", "value"),
  [("params", np.nan), ("params", -np.inf), ("batch_stats", np.inf)],
)
def test_weights_that_are_not_finite(tmp_path, collection, value):
  """As of a training that diverged, before these were refused themselves."""
  variables = jax.tree.map(jnp.copy, _variables())
  leaves, form = jax.tree.flatten(variables[collection])
  leaves[-1] = leaves[-1].at[(0,) * leaves[-1].ndim].set(value)
  variables[collection] = jax.tree.unflatten(form, leaves)
  model_files.save(tmp_path, ARCHITECTURE, variables, SETTINGS, CLASSES)
  _refused(tmp_path, "weights", f"{collection}/", "not finite")


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    ("class_names", ["a", 2, "c"], "class_names[1] is 2; legal: a string"),
    ("class_names", ["a", "b", "a"], "class_names has 'a' twice"),
    ("class_names", ["a", "b", "\ud800"], r"class_names[2] is '\ud800'; legal"),
    ("class_names", {"a": 1}, "class_names is {'a': 1}; legal: a list"),
    ("architecture", [], "architecture is []; legal: an object"),
    ("preprocessing.resolution", "6", "resolution is '6'; legal: a whole"),
    ("preprocessing.resolution", True, "resolution is True; legal: a whole"),
    ("preprocessing.resolution", 10**9, "is 1000000000; legal: 6, as of the"),
    ("preprocessing.mean", [0.1], "mean has 1 values; legal: 2"),
    ("preprocessing.mean", [0.1, "x"], "mean[1] is 'x'; legal: a number"),
    ("preprocessing.mean", [0.1, 1e300], "mean[1] is 1e+300; legal: a number"),
    ("preprocessing.std", [0.1, 0], "std is [0.1, 0]; legal: numbers from"),
    ("preprocessing.std", [float("nan")] * 2, "std[0] is nan; legal"),
    ("preprocessing.std", None, "std is None; legal: a list"),
    ("preprocessing.channels", 3, "channels is 3; legal: 2"),
    ("preprocessing.crop_ratio", 0, "crop_ratio is 0; legal: a number from"),
    ("preprocessing.crop_ratio", "1", "crop_ratio is '1'; legal: a number"),
    ("entry", [1], "entry is [1]; legal: an object"),
    ("licence", {"a": 1}, "licence is {'a': 1}; legal: a string"),
  ],
)
def test_a_value_of_the_card_that_no_model_has(tmp_path, key, value, words):
  _save(tmp_path)
  *outer, name = key.split(".")

  def change(card):
    (card[outer[0]] if outer else card)[name] = value

  _change(tmp_path, change)
  _refused(tmp_path, "model.json", words)


def test_a_card_that_is_nested_too_deeply(tmp_path):
  path = _save(tmp_path) / "model.json"
  path.write_text('{"a":' * 100_000)
  _refused(tmp_path, "model.json", "nested too deeply")


def test_a_card_of_an_earlier_version(tmp_path):
  _save(tmp_path)
  _change(tmp_path, lambda card: card["preprocessing"].pop("channels"))
  _change(tmp_path, lambda card: card["preprocessing"].pop("crop_ratio"))
  assert model_files.load(tmp_path).card["preprocessing"]["resolution"] == 6


def test_a_calibration_comes_back(tmp_path):
  assert model_files.load(_save(tmp_path / "a")).calibration.by == 1.0
  calibration = model_files.Calibration(None, 1.5, 0.25, 40)
  saved = _save(tmp_path / "b", calibration=calibration._asdict())
  assert model_files.load(saved).calibration == calibration
  assert calibration.by == 1.5


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    ("temperature", 0.0, "calibration.temperature is 0.0; legal"),
    ("temperature", "1", "calibration.temperature"),
    ("threshold", 1.5, "calibration.threshold is 1.5; legal"),
    ("positive", "Tisch", "calibration.positive is 'Tisch'; legal: one of"),
    ("positive", "ein Tisch", "legal: one of class_names, where these are"),
    ("images", -1, "calibration.images is -1; legal"),
    ("bias", 1.0, "calibration has 'bias'; legal: positive, temperature"),
  ],
)
def test_a_calibration_that_is_none_is_refused(tmp_path, key, value, words):
  _save(tmp_path, calibration={"temperature": 1.5, key: value})
  with pytest.raises(ValueError, match=re.escape(words)):
    model_files.load(tmp_path)
