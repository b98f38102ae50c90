"""What the job `ground_truth` leaves: searches, and what was derived."""

from __future__ import annotations

from fbnax.jobs.benchmark.result import BenchmarkResult as GroundTruthResult

__all__ = ["GroundTruthResult"]
