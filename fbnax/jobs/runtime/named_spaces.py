"""Spaces of configs that have no other keys of them than `space` and `fix`."""

from __future__ import annotations

from typing import Any

from ml_collections import config_dict

from fbnax.jobs.runtime import inputs
from fbnax.spaces import SearchSpace


def named_space(config: Any, channels: int) -> SearchSpace:
  """The space that `config.space` names, cut by `config.fix`.

  Raises:
    ValueError: as `inputs.space`.
  """
  given = inputs.SPACE_DEFAULTS | {"space": config.space, "fix": config.fix}
  return inputs.space(config_dict.ConfigDict(given), channels)


def space_of_file(config: Any) -> SearchSpace | None:
  """The space of a file of networks; None where the file tells it itself.

  Raises:
    ValueError: as `inputs.space`, or a space that is not named is to be cut.
  """
  if config.space:
    return named_space(config, 3)
  if config.fix:
    raise ValueError(
      f"config.fix is {config.fix!r} and config.space is empty; legal: both"
    )
  return None
