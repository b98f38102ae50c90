"""Saving and loading fitted graph predictors: one .npz without objects."""

from __future__ import annotations

import json
import os
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np

from fbnax.base.arrays import open_npz
from fbnax.base.files import writing
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.graph_fit import FittedGraph

VERSION = 1
_LARGEST = 2**30  # Bytes; a predictor has some megabytes.


def save(
  path: str | os.PathLike[str], model: FittedGraph, about: dict[str, Any]
) -> None:
  """Writes a predictor; the file appears complete or not at all.

  Args:
    path: of the file.
    model: the predictor.
    about: what it was fitted to, as JSON says it; `load` asks for the same.
  """
  flat = flax.traverse_util.flatten_dict(model.variables, sep="/")
  metadata = {
    "version": VERSION,
    "module": {
      "categories": list(model.module.categories),
      "numbers": model.module.numbers,
      "hidden": model.module.hidden,
      "num_hops": model.module.num_hops,
    },
    "about": about,
  }
  with writing(path) as file:
    np.savez(
      file,
      metadata=np.asarray(json.dumps(metadata)),
      mean=np.asarray(model.mean),
      deviation=np.asarray(model.deviation),
      **{name: np.asarray(value) for name, value in flat.items()},  # type: ignore[arg-type]  # NumPy types them as a flag.
    )


def load(path: str | os.PathLike[str], about: dict[str, Any]) -> FittedGraph:
  """Reads what `save` wrote.

  Raises:
    ValueError: the file is no saved predictor, or was fitted to something else.
  """
  with open_npz(path, _LARGEST) as file:
    if "metadata" not in file:
      raise ValueError(f"{path} holds no metadata; legal: what save wrote")
    metadata = json.loads(str(file["metadata"]))
    arrays = {name: jnp.asarray(file[name]) for name in file if "/" in name}
    mean, deviation = jnp.asarray(file["mean"]), jnp.asarray(file["deviation"])
  if metadata.get("version") != VERSION:
    raise ValueError(
      f"{path} has version {metadata.get('version')!r}; legal: {VERSION}"
    )
  wanted = json.loads(json.dumps(about))
  if metadata["about"] != wanted:
    raise ValueError(
      f"{path} was fitted to {metadata['about']}, wanted is {wanted}"
    )
  module = metadata["module"]
  module["categories"] = tuple(module["categories"])
  return FittedGraph(
    flax.traverse_util.unflatten_dict(arrays, sep="/"),
    mean,
    deviation,
    GraphPredictor(**module),
  )
