"""The schema of `result.json` (version 1) of the job `latency_predictor`.

Rules as in `schema`. Latencies are milliseconds (or what was measured); errors
are medians of |predicted - measured| / measured.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult, Numbers, Rows


@dataclasses.dataclass(frozen=True)
class KindScore:
  """A kind of predictor.

  `validated` is its error on measurements that it did not learn from, by which
  it is chosen; the others are on networks that were held out from all.
  """

  kind: str = ""
  validated: float | None = None
  error: float | None = None
  spearman: float | None = None


@dataclasses.dataclass(frozen=True)
class LatencyScore:
  """The predictors of a device from so many measurements.

  `taken` is the kind that was chosen; `shares` are those of the largest parts
  of the sum that all kinds start from.
  """

  device: str = ""
  start: str = ""
  count: int = 0
  seed: int | None = None
  taken: str = ""
  kinds: tuple[KindScore, ...] = ()
  shares: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DeviceTable:
  """The table of a device that was left, on some networks held out."""

  device: str = ""
  file: str = ""
  start: str = ""
  count: int = 0
  taken: str = ""
  error: float | None = None
  spearman: float | None = None
  predicted: Numbers = ()
  measured: Numbers = ()


@dataclasses.dataclass(frozen=True)
class LatencyResult(JobResult):
  """Everything the report of `latency_predictor` is made of."""

  space: Rows = dataclasses.field(default_factory=Rows)
  held_out: int | None = None
  scores: tuple[LatencyScore, ...] = ()
  tables: tuple[DeviceTable, ...] = ()

  def check(self) -> None:
    """Raises a ValueError where lists that belong together do not fit."""
    for i, table in enumerate(self.tables):
      if len(table.predicted) != len(table.measured):
        raise ValueError(
          f"tables[{i}] has {len(table.predicted)} predicted and "
          f"{len(table.measured)} measured"
        )
