"""The model card of a hub: `README.md`, of which the head is metadata.

    hf upload OWNER/NAME runs/exported

uploads the work directory as it is: the card, the programs beside it, and
`model.json` with all that is known. The head is YAML with the keys that
https://huggingface.co/docs/hub/model-cards names: licence, tags, and the
measured accuracy as `model-index`, which needs the data set's name; the
licence is one of the hub's names, or `other` with the words it has here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

FILE = "README.md"
# Of the hub's names for licences those that data and networks mostly have.
LICENCES = (
  *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "gpl-3.0"),
  *("cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
  *("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0"),
)
_KINDS = {
  "stablehlo": "StableHLO, which `load.py` runs with JAX and flatbuffers",
  "onnx": "ONNX, opset 18",
  "tflite": "TensorFlow Lite in float32, for normalised images",
  "int8": "TensorFlow Lite in int8, for phones and microcontrollers",
  "onnx_int8": "ONNX in int8",
}
_SHOWN_CLASSES = 20


def text(name: str, card: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
  """The card of an exported model.

  Args:
    name: of the model.
    card: what `model.json` of the export says.
    dataset: of the run that trained it, as its result says; empty if unknown.
  """
  head = "".join(
    # JSON is YAML, and what a data set is called may hold anything.
    f"{key}: {json.dumps(value, ensure_ascii=False)}\n"
    for key, value in metadata(name, card, dataset).items()
  )
  return f"---\n{head}---\n\n" + "\n".join(_body(name, card, dataset)) + "\n"


def metadata(
  name: str, card: Mapping[str, Any], dataset: Mapping[str, Any]
) -> dict[str, Any]:
  """The head of the card; see `text`."""
  entries: dict[str, Any] = {
    **_licence(card.get("licence") or ""),
    "library_name": "fbnax",
    "pipeline_tag": "image-classification",
    "tags": ["image-classification", "jax", *_formats(card)],
  }
  accuracy = card["accuracy"]["test_accuracy"]
  if accuracy is None or not dataset.get("name"):
    return entries
  return entries | {
    "metrics": ["accuracy"],
    "model-index": [
      {
        "name": name,
        "results": [
          {
            "task": {"type": "image-classification"},
            "dataset": {
              "name": str(dataset["name"]),
              "type": str(dataset["name"]),
              "split": "test",
            },
            "metrics": [{"type": "accuracy", "value": accuracy}],
          }
        ],
      }
    ],
  }


def _licence(words: str) -> dict[str, str]:
  if not words:
    return {"license": "unknown"}
  name = re.sub(r"[\s_]+", "-", words.strip().lower())
  if name in LICENCES:
    return {"license": name}
  return {"license": "other", "license_name": words}


def _formats(card: Mapping[str, Any]) -> list[str]:
  """The hub's tags for kinds of files."""
  tags = {"onnx": "onnx", "onnx_int8": "onnx", "tflite": "tflite"}
  tags |= {"int8": "tflite"}
  return sorted({tags[kind] for kind in card["programs"] if kind in tags})


def _body(
  name: str, card: Mapping[str, Any], dataset: Mapping[str, Any]
) -> Iterator[str]:
  classes = card["class_names"]
  side, _, channels = card["input"]["shape"][1:]
  yield f"# {_plain(name)}"
  yield ""
  shown = ", ".join(_plain(c) for c in classes[:_SHOWN_CLASSES])
  more = len(classes) - _SHOWN_CLASSES
  yield (
    f"It tells {len(classes)} classes of images apart: {shown}"
    + (f", and {more} more." if more > 0 else ".")
  )
  costs = card["costs"]
  yield (
    f"It has {costs['params']:,} parameters and takes {costs['macs']:,}"
    f" multiply-accumulates for an image of {side} x {side} pixels,"
    f" {channels} channel{'s' if channels > 1 else ''}."
  )
  accuracy = card["accuracy"]["test_accuracy"]
  if accuracy is not None:
    where = ""
    if dataset.get("name"):
      where = f" of {_plain(str(dataset['name']))}"
    images = f"{dataset['test']:,} " if dataset.get("test") else ""
    yield (
      f"It is right for {accuracy:.2%} of the {images}test images{where};"
      " on images of another kind it may be right for fewer."
    )
  yield from ("", "## Files", "", "| file | what it is | bytes |", "|-|-|-|")
  for kind, program in card["programs"].items():
    yield f"| `{program['file']}` | {_KINDS[kind]} | {program['bytes']:,} |"
  if card["weights"]:
    yield f"| `{card['weights']}` | the weights, under timm's names | |"
  yield "| `model.json` | all that is known of the model | |"
  pixels = "integers from 0 to 255"
  if card["input"]["normalized"]:
    given = card["preprocessing"]
    pixels = (
      f"(pixels / 255 - {given['mean']}) / {given['std']}, in channels' order"
    )
  shape = ", ".join(map(str, card["input"]["shape"]))
  yield from (
    "",
    "## Use",
    "",
    f"Images are `{card['input']['dtype']}[{shape}]`, {pixels}; what comes out"
    " are logits, one for each class in the order of `class_names` in"
    " `model.json`.",
    "",
    "```\npython load.py images.npy\n```",
    "",
    f"Made by fbnax {card['fbnax_version']}.",
  )


def _plain(words: str) -> str:
  """Words that Markdown shows as they are."""
  return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(words.split()))
