"""Compound scaling of networks: depth, width and resolution together.

Tan & Le 2019 (EfficientNet), equation 3: a network is made larger by
`depth ** phi`, `width ** phi` and `resolution ** phi` for one phi; a negative
phi makes it smaller. The default bases are EfficientNet's.

What is rounded, and how:

* A *row* is a run of blocks with one stage number and one width, a stage in
  EfficientNet's sense (FBNet's and FBNetV3's numbered stages hold up to two).
  A row of n blocks gets `ceil(n * depth)`, at least one. Further blocks repeat
  the row's last inverted residual of stride 1, or its last one at stride 1, at
  its end; rows of skips alone stay. Where blocks go, the last of the row go, so
  that all widths and strides remain.
* Widths of stem, blocks and head are rounded to multiples of 8, or of the
  network's divisor where that is larger, by `divisible`.
* Resolutions are rounded to multiples of 8 from 64 pixels, of 4 from 32, of 2
  below, or to the nearest of those that are allowed.
* Rounding never turns against the scaling: what should grow does not shrink,
  and a factor of 1 changes nothing.

Rounding up adds a block to every row at any depth above 1. Steps are finer
with a depth of 1: then phi moves widths and resolution alone.

How the published networks compare: FBNetV3 B is A at 248 instead of 224 pixels
and nothing else. F's rows have the widths of E's times 1.13, rounded as here,
and their depths times 1.09 rounded to the nearest, at 1.03 times the
resolution; stem and head stay. G, at 1.21 times E's resolution, has F's rows
with widths that no one factor gives (0 to 16 channels more) and a second last
block; its head, too, keeps the 1984 channels that EfficientNet would scale.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

from fbnax.spaces.architecture import Architecture, Block, validate
from fbnax.spaces.kinds import KINDS
from fbnax.spaces.widths import divisible

# Phi is searched in these steps, up to this exponent either way.
STEPS_PER_UNIT = 1_000_000
LARGEST_EXPONENT = 16
_SEVENTH = 7  # Of 224 pixels are the 32 of CIFAR-10.


def scale(
  architecture: Architecture,
  *,
  depth: float,
  width: float,
  resolution: float,
  resolutions: tuple[int, ...] | None = None,
) -> Architecture:
  """The architecture with more or fewer blocks, channels and pixels.

  Args:
    architecture: the one to scale.
    depth: factor of the number of blocks of each row.
    width: factor of the channels of stem, blocks and head.
    resolution: factor of the image's side.
    resolutions: the allowed ones, pixels; None for any.

  Raises:
    ValueError: a factor is not above 0, no resolution is allowed, or nothing is
      left of the image in some block.
  """
  factors = {"depth": depth, "width": width, "resolution": resolution}
  for name, factor in factors.items():
    if not 0 < factor < math.inf:
      raise ValueError(f"{name} is {factor!r}; legal: a number above 0")
  if resolutions is not None and not resolutions:
    raise ValueError("resolutions is empty; legal: at least one, or None")
  divisor = max(8, architecture.divisor)
  rows = itertools.groupby(
    architecture.blocks, lambda block: (block.stage, block.channels)
  )
  scaled = dataclasses.replace(
    architecture,
    resolution=_resolution(architecture.resolution, resolution, resolutions),
    stem=_widened(architecture.stem, width, divisor),
    blocks=tuple(
      _widened(block, width, divisor)
      for _, row in rows
      for block in _deepened(tuple(row), depth)
    ),
    head=_widened(architecture.head, width, divisor),
  )
  validate(scaled)
  return scaled


def for_small_images(architecture: Architecture) -> Architecture:
  """A network for large images moved to ones of a seventh of their side.

  As section 4.4 of Wan 2022 moves FBNetV3 to CIFAR-10: 224 pixels become 32,
  larger networks keep larger images by the same ratio, and the second block of
  stride two has stride one.

  Args:
    architecture: of a network of 224 pixels or so.

  Raises:
    ValueError: it has no second block of stride two, or too few pixels.
  """
  strided = [i for i, b in enumerate(architecture.blocks) if b.stride == 2]
  if len(strided) < 2:
    raise ValueError(
      f"the architecture has {len(strided)} blocks of stride 2; legal: at least"
      " 2, of which the second gets stride 1"
    )
  blocks = list(architecture.blocks)
  blocks[strided[1]] = dataclasses.replace(blocks[strided[1]], stride=1)
  moved = dataclasses.replace(
    architecture,
    resolution=round(architecture.resolution / _SEVENTH),
    blocks=tuple(blocks),
  )
  validate(moved)
  return moved


def scaled_to(
  architecture: Architecture,
  limit: float,
  cost: Callable[[Architecture], float],
  *,
  depth: float = 1.2,
  width: float = 1.1,
  resolution: float = 1.15,
  resolutions: tuple[int, ...] | None = None,
) -> tuple[Architecture, float]:
  """The architecture scaled as far as a limit allows.

  Phi is bisected to a millionth, so that the result and the first network
  above the limit differ by one step of rounding: at phi + 1e-6 the limit is
  exceeded.

  Args:
    architecture: the one to scale.
    limit: the largest cost, in the unit of `cost`.
    cost: the cost of an architecture; grows with phi.
    depth: base of the factor of depth, at least 1.
    width: base of the factor of width, at least 1.
    resolution: base of the factor of resolution, at least 1.
    resolutions: the allowed ones, pixels; None for any.

  Returns:
    The architecture, and phi.

  Raises:
    ValueError: a base is below 1 or all are 1, or the limit lies outside what
      scaling reaches; the end that it reaches is named.
  """
  bases = {"depth": depth, "width": width, "resolution": resolution}
  for name, base in bases.items():
    if not 1 <= base < math.inf:
      raise ValueError(f"{name} is {base!r}; legal: at least 1")
  if max(bases.values()) == 1:
    raise ValueError(f"{bases} scale nothing; legal: one of them above 1")

  def at(step: int) -> Architecture:
    phi = step / STEPS_PER_UNIT
    factors = {name: base**phi for name, base in bases.items()}
    return scale(architecture, **factors, resolutions=resolutions)

  # Most steps of the bisection are the same few architectures.
  price = functools.cache(cost)

  def fits(step: int) -> bool:
    return price(at(step)) <= limit

  def exists(step: int) -> bool:
    try:
      at(step)
    except ValueError:
      return False
    return True

  end = LARGEST_EXPONENT * STEPS_PER_UNIT
  at(0)  # What is wrong with the architecture itself is said here.
  if fits(0):
    low, high = 0, STEPS_PER_UNIT
    while fits(high):
      if high >= end:
        raise ValueError(
          f"limit is {limit}; scaling reaches {price(at(end))} at the most, "
          f"with phi {LARGEST_EXPONENT}"
        )
      low, high = high, 2 * high
  else:
    high, low = 0, -STEPS_PER_UNIT
    while exists(low) and not fits(low) and low > -end:
      high, low = low, 2 * low
    if not exists(low):
      # Depthwise paddings below half the kernel use up small images.
      low = _first(exists, low, high)
    if not fits(low):
      raise ValueError(
        f"limit is {limit}; scaling reaches {price(at(low))} at the least, "
        f"with phi {low / STEPS_PER_UNIT}"
      )
  high = _first(lambda step: not fits(step), low, high)
  return at(high - 1), (high - 1) / STEPS_PER_UNIT


def scaled_channels(channels: int, factor: float, divisor: int) -> int:
  """Channels times a factor above 0, rounded as `scale` rounds them.

  Args:
    channels: of a stem, block or head.
    factor: of the width.
    divisor: what is rounded to multiples of.
  """
  return _towards(channels, divisible(channels * factor, divisor), factor)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
  """The first step that holds; `low` does not, `high` does."""
  while high - low > 1:
    middle = (low + high) // 2
    if holds(middle):
      high = middle
    else:
      low = middle
  return high


def _deepened(row: tuple[Block, ...], factor: float) -> tuple[Block, ...]:
  # A product like 5 * 1.2 may come out above the whole number that it is.
  count = max(1, math.ceil(len(row) * factor - 1e-9))
  residuals = [block for block in row if not KINDS[block.op].passes]
  if count <= len(row) or not residuals:
    return row[:count]
  plain = [block for block in residuals if block.stride == 1]
  repeated = plain[-1] if plain else residuals[-1]
  if repeated.stride > 1:
    # An explicit padding belongs to the halving.
    repeated = dataclasses.replace(repeated, stride=1, padding=None)
  return row + (repeated,) * (count - len(row))


def _widened(part: Any, factor: float, divisor: int) -> Any:
  """Stem, block or head with scaled channels."""
  return dataclasses.replace(
    part, channels=scaled_channels(part.channels, factor, divisor)
  )


def _resolution(
  pixels: int, factor: float, allowed: tuple[int, ...] | None
) -> int:
  wanted = pixels * factor
  if allowed is not None:
    return min(sorted(allowed), key=lambda side: abs(side - wanted))
  multiple = 8 if wanted >= 64 else 4 if wanted >= 32 else 2
  rounded = max(1, math.floor(wanted / multiple + 0.5)) * multiple
  return _towards(pixels, rounded, factor)


def _towards(before: int, after: int, factor: float) -> int:
  """`after`, unless it lies on the other side than the factor says."""
  if factor == 1:
    return before
  return max(before, after) if factor > 1 else min(before, after)
