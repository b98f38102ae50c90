"""Saving and loading fitted graph predictors: one .npz without objects."""

from __future__ import annotations

import json
import os
from typing import Any

import flax
import jax
import jax.numpy as jnp

from fbnax.base import json_values, limits
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild.graph_fit import FittedGraph
from fbnax.search.nars.predictor_files import (
  check_shapes,
  read_file,
  write_file,
)


def save(
  path: str | os.PathLike[str], model: FittedGraph, about: dict[str, Any]
) -> None:
  """Writes a predictor; the file appears complete or not at all.

  Args:
    path: of the file.
    model: the predictor.
    about: what it was fitted to, as JSON says it; `load` asks for the same.
  """
  metadata = {
    "module": {
      "categories": list(model.module.categories),
      "numbers": model.module.numbers,
      "hidden": model.module.hidden,
      "num_hops": model.module.num_hops,
    },
    "about": about,
  }
  write_file(path, metadata, model, model.variables)


def load(path: str | os.PathLike[str], about: dict[str, Any]) -> FittedGraph:
  """Reads what `save` wrote.

  Raises:
    ValueError: the file is no saved predictor, or was fitted to something else;
      the file and the key are named.
  """
  metadata, arrays = read_file(path)
  where = f"{path}: metadata"
  saved = json_values.field(metadata, "about", dict, where)
  expected = json.loads(json.dumps(about))
  for key in [*expected, *saved]:
    if saved.get(key) != expected.get(key):
      raise ValueError(
        f"{path} was fitted to {key} {json_values.shown(saved.get(key))},"
        f" wanted is {json_values.shown(expected.get(key))}"
      )
  most = limits.CHANNELS
  categories = json_values.field(
    metadata, "module.categories", list, where, of=int, low=1, high=most
  )
  numbers, hidden, hops = (
    json_values.field(metadata, f"module.{n}", int, where, low=low, high=high)
    for n, low, high in (
      ("numbers", 0, most),
      ("hidden", 1, most),
      ("num_hops", 0, 100),
    )
  )
  module = GraphPredictor(tuple(categories), numbers, hidden, hops)
  columns = sum(categories) + numbers
  like = jax.eval_shape(
    module.init,
    jax.random.key(0),
    jnp.zeros((columns, 2, 2)),
    jnp.ones((2, 2)),
  )
  check_shapes(path, arrays, like)
  variables = {n: jnp.asarray(x) for n, x in arrays.items() if "/" in n}
  return FittedGraph(
    flax.traverse_util.unflatten_dict(variables, sep="/"),
    jnp.asarray(arrays["mean"]),
    jnp.asarray(arrays["deviation"]),
    module,
  )
