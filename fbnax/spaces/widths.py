"""Widths between the named ones, rounded as the published networks round.

Written for numbers and for arrays alike, so that exact counts, counts of whole
populations and the networks themselves share one definition.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp


def divisible(value: Any, divisor: int) -> Any:
  """`value` rounded to a multiple of `divisor`: half up, never under 95%."""
  if isinstance(value, (int, float)):
    if value % divisor == 0:
      return int(value)
    rounded = max(math.floor(value / divisor + 0.5) * divisor, divisor)
    return rounded + divisor if rounded < 0.95 * value else rounded
  # No remainder here: on a CPU it is a library call for each element, and what
  # is a multiple already rounds to itself.
  nearest = jnp.maximum(jnp.floor(value / divisor + 0.5) * divisor, divisor)
  return jnp.where(nearest < 0.95 * value, nearest + divisor, nearest)


def mid_width(channels: Any, expansion: Any, divisor: int) -> Any:
  """Mid channels of an inverted residual."""
  return divisible(channels * expansion, divisor)


def squeeze_width(
  mid: Any, expansion: Any, divisor: int, from_input: bool
) -> Any:
  """Channels between the two convolutions of a squeeze-excite."""
  quarter = mid * 0.25
  if from_input:
    quarter = quarter / expansion
  if isinstance(quarter, (int, float)):
    return divisible(max(int(quarter), 1), divisor)
  return divisible(jnp.maximum(jnp.floor(quarter), 1), divisor)
