"""What `train_network` finds of an earlier start."""

import json

import jax
import jax.numpy as jnp
import pytest

from fbnax.jobs import training
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
  "architecture": json.loads(NETWORK.to_json()),
  "recipe": json.loads(RECIPE.to_json()),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  folder = tmp_path_factory.mktemp("members") / "a"
  shapes = model_files.variable_shapes(Network(NETWORK, 2))
  model_files.save(
    folder,
    NETWORK,
    jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes),
    Settings(1, 2, 8, (0.5,) * 3, (0.5,) * 3),
    ("a", "b"),
    entry=ENTRY,
  )
  return folder


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda e: e.clear(), "model.json lacks the key entry.name"),
    (lambda e: e.update(macs="1"), "entry.macs is '1'; legal: a whole number"),
    (lambda e: e.update(test_accuracy=None), "entry.test_accuracy is None"),
    (lambda e: e.update(history={}), "entry.history is {}; legal: a list"),
    (lambda e: e.update(recipe=3), "entry.recipe is 3; legal: an object"),
    (lambda e: e.update(architecture={}), "another architecture than is asked"),
  ],
)
def test_a_card_that_no_training_left(model, change, words):
  path = model / model_files.CARD
  text = path.read_text()
  card = json.loads(text)
  change(card["entry"])
  path.write_text(json.dumps(card))
  try:
    with pytest.raises(ValueError, match=words):
      training._finished(model, NETWORK, RECIPE)
  finally:
    path.write_text(text)
  assert training._finished(model, NETWORK, RECIPE).card["entry"] == ENTRY
