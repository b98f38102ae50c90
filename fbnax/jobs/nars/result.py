"""What the job `nars` leaves: a search, and a family of networks."""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import Result


@dataclasses.dataclass(frozen=True)
class NarsResult(Result):
  """A search and the family that came of it."""
