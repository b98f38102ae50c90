"""The page of one trained network."""

from __future__ import annotations

from fbnax.jobs.nars.page import draw

__all__ = ["draw"]
