"""The model card of a hub, as a reader of YAML and of Markdown finds it."""

import pytest
import yaml

from fbnax.jobs.export import hub_card

CARD = {
  "class_names": ["a|b", "cat"],
  "licence": "CC BY 4.0",
  "accuracy": {"test_accuracy": 0.75, "test_log_loss": 0.5},
  "costs": {"macs": 1_200_000, "params": 34_000},
  "input": {
    "shape": ["batch", 32, 32, 3],
    "dtype": "uint8",
    "normalized": False,
  },
  "preprocessing": {"mean": [0.5], "std": [0.25]},
  "programs": {
    "stablehlo": {"file": "model.stablehlo", "bytes": 1000},
    "int8": {"file": "model_int8.tflite", "bytes": 2000},
  },
  "weights": "weights.safetensors",
  "fbnax_version": "0.1",
}
DATASET = {"name": 'my: "photos"', "test": 60}


def _parts(words):
  empty, head, body = words.split("---\n", 2)
  assert not empty
  return yaml.safe_load(head), body


def test_the_head_is_metadata():
  head, body = _parts(hub_card.text("small_1m", CARD, DATASET))
  assert head["license"] == "cc-by-4.0" and "license_name" not in head
  assert head["library_name"] == "fbnax"
  assert head["pipeline_tag"] == "image-classification"
  assert "tflite" in head["tags"] and "onnx" not in head["tags"]
  (entry,) = head["model-index"]
  (result,) = entry["results"]
  assert entry["name"] == "small_1m"
  assert result["dataset"]["name"] == 'my: "photos"'
  assert result["metrics"] == [{"type": "accuracy", "value": 0.75}]
  for words in (
    "# small\\_1m",
    "a\\|b, cat.",
    "34,000 parameters and takes 1,200,000 multiply-accumulates",
    "right for 75.00% of the 60 test images",
    "| `model_int8.tflite` | TensorFlow Lite in int8",
    "`uint8[batch, 32, 32, 3]`",
  ):
    assert words in body, words


def test_what_is_not_known_is_not_said():
  card = CARD | {
    "accuracy": {"test_accuracy": None},
    "weights": None,
    "licence": "",
    "input": CARD["input"] | {"normalized": True},
  }
  head, body = _parts(hub_card.text("x", card, {}))
  assert head["license"] == "unknown" and "model-index" not in head
  assert "right for" not in body and "safetensors" not in body
  assert "(pixels / 255 - [0.5]) / [0.25]" in body


@pytest.mark.parametrize(
  ("words", "metadata"),
  [
    ("Apache-2.0", {"license": "apache-2.0"}),
    ("CC BY-SA 4.0", {"license": "cc-by-sa-4.0"}),
    ("ask me: first", {"license": "other", "license_name": "ask me: first"}),
  ],
)
def test_licences(words, metadata):
  head, _ = _parts(hub_card.text("x", CARD | {"licence": words}, {}))
  assert {k: v for k, v in head.items() if "license" in k} == metadata
