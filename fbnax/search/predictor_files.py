"""Saving and loading fitted predictors: one .npz without objects.

Beside the arrays it holds a JSON text with the space's name, the decisions and
the features, so that a predictor is never used on genotypes of another space.
"""

from __future__ import annotations

import json
import os
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np

from fbnax import spaces
from fbnax.base.arrays import open_npz
from fbnax.base.files import writing
from fbnax.search.scoring import FittedPredictor
from fbnax.spaces import SearchSpace

VERSION = 1
_LARGEST = 2**30  # Bytes; a predictor has some megabytes.


def save(path: str | os.PathLike[str], model: FittedPredictor) -> None:
  """Writes a predictor; the file appears complete or not at all."""
  arrays = {
    f"params/{name}": np.asarray(value)
    for name, value in flax.traverse_util.flatten_dict(
      model.params, sep="/"
    ).items()
  }
  metadata = {
    "version": VERSION,
    **_description(model.space),
    "label_mean": float(model.mean),
    "label_deviation": float(model.deviation),
  }
  with writing(path) as file:
    np.savez(
      file,
      metadata=np.asarray(json.dumps(metadata)),
      mean=np.asarray(model.mean),
      deviation=np.asarray(model.deviation),
      **arrays,  # type: ignore[arg-type]  # NumPy types them as a flag.
    )


def load(
  path: str | os.PathLike[str], space: SearchSpace | None = None
) -> FittedPredictor:
  """Reads what `save` wrote.

  Args:
    path: the file.
    space: the space it was fitted on; None gets it by its name, with the
      decisions fixed that were.

  Raises:
    ValueError: the file is no saved predictor, or the space has other
      decisions or features (the first that differs is named).
  """
  with open_npz(path, _LARGEST) as file:
    if "metadata" not in file:
      raise ValueError(f"{path} holds no metadata; legal: what save wrote")
    metadata = json.loads(str(file["metadata"]))
    arrays = {name: file[name] for name in file if name != "metadata"}
  if metadata.get("version") != VERSION:
    raise ValueError(
      f"{path} has version {metadata.get('version')!r}; legal: {VERSION}"
    )
  if space is None:
    space = _rebuilt(metadata)
  found = _description(space)
  for key in ("space", "decisions", "features"):
    for left, right in zip(
      _items(metadata[key]), _items(found[key]), strict=False
    ):
      if left != right:
        raise ValueError(
          f"{path} was fitted with {key} {left!r}; "
          f"space {space.name!r} has {right!r}"
        )
    if len(metadata[key]) != len(found[key]):
      raise ValueError(
        f"{path} was fitted with {len(metadata[key])} {key}; "
        f"space {space.name!r} has {len(found[key])}"
      )
  params = {
    name.removeprefix("params/"): jnp.asarray(value)
    for name, value in arrays.items()
    if name.startswith("params/")
  }
  return FittedPredictor(
    flax.traverse_util.unflatten_dict(params, sep="/"),
    jnp.asarray(arrays["mean"]),
    jnp.asarray(arrays["deviation"]),
    space,
  )


def _description(space: SearchSpace) -> dict[str, Any]:
  """What must agree, as JSON has it (lists, not tuples)."""
  description = {
    "space": space.name,
    "decisions": [
      [d.name, list(d.values), d.categorical] for d in space.decisions
    ],
    "features": [list(feature) for feature in space.features],
  }
  result: dict[str, Any] = json.loads(json.dumps(description))
  return result


def _rebuilt(metadata: dict[str, Any]) -> SearchSpace:
  space = spaces.get(metadata["space"])
  whole = {d.name: list(d.values) for d in space.decisions}
  cut = {
    name: values
    for name, values, _ in metadata["decisions"]
    if values != whole.get(name)
  }
  return space.fix(**cut) if cut else space


def _items(value: Any) -> list[Any]:
  return value if isinstance(value, list) else [value]
