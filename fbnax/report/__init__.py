"""The report of a run: reads a work directory, writes one HTML file."""

from __future__ import annotations

from fbnax.report.drawing import draw
from fbnax.report.reading import read
from fbnax.report.schema import Result
from fbnax.report.writing import has_page, write

__all__ = ["Result", "draw", "has_page", "read", "write"]
