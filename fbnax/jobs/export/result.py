"""What the job `export` leaves: `result.json`, version 1."""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult


@dataclasses.dataclass(frozen=True)
class ExportedProgram:
  """A program of the network.

  Attributes:
    file: its name in the work directory.
    bytes: its size.
    difference: largest, of its logits from the network's.
    largest_logit: of the network, on the images that were compared.
  """

  file: str = ""
  bytes: int = 0
  difference: float | None = None
  largest_logit: float | None = None


@dataclasses.dataclass(frozen=True)
class ExportLatency:
  """What the StableHLO program takes, ms, beside the budget of the config."""

  device: str = ""
  ms: float | None = None
  spread: float | None = None
  batch_size: int = 1
  budget_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class ExportResult(JobResult):
  """The programs by kind, and how long one runs."""

  programs: dict[str, ExportedProgram] = dataclasses.field(default_factory=dict)
  latency: ExportLatency = dataclasses.field(default_factory=ExportLatency)
