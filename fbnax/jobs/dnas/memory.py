"""The memory chart's numbers in the job `dnas`; see `fbnax.models.memory`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fbnax.base import records
from fbnax.jobs.runtime.config_values import all_numbers
from fbnax.models import memory

KEPT = "memory.json"


def check(options: Sequence[int]) -> None:
  """Raises a ValueError for options that no space can be built with."""
  for k in all_numbers("config.memory_options", options):
    try:
      memory.channel_space(k)
    except ValueError as error:
      raise ValueError(f"config.memory_options: {error}") from None


def measure(options: Sequence[int], folder: Path) -> list[dict[str, Any]]:
  """Bytes of a step in both forms, measured or read from an earlier start."""
  kept: list[dict[str, Any]] | None = records.read(folder / KEPT)
  if kept is None:
    rows = [
      {"form": form, **memory.step_bytes(form, k)._asdict()}
      for form in (memory.MASKS, memory.SEPARATE)
      for k in options
    ]
    kept = records.write(folder / KEPT, rows)
  return kept
