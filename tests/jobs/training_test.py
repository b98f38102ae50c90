"""What `train_network` finds of an earlier start."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.base import records
from fbnax.data import Dataset, Split
from fbnax.jobs.runtime import training
from fbnax.models import Network
from fbnax.spaces import Architecture, Block, Head, Recipe, Stem
from fbnax.training import model_files
from fbnax.training.recipes import Settings

NETWORK = Architecture(
  resolution=8,
  stem=Stem(4),
  blocks=(Block(4, 1),),
  head=Head(8, expansion=0.0),
)
RECIPE = Recipe()
ENTRY = {
  "name": "a",
  "macs": 1,
  "params": 2,
  "epochs": 3,
  "history": [],
  "test_accuracy": 0.5,
  "test_log_loss": 1.0,
  "scores": {},
  "architecture": json.loads(NETWORK.to_json()),
  "recipe": json.loads(RECIPE.to_json()),
}


IMAGES = Split(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2, dtype=np.int32))
DATA = Dataset("made up", ("a", "b"), IMAGES, IMAGES, False, 0, "made up")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  folder = tmp_path_factory.mktemp("members") / "a"
  shapes = model_files.variable_shapes(Network(NETWORK, 2))
  model_files.save(
    folder,
    NETWORK,
    jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes),
    Settings(1, 2, 8, (0.5,) * 3, (0.5,) * 3),
    DATA.class_names,
    entry=ENTRY,
    entry_sha256=records.digest("entry", ENTRY),
  )
  return folder


@pytest.mark.parametrize(
  "change",
  [
    lambda card: card.pop("entry"),
    lambda card: card["entry"].clear(),
    lambda card: card["entry"].update(test_accuracy=0.99),
    lambda card: card["entry"].update(history={}),
    lambda card: card.pop("entry_sha256"),
  ],
)
def test_an_altered_entry_is_named_and_made_again(model, change, caplog):
  path = model / model_files.CARD
  text = path.read_text()
  card = json.loads(text)
  change(card)
  path.write_text(json.dumps(card))
  try:
    assert training._finished(model, NETWORK, RECIPE, DATA) is None
  finally:
    path.write_text(text)
  assert "model.json: entry is not as it was written" in caplog.text
  found = training._finished(model, NETWORK, RECIPE, DATA)
  assert found.card["entry"] == ENTRY


def test_another_network_or_other_classes_are_refused(model):
  other = dataclasses.replace(NETWORK, stem=Stem(8))
  with pytest.raises(ValueError, match="another architecture than is asked"):
    training._finished(model, other, RECIPE, DATA)
  recipe = dataclasses.replace(RECIPE, dropout=0.5)
  with pytest.raises(ValueError, match="another recipe than is asked"):
    training._finished(model, NETWORK, recipe, DATA)
  data = dataclasses.replace(DATA, class_names=("b", "a"))
  with pytest.raises(ValueError, match="the same in another order"):
    training._finished(model, NETWORK, RECIPE, data)
