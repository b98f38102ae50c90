"""Keys of the job latency_predictor."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key


@dataclasses.dataclass(frozen=True)
class LatencyPredictorConfig:
  """Latency of devices, learned from a few measured networks."""

  job: str = key("latency_predictor", sections.JOB)
  seed: int = key(0, sections.SEED)
  measurements: str = key(
    "", "file of measured networks: .csv, .json or a published .npz"
  )
  space: str = key(
    "", f"of the networks: {sections.SPACE}; a published .npz tells it"
  )
  fix: str = key("", sections.FIX)
  devices: tuple[str, ...] = key(
    (), "columns of `measurements` that are learned; none for all"
  )
  not_devices: tuple[str, ...] = key(
    (), "columns of numbers that are no device's"
  )
  batches: tuple[str, ...] = key(
    ("_1", "_32", "_64"),
    "endings of columns that say the batch: columns alike up to them are of one"
    " device, and no other devices to each other",
  )
  others: bool = key(True, "learns from what other devices' columns say, too")
  counts: tuple[int, ...] = key(
    (10, 50, 200, 1000),
    "measurements to learn from; all there are, where these are fewer",
    "networks",
  )
  kinds: tuple[str, ...] = key(
    ("additive", "mlp", "graph"), "of predictors to choose from"
  )
  held_out: float = key(0.2, sections.HELD_OUT, "share")
  seeds: int = key(1, "repetitions; tables are of the first", least=1)
