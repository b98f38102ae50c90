"""The schema of `result.json` (version 1) of the job `profile`.

Rules as in `schema`. Times of parts and networks are milliseconds, those of
phases seconds; errors are fractions of what was measured.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult, Rows


@dataclasses.dataclass(frozen=True)
class PartKind:
  """Parts of one kind: how many, and what they take."""

  name: str = ""
  entries: int = 0
  fastest: float | None = None
  median: float | None = None
  slowest: float | None = None


@dataclasses.dataclass(frozen=True)
class MeasuredNetwork:
  """A random network: what it takes, and the sum of the table.

  `spread` is a standard deviation of a single call; `interpolated` the share of
  its parts whose widths lie between measured ones.
  """

  genotype: tuple[int, ...] = ()
  measured: float | None = None
  spread: float | None = None
  predicted: float | None = None
  interpolated: float | None = None


@dataclasses.dataclass(frozen=True)
class SumAgreement:
  """How well the sums tell what networks take.

  Attributes:
    spearman: rank correlation.
    median_error: median of |sum - measured| / measured.
    ratio: median of measured / sum.
    median_error_scaled: the error of the sums times that ratio.
  """

  spearman: float | None = None
  median_error: float | None = None
  ratio: float | None = None
  median_error_scaled: float | None = None


@dataclasses.dataclass(frozen=True)
class ProfileResult(JobResult):
  """Everything the report of a profile is made of."""

  space: Rows = dataclasses.field(default_factory=Rows)
  device: str | None = None
  note: str | None = None
  overhead: float | None = None
  entries: int | None = None
  kinds: tuple[PartKind, ...] = ()
  networks: tuple[MeasuredNetwork, ...] = ()
  agreement: SumAgreement = dataclasses.field(default_factory=SumAgreement)
