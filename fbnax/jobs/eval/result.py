"""The schema of `result.json` (version 1) of the job `eval`."""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult


@dataclasses.dataclass(frozen=True)
class EvalResult(JobResult):
  """How well a finished model does on a split of a data set.

  Attributes:
    model: its directory.
    split: the split.
    images: in it.
    accuracy: a fraction of 1.
    log_loss: in nats.
    macs: of the model.
    params: of the model.
  """

  model: str = ""
  split: str = ""
  images: int | None = None
  accuracy: float | None = None
  log_loss: float | None = None
  macs: int | None = None
  params: int | None = None
