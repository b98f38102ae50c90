"""Means with Student's 95% intervals.

Symbols: `R` runs, `S` seeds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
  """A mean with its interval.

  Attributes:
    mean: NaN without any value.
    low: the interval's lower end, NaN for fewer than two units.
    high: its upper end, likewise.
    units: how many runs or seeds have a value.
    over: "runs" or "seeds".
  """

  mean: float
  low: float
  high: float
  units: int
  over: str


def interval(values: np.ndarray) -> Interval:
  """The mean of `f64[R, S]` with Student's 95% interval; NaNs do not count.

  The interval is over the runs where there are two or more, each of which
  counts once with the mean of its seeds, else over the seeds.
  """
  over_runs = values.shape[0] >= 2
  units = finite_mean(values, axis=1) if over_runs else values.ravel()
  units = units[np.isfinite(units)]
  over = "runs" if over_runs else "seeds"
  count = len(units)
  mean = float(units.mean()) if count else np.nan
  if count < 2:
    return Interval(mean, np.nan, np.nan, count, over)
  from scipy.special import stdtrit  # Slow to import, and only needed here.

  error = units.std(ddof=1) / np.sqrt(count)
  half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2) * error)
  return Interval(mean, mean - half, mean + half, count, over)


def finite_mean(values: Any, axis: int) -> np.ndarray:
  """The mean of those that are finite, NaN where none is; no warning."""
  array = np.asarray(values, np.float64)
  good = np.isfinite(array)
  count = good.sum(axis)
  total = np.where(good, array, 0.0).sum(axis)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)
