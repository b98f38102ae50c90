"""The page of searches of a space that is known."""

from __future__ import annotations

from fbnax.jobs.benchmark.page import draw

__all__ = ["draw"]
