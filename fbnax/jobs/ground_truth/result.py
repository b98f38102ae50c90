"""What the job `ground_truth` leaves: `result.json`, version 1."""

from __future__ import annotations

import dataclasses

from fbnax.report.searches import SearchesResult


@dataclasses.dataclass(frozen=True)
class GroundTruthResult(SearchesResult):
  """Differentiable searches by variant, and the cells that they derived."""
