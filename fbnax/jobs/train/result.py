"""What the job `train` leaves: one network, as a family of one."""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import Result


@dataclasses.dataclass(frozen=True)
class TrainResult(Result):
  """One network that was trained; the parts of a search are not there."""
