"""Checks of the values of a section of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check_section(
  section: str, values: Any, checks: Mapping[str, tuple[bool, str]]
) -> None:
  """Refuses the first value that is not legal.

  Args:
    section: of the config, which the values are keys of.
    values: has them as attributes.
    checks: by key, whether the value is legal, and what would be.

  Raises:
    ValueError: names the key, its value and what is legal.
  """
  for name, (is_legal, legal) in checks.items():
    if not is_legal:
      raise ValueError(
        f"{section}.{name} is {getattr(values, name)!r}; legal: {legal}"
      )
