"""Packages that not everyone needs: imported where they are used, or asked for.

Each belongs to an extra of `pyproject.toml`.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def load(module: str, extra: str, needed_by: str) -> ModuleType:
  """A module of an extra.

  Args:
    module: its dotted name.
    extra: that its package belongs to.
    needed_by: what asks for it, for the message.

  Raises:
    ValueError: it is not installed; the command that installs it is told.
  """
  package = module.partition(".")[0]
  try:
    return importlib.import_module(module)
  except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != package:
      raise  # It is there, and lacks something itself.
    raise ValueError(
      f"{needed_by} needs the package {package}: pip install 'fbnax[{extra}]'"
    ) from error
