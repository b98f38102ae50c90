"""What the job `latency_predictor` reads: measured networks, their split."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import numpy as np

from fbnax.jobs.latency_predictor.config import LatencyPredictorConfig
from fbnax.jobs.runtime import inputs
from fbnax.search.autobuild import additive, labelled
from fbnax.search.latency import learning as latency_learning
from fbnax.search.latency import starts as latency_starts
from fbnax.search.latency.learning import FEWEST, KINDS
from fbnax.search.latency.starts import Predict
from fbnax.spaces import SearchSpace


class Measurements(NamedTuple):
  """Measured networks.

  Attributes:
    space: the space.
    genotypes: each once, `i32[n, D]`.
    columns: latency by device, ms, `f64[n]` each.
    devices: those that are learned.
    counts: numbers of measurements to learn from, rising.
    held_out: number of networks that predictors are judged on.
  """

  space: SearchSpace
  genotypes: np.ndarray
  columns: dict[str, np.ndarray]
  devices: tuple[str, ...]
  counts: tuple[int, ...]
  held_out: int

  def split(self, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to judge by; more hold all of fewer."""
    order = np.random.default_rng(seed).permutation(len(self.genotypes))
    test, rest = order[: self.held_out], order[self.held_out :]
    return rest[:count], test


def read(config: LatencyPredictorConfig) -> Measurements:
  """Measured networks; checks the whole config.

  Raises:
    ValueError: a file or a key of the config is wrong; it is named.
  """
  if not config.measurements:
    raise ValueError(
      "config.measurements is empty; legal: a .csv, .json or .npz file"
    )
  unknown = [kind for kind in config.kinds if kind not in KINDS]
  if unknown or not config.kinds:
    raise ValueError(
      f"config.kinds has {unknown or 'nothing'}; legal: {', '.join(KINDS)}"
    )
  data = labelled.load(
    config.measurements, inputs.space_of_file(config.space, config.fix)
  )
  latency_learning.check_space(data.space)
  columns, devices = _devices(config, data.columns)
  rows = len(data.genotypes)
  held_out = round(config.held_out * rows)
  most = rows - held_out
  if not 0 < config.held_out < 1 or held_out < 2 or most < FEWEST:
    raise ValueError(
      f"config.held_out is {config.held_out!r}; legal: a share of the {rows} "
      f"networks that leaves {FEWEST} at least, and is 2 at least"
    )
  if not config.counts or min(config.counts) < FEWEST:
    raise ValueError(
      f"config.counts is {config.counts!r}; legal: from {FEWEST}"
    )
  # Of fewer measurements than were asked for, all are the most there are.
  counts = sorted({min(count, most) for count in config.counts})
  return Measurements(
    data.space, data.genotypes, columns, devices, tuple(counts), held_out
  )


def others(
  config: LatencyPredictorConfig, data: Measurements
) -> dict[str, dict[str, Predict]]:
  """For each device what is known of the others; nothing unless wanted.

  Each is an additive model of all that was measured there. Columns that differ
  from the device's in the batch alone are no other device.
  """
  if not config.others:
    return {device: {} for device in data.devices}
  of = {name: _without_batch(config, name) for name in data.columns}
  needed = {
    device: [name for name in data.columns if of[name] != of[device]]
    for device in data.devices
  }
  models = {
    name: _model(data.space, data.genotypes, data.columns[name])
    for name in dict.fromkeys(n for names in needed.values() for n in names)
  }
  return {
    device: {name: models[name] for name in names}
    for device, names in needed.items()
  }


def file_name(device: str) -> str:
  """A device's name as one of a file."""
  return re.sub(r"[^\w.+-]+", "_", device).lstrip(".") or "_"


def _devices(
  config: LatencyPredictorConfig, columns: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """Columns of devices, and those of them that are learned."""
  for key in ("devices", "not_devices"):
    unknown = [name for name in getattr(config, key) if name not in columns]
    if unknown:
      raise ValueError(
        f"config.{key} has {unknown}; legal: columns of "
        f"{config.measurements}: {list(columns)}"
      )
  both = sorted(set(config.devices) & set(config.not_devices))
  if both:
    raise ValueError(
      f"config.devices and config.not_devices both have {both}; legal: one"
    )
  kept = {n: v for n, v in columns.items() if n not in config.not_devices}
  if not kept:
    raise ValueError(
      f"{config.measurements} has no column of numbers but config.not_devices;"
      " legal: one for each device"
    )
  for name, values in kept.items():
    wrong = np.flatnonzero(~(values > 0))
    if len(wrong):
      raise ValueError(
        f"{config.measurements}: column {name!r} is {values[wrong[0]]} for "
        f"network {wrong[0]}; legal: above 0, or one of config.not_devices"
      )
  devices = tuple(dict.fromkeys(config.devices)) or tuple(kept)
  files: dict[str, str] = {}
  for device in devices:
    first = files.setdefault(file_name(device), device)
    if first != device:
      raise ValueError(
        f"devices {first!r} and {device!r} share the file name "
        f"{file_name(device)!r}; legal: names that differ in letters, digits, "
        "and . + -"
      )
  return kept, devices


def _without_batch(config: LatencyPredictorConfig, name: str) -> str:
  for ending in config.batches:
    if ending and name.endswith(ending):
      return name.removesuffix(ending)
  return name


def _model(
  space: SearchSpace, genotypes: np.ndarray, latency: np.ndarray
) -> Predict:
  ridge = additive.robust_ridge(latency_starts.parts(space, genotypes), latency)
  return functools.partial(_predict, space, ridge)


def _predict(
  space: SearchSpace, ridge: additive.Ridge, genotypes: np.ndarray
) -> np.ndarray:
  sums: np.ndarray = latency_starts.parts(space, genotypes) @ ridge.weights
  return sums + ridge.mean
