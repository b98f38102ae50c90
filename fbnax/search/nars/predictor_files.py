"""Saving and loading fitted predictors: one .npz without objects.

Beside the arrays it holds a JSON text with the space's name, the decisions and
the features, so that a predictor is never used on genotypes of another space.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from fbnax import spaces
from fbnax.base import json_values
from fbnax.base.arrays import open_npz
from fbnax.base.files import writing
from fbnax.search.nars.pretraining import predictor_module
from fbnax.search.nars.scoring import FittedPredictor
from fbnax.spaces import SearchSpace

VERSION = 1
_LARGEST = 2**30  # Bytes; a predictor has some megabytes.


def save(path: str | os.PathLike[str], model: FittedPredictor) -> None:
  """Writes a predictor; the file appears complete or not at all."""
  metadata = {
    **_description(model.space),
    "label_mean": float(model.mean),
    "label_deviation": float(model.deviation),
  }
  write_file(path, metadata, model, {"params": model.params})


def write_file(
  path: str | os.PathLike[str],
  metadata: dict[str, Any],
  model: Any,
  variables: Any,
) -> None:
  """Writes a predictor of any kind, as `read_file` reads it.

  Args:
    path: of the file; it appears complete or not at all.
    metadata: what JSON can say; the version is added.
    model: has the labels' `mean` and `deviation`.
    variables: of the members, stacked; their names stand in the file with
      slashes.
  """
  flat = flax.traverse_util.flatten_dict(variables, sep="/")
  with writing(path) as file:
    np.savez(
      file,
      metadata=np.asarray(json.dumps({"version": VERSION, **metadata})),
      mean=np.asarray(model.mean),
      deviation=np.asarray(model.deviation),
      **{name: np.asarray(value) for name, value in flat.items()},  # type: ignore[arg-type]  # NumPy types them as a flag.
    )


def read_file(
  path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Metadata and arrays of a saved predictor of any kind.

  Raises:
    ValueError: the file is none, of another version, or has an array that is
      not of finite numbers; the file and the key are named.
  """
  where = f"{path}: metadata"
  with open_npz(path, _LARGEST) as file:
    if "metadata" not in file:
      raise ValueError(f"{path} holds no metadata; legal: what save wrote")
    words = file["metadata"]
    if words.dtype.kind != "U" or words.shape:
      raise ValueError(
        f"{where} is {words.dtype}{list(words.shape)}; legal: one string"
      )
    metadata = json_values.parse(str(words), where)
    arrays = {name: file[name] for name in file if name != "metadata"}
  version = metadata.get("version") if isinstance(metadata, dict) else metadata
  if type(version) is not int or version != VERSION:
    raise ValueError(
      f"{path} has version {json_values.shown(version)}; legal: {VERSION}"
    )
  for name, array in arrays.items():
    if array.dtype.kind != "f" or not np.isfinite(array).all():
      raise ValueError(
        f"{path}: {json_values.shown(name)} is"
        f" {array.dtype}{list(array.shape)} with values that are no finite"
        " numbers; legal: finite floats"
      )
  return metadata, arrays


def check_shapes(
  path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], like: Any
) -> None:
  """Raises a ValueError that names the first array that does not fit.

  Args:
    path: of the file.
    arrays: of the file.
    like: variables of one member, whose names stand in the file with slashes;
      there `M` members are stacked, `[M, ...]`.
  """
  flat = flax.traverse_util.flatten_dict(like, sep="/")
  shapes: dict[str, tuple[int, ...]] = {n: x.shape for n, x in flat.items()}
  shapes |= {"mean": (), "deviation": ()}
  if missing := sorted({*shapes} - {*arrays}):
    raise ValueError(
      f"{path} lacks the array {missing[0]}; legal: what save wrote"
    )
  if unknown := sorted({*arrays} - {*shapes}):
    raise ValueError(
      f"{path} has an array {json_values.shown(unknown[0])}; legal: what save"
      " wrote"
    )
  first = arrays[next(iter(flat))].shape
  members = first[0] if first else 0
  for name, shape in shapes.items():
    expected = (members, *shape) if name in flat else shape
    if arrays[name].shape != expected or not members:
      raise ValueError(
        f"{path}: {name} has the shape {list(arrays[name].shape)}; legal:"
        f" {list(expected)}, for at least one member"
      )
  if arrays["deviation"] < 0:
    raise ValueError(
      f"{path}: deviation is {arrays['deviation']}; legal: at least 0"
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
  metadata, arrays = read_file(path)
  where = f"{path}: metadata"
  json_values.field(metadata, "space", str, where)
  for key in ("decisions", "features"):
    json_values.field(metadata, key, list, where, of=list)
  if space is None:
    space = _rebuilt(metadata, where)
  expected = _description(space)
  for key in ("space", "decisions", "features"):
    for left, right in zip(
      _items(metadata[key]), _items(expected[key]), strict=False
    ):
      if left != right:
        raise ValueError(
          f"{path} was fitted with {key} {json_values.shown(left)}; "
          f"space {space.name!r} has {right!r}"
        )
    if len(metadata[key]) != len(expected[key]):
      raise ValueError(
        f"{path} was fitted with {len(metadata[key])} {key}; "
        f"space {space.name!r} has {len(expected[key])}"
      )
  module = predictor_module(space)
  features = jnp.zeros((1, len(space.features)))
  like = jax.eval_shape(module.init, jax.random.key(0), features)
  check_shapes(path, arrays, like)
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


def _rebuilt(metadata: dict[str, Any], where: str) -> SearchSpace:
  try:
    space = spaces.get(metadata["space"])
    whole = {d.name: list(d.values) for d in space.decisions}
    cut = {}
    for i, decision in enumerate(metadata["decisions"]):
      kinds = tuple(map(type, decision))
      if kinds[:2] != (str, list) or len(kinds) != 3:
        raise ValueError(
          f"decisions[{i}] is {json_values.shown(decision)}; legal: its name,"
          " a list of its values, and whether it is categorical"
        )
      name, values, _ = decision
      for value in values:
        if not isinstance(value, str | int | float):
          raise ValueError(
            f"decisions[{i}] has {json_values.shown(value)}; legal: numbers and"
            " strings"
          )
      if values != whole.get(name):
        cut[name] = values
    return space.fix(**cut) if cut else space
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from error


def _items(value: Any) -> list[Any]:
  return value if isinstance(value, list) else [value]
