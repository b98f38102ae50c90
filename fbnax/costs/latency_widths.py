"""Times of parts between measured widths.

Where widths are searched a space has far more keys than one can measure, so a
table may hold some widths of each type only. Parts that differ in widths alone
are a group: within one, time is taken as a sum of terms with coefficients of at
least 0, fitted to the group's entries by their relative errors. The terms are
what the work grows with: a constant, the elements that pass through (channels)
and the multiply-accumulates of each 1x1 convolution (products of channels).
Only widths between the smallest and the largest measured ones are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key
from fbnax.spaces.kinds import KINDS

_WIDTHS = ("c_in", "c_mid", "c_out")
_SHORTEST = 1e-6  # ms: what is no time at all must not have all the weight.


class _Group(NamedTuple):
  """The fitted coefficients `f64[terms]` and the widths they hold for."""

  coefficients: np.ndarray
  low: tuple[int, ...]
  high: tuple[int, ...]


def between(
  entries: Mapping[Key, Entry],
) -> Callable[[Key], float | None]:
  """A function that gives ms of any key between the measured widths.

  Args:
    entries: none below 0.

  Returns:
    `time(key)`, ms; None where a width lies outside the measured ones, or
    nothing of its group was measured.
  """
  grouped: dict[Key, dict[Key, float]] = {}
  for key, entry in entries.items():
    if not key.is_identity:
      grouped.setdefault(_without_widths(key), {})[key] = entry.ms
  fitted: dict[Key, _Group] = {}

  def time(key: Key) -> float | None:
    name = _without_widths(key)
    if name not in grouped:
      return None
    if name not in fitted:
      fitted[name] = _fit(grouped[name])
    group = fitted[name]
    inside = all(
      low <= getattr(key, width) <= high
      for width, low, high in zip(_WIDTHS, group.low, group.high, strict=True)
    )
    return float(_terms(key) @ group.coefficients) if inside else None

  return time


def _fit(measured: Mapping[Key, float]) -> _Group:
  from scipy.optimize import nnls  # Slow to import.

  terms = np.stack([_terms(key) for key in measured])
  times = np.maximum(list(measured.values()), _SHORTEST)
  # Columns of about the same size; nnls is not invariant to their scale.
  scale = terms.max(axis=0) + (terms.max(axis=0) == 0)
  coefficients, _ = nnls(terms / scale / times[:, None], np.ones(len(times)))
  widths = np.asarray([[getattr(k, w) for w in _WIDTHS] for k in measured])
  return _Group(
    coefficients / scale,
    tuple(widths.min(axis=0).tolist()),
    tuple(widths.max(axis=0).tolist()),
  )


def _terms(key: Key) -> np.ndarray:
  """What the work of a part grows with, `f64[terms]`."""
  c_in, c_mid, c_out = key.c_in, key.c_mid, key.c_out
  if not c_mid:
    return np.asarray([1, c_in + c_out, c_in * c_out], np.float64)
  layers = KINDS[key.op].layers if key.op in KINDS else ()
  # What has no convolution between the two where they are equal.
  may_lack = any(layer.when == "expands" for layer in layers)
  expands = not may_lack or c_mid != c_in
  row = [1, c_in + c_out, c_mid, c_in * c_mid * expands, c_mid * c_out]
  if key.squeeze_excite:
    row.append(c_mid * c_mid)
  return np.asarray(row, np.float64)


def _without_widths(key: Key) -> Key:
  return key._replace(c_in=0, c_mid=0, c_out=0)
