"""What the job `autobuild` reads: labelled networks, their split, labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fbnax.base import json_values
from fbnax.jobs.autobuild.config import AutobuildConfig
from fbnax.jobs.runtime import inputs
from fbnax.search.autobuild import label_choice, label_expressions, labelled
from fbnax.search.autobuild.labelled import Labelled


class Data(NamedTuple):
  """Labelled networks, split.

  Attributes:
    labels: all of them.
    train: rows to learn from, `i64[n]`.
    test: rows that are held out, `i64[m]`.
  """

  labels: Labelled
  train: np.ndarray
  test: np.ndarray


def read(config: AutobuildConfig) -> Data:
  """Labelled networks and their split.

  Raises:
    ValueError: a file or a key of the config is wrong; it is named.
  """
  if not config.labels:
    raise ValueError(
      "config.labels is empty; legal: a .csv, .json or .npz file"
    )
  space = inputs.space_of_file(config.space, config.fix)
  labels = labelled.load(config.labels, space)
  count = len(labels.genotypes)
  for key in ("accuracy", "cost"):
    column = getattr(config, key)
    if column not in labels.columns:
      raise ValueError(
        f"config.{key} is {column!r}; legal: columns of {config.labels}: "
        f"{list(labels.columns)}"
      )
  wrong = np.flatnonzero(~(labels.columns[config.cost] > 0))
  if len(wrong):
    raise ValueError(
      f"{config.labels}: column {config.cost!r} is "
      f"{labels.columns[config.cost][wrong[0]]} for network {wrong[0]}; legal: "
      "above 0, since it is config.cost"
    )
  if config.test_rows:
    test = _rows(config.test_rows, count)
  else:
    held_out = round(config.held_out * count)
    if not 0 < config.held_out < 1 or held_out < 2 or count - held_out < 2:
      raise ValueError(
        f"config.held_out is {config.held_out!r}; legal: a share that leaves "
        f"two of the {count} networks at least on both sides"
      )
    order = np.random.default_rng(config.seed).permutation(count)
    test = np.sort(order[:held_out])
  train = np.setdiff1d(np.arange(count), test)
  return Data(labels, train, test)


def _rows(path: str, count: int) -> np.ndarray:
  """Rows to hold out, of a JSON file with a list of numbers."""
  try:
    rows = json_values.read(path)
  except (OSError, ValueError) as error:
    raise ValueError(f"config.test_rows={path!r}: {error}") from error
  legal = isinstance(rows, list) and all(
    type(i) is int and 0 <= i < count for i in rows
  )
  if not legal or not 2 <= len(set(rows)) <= count - 2:
    raise ValueError(
      f"config.test_rows={path!r} holds no list of rows; legal: 2 to "
      f"{count - 2} numbers from 0 to {count - 1}"
    )
  return np.asarray(sorted(set(rows)))


def expressions(
  config: AutobuildConfig, data: Data
) -> list[tuple[str, np.ndarray]]:
  """Label expressions and their values for all networks.

  Raises:
    ValueError: an expression cannot be read or computed.
  """
  texts = list(config.expressions)
  columns = data.labels.columns
  if config.region:
    train = data.train
    chosen = label_choice.choose(
      data.labels.space,
      data.labels.genotypes[train],
      columns[config.accuracy][train],
      columns[config.cost][train],
      config.region,
      accuracy_name=config.accuracy,
      cost_name=config.cost,
    )
    print(
      f"config.region={config.region:g}: the label {chosen.expression}, whose "
      f"best networks have {config.cost} {chosen.cost:.4g}"
    )
    texts.append(chosen.expression)
  texts = list(dict.fromkeys(texts))
  if not texts:
    raise ValueError(
      "config.expressions is empty and config.region is 0; legal: one of them"
    )
  try:
    return [(t, label_expressions.evaluate(t, columns)) for t in texts]
  except ValueError as error:
    raise ValueError(f"config.expressions: {error}") from error
