"""Keys of the job nbdt_tables."""

from __future__ import annotations

from fbnax.jobs.nbdt.config import NbdtTablesConfig

__all__ = ["NbdtTablesConfig"]
