"""What the job `benchmark` leaves: `result.json`, version 1."""

from __future__ import annotations

import dataclasses

from fbnax.report.searches import SearchesResult


@dataclasses.dataclass(frozen=True)
class BenchmarkResult(SearchesResult):
  """Searches that evaluated as many networks each, and their curves."""
