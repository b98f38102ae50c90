"""What an exported int8 file says of images on disk, in LiteRT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from fbnax.base.names import escaped
from fbnax.jobs.export import tflite_files, tflite_int8
from fbnax.jobs.runtime import predicting
from fbnax.jobs.runtime.predicting import Prediction

LABELS, FACTS = "labels.txt", "fbnax.json"


def predict(
  model: str | Path, paths: Sequence[str | Path], top: int = 5
) -> list[Prediction]:
  """Predictions for images by a file of `configs/export.py --config.int8`.

  Args:
    model: the file.
    paths: of the images.
    top: how many classes.

  Raises:
    ValueError: it is no such file, the package that runs it is missing, or a
      path is no image that can be read.
  """
  if name := tflite_files.missing():
    raise ValueError(
      f"{model} needs the package {name}: pip install 'fbnax[tflite]'"
    )
  content = Path(model).read_bytes()
  if content[4:8] != tflite_files.IDENTIFIER:
    raise ValueError(
      f"{model} is no TensorFlow Lite file; legal: model_int8"
      ".tflite of the job export"
    )
  labels = tflite_files.metadata(content, LABELS)
  facts = tflite_files.metadata(content, FACTS)
  if labels is None or facts is None:
    raise ValueError(
      f"{model} says neither its classes nor how its images are"
      " prepared; legal: model_int8.tflite of the job export"
    )
  names, given = labels.split("\n"), json.loads(facts)
  found = []
  for path in paths:
    image, notes = predicting.prepared(
      Path(path),
      given["channels"],
      given["resolution"],
      given.get("crop_ratio", 1.0),
      given.get("bits"),
    )
    integers = tflite_int8.as_integers(content, image[None], given["zero"])
    logits = tflite_int8.run(content, integers).logits[0]
    shares = np.asarray(jax.nn.softmax(logits / given["temperature"]))
    best = np.argsort(-shares, kind="stable")[:top]
    classes = tuple((escaped(names[i]), float(shares[i])) for i in best)
    found.append(Prediction(Path(path), image, notes, classes, ""))
  return found
