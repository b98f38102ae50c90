"""What no config can hold, whatever its key is for.

`config.json` is JSON, which has no NaN and no infinity, and what computes with
a number of a config holds it in 32 or 64 bits. Sizes have limits beyond which
they would be told by a full memory alone.
"""

from __future__ import annotations

import math
from typing import Any

from ml_collections.config_dict import ConfigDict

from fbnax.base import limits

_LARGEST_WHOLE = 2**31 - 1
_LARGEST = 1e30  # Its square is still a float32.
_MANY = 1_000_000
# What memory or time grows with before anything else says so, by the last part
# of the key. Far more than anyone means; less may still be too much.
_MOST = {
  "resolution": limits.RESOLUTION,
  "decode_resolution": limits.RESOLUTION,
  "input_channels": limits.IMAGE_CHANNELS,
  "channels": limits.CHANNELS,
  "hidden": limits.CHANNELS,
  "cells": limits.BLOCKS,
  "per_stage": limits.BLOCKS,
  "hops": 100,
  "batch_size": 2**20,
  "classes": limits.CLASSES,
  "num_classes": limits.CLASSES,
  "epochs": _MANY,
  "finetune_epochs": _MANY,
  "pool": 10_000_000,
  "bootstrap": _MANY,
  "candidates": 100_000,
  "children": 10_000,
  "evaluations": _MANY,
  "first": 100_000,
  "loops": _MANY,
  "memory_options": 1_000,
  "moves": 10_000,
  "networks": 100_000,
  "pairs": 10_000,
  "population": 10_000,
  "predictors": 1_000,
  "randaugment_operations": 100,
  "repeats": _MANY,
  "rounds": 10_000,
  "sample": _MANY,
  "samples": _MANY,
  "seeds": 10_000,
  "top": 100_000,
  "warmup": _MANY,
  "widths": 1_000,
}


def check(config: ConfigDict, where: str = "config") -> None:
  """Looks at every value of a config and of the configs in it.

  Raises:
    ValueError: a number is not finite, or too large to be meant, or a list
      holds other than numbers or strings, or both; the key is named.
  """
  for key, value in config.items():
    name = f"{where}.{key}"
    if hasattr(value, "items"):
      check(value, name)
    elif isinstance(value, list | tuple):
      _check_list(name, value)
      for item in value:
        _check_whole(name, key, item)
    elif isinstance(value, int):
      _check_whole(name, key, value)
    elif isinstance(value, float) and not _is_number(value):
      raise ValueError(f"{name} is {value}; legal: numbers up to {_LARGEST:g}")
    elif isinstance(value, str) and "\0" in value:
      raise ValueError(f"{name} is {value!r}; legal: text without NUL")


def all_numbers(name: str, values: Any) -> list[Any]:
  """The values of a list.

  Raises:
    ValueError: one is no number; the key is named.
  """
  if not all(map(_is_number, values)):
    raise ValueError(f"{name} is {values!r}; legal: a list of numbers")
  return list(values)


def _check_whole(name: str, key: str, value: Any) -> None:
  most = _MOST.get(key, _LARGEST_WHOLE)
  if isinstance(value, int) and abs(value) > most:
    raise ValueError(f"{name} is {value}; legal: whole numbers up to {most:,}")


def _check_list(name: str, values: list[Any] | tuple[Any, ...]) -> None:
  strings = [isinstance(v, str) for v in values]
  if all(strings) or (not any(strings) and all(map(_is_number, values))):
    return
  raise ValueError(
    f"{name} is {values!r}; legal: a list of strings, or of numbers up to "
    f"{_LARGEST:g}"
  )


def _is_number(value: Any) -> bool:
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return is_number and math.isfinite(value) and abs(value) <= _LARGEST
