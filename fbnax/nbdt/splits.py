"""Tests that part classes, by information gain: of one feature or of many.

A test sends samples whose value is at most a threshold to the left. A class
goes left if more than half of its samples do; a test counts only if it leaves
classes on both sides.

Symbols: `n` samples, `D` features, `k` classes, `T` thresholds.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

_ROUNDS = 6  # Passes over all weights, at most.
_JUMPS = 4  # Random directions tried from where no single weight helps.


class Test(NamedTuple):
  """A test: its information gain in nats, and the classes that go left."""

  gain: float
  left: np.ndarray
  weights: np.ndarray
  threshold: float


def best_axis(
  x: np.ndarray, y: np.ndarray, k: int, thresholds: int
) -> Test | None:
  """The best test of one feature; of equal ones the first.

  Args:
    x: `f64[n, D]`.
    y: `i[n]`, 0 to `k - 1`.
    k: number of classes.
    thresholds: the most that are tried by share of samples.
  """
  best: Test | None = None
  for feature, values in enumerate(x.T):
    cuts = _cuts(values, y, k, thresholds)
    if not len(cuts):
      continue
    # How many samples of each class lie at or under each cut.
    place = np.searchsorted(cuts, values)
    counts = np.bincount(place * k + y, minlength=(len(cuts) + 1) * k)
    below = counts.reshape(-1, k).cumsum(0)
    cut = _best_cut(below[:-1], below[-1])
    if cut is not None and (best is None or cut[0] > best.gain + 1e-12):
      gain, at, left = cut
      weights = np.zeros(x.shape[1])
      weights[feature] = 1.0
      best = Test(gain, left, weights, float(cuts[at]))
  return best


def best_oblique(
  random: np.random.Generator,
  x: np.ndarray,
  y: np.ndarray,
  k: int,
  restarts: int,
  components: int,
) -> Test | None:
  """The best test of a weighted sum that hill climbing finds; see `oblique`.

  Args:
    random: of weights and directions.
    x: `f64[n, D]`.
    y: `i[n]`, 0 to `k - 1`.
    k: number of classes.
    restarts: beginnings besides the best single feature.
    components: the most that are kept.
  """
  spread = x.std(0)
  x = (x - x.mean(0)) / np.where(spread > 0, spread, 1.0)
  if x.shape[1] > components:
    _, directions = np.linalg.eigh(x.T @ x)  # The largest last.
    x = x @ directions[:, : -components - 1 : -1]
  start = best_axis(x, y, k, len(x))
  beginnings = [] if start is None else [start.weights]
  beginnings += list(random.standard_normal((restarts, x.shape[1])))
  best = start
  for weights in beginnings:
    climbed = _climbed(random, x, y, k, weights)
    if climbed is not None and (
      best is None or climbed.gain > best.gain + 1e-12
    ):
      best = climbed
  return best


def drawn(
  random: np.random.Generator, y: np.ndarray, k: int, most: int
) -> np.ndarray:
  """Rows of about `most` samples at most, evenly of the classes."""
  if len(y) <= most:
    return np.arange(len(y))
  each = max(most // k, 1)
  order = random.permutation(len(y))
  order = order[np.argsort(y[order], kind="stable")]
  starts = np.searchsorted(y[order], np.arange(k))
  rank = np.arange(len(y)) - starts[y[order]]
  return np.sort(order[rank < each])


def on_a_line(values: np.ndarray, y: np.ndarray, k: int) -> tuple | None:
  """The best threshold of values: gain, threshold, classes that go left."""
  order = np.argsort(values, kind="stable")
  ordered = values[order]
  ends = np.flatnonzero(ordered[1:] > ordered[:-1])
  if not len(ends):
    return None
  counts = np.zeros((len(y), k), np.int32)
  counts[np.arange(len(y)), y[order]] = 1
  below = counts.cumsum(0)
  cut = _best_cut(below[ends], below[-1])
  if cut is None:
    return None
  gain, at, left = cut
  return gain, (ordered[ends[at]] + ordered[ends[at] + 1]) / 2, left


def _climbed(
  random: np.random.Generator,
  x: np.ndarray,
  y: np.ndarray,
  k: int,
  weights: np.ndarray,
) -> Test | None:
  """Hill climbing over the weights, one at a time, then random jumps."""
  # Sums move with the weights: products of small matrices would be left to
  # threads, which wait for each other longer than they compute.
  weights, values = weights.copy(), x @ weights
  cut = on_a_line(values, y, k)
  if cut is None:
    return None
  gain, threshold, left = cut
  jumps = 0
  for _ in range(_ROUNDS):
    before = gain
    for feature in random.permutation(x.shape[1]):
      slope = x[:, feature]
      if better := along(threshold - values, slope, y, k, gain):
        gain, step, left = better
        weights[feature] += step
        values += step * slope
    while gain <= before + 1e-9 and jumps < _JUMPS:
      jumps += 1
      direction = random.standard_normal(x.shape[1])
      slope = x @ direction
      if better := along(threshold - values, slope, y, k, gain):
        gain, step, left = better
        weights += step * direction
        values += step * slope
    if gain <= before + 1e-9:
      break
  return Test(gain, left, weights, threshold)


def along(
  margin: np.ndarray, slope: np.ndarray, y: np.ndarray, k: int, least: float
) -> tuple[float, float, np.ndarray] | None:
  """The best step of the weights along a direction, the threshold kept.

  Each sample changes sides at one length of the step: from left to right if
  its sum grows with the step, else from right to left.

  Args:
    margin: the threshold less the samples' sums, `f64[n]`.
    slope: what a step of 1 adds to the sums, `f64[n]`.
    y: `i[n]`, 0 to `k - 1`.
    k: number of classes.
    least: the gain that is to be exceeded.

  Returns:
    Its gain, the step, and the classes that go left; None if there is none.
  """
  moving = np.abs(slope) > 1e-12
  # A sample is left while step * slope <= margin.
  turn = margin[moving] / slope[moving]
  grows = slope[moving] > 0
  order = np.argsort(turn, kind="stable")
  ordered = turn[order]
  ends = np.flatnonzero(ordered[1:] > ordered[:-1])
  if not len(ends):
    return None
  counts = np.bincount(y, minlength=k)
  still = np.bincount(y[~moving][margin[~moving] >= 0], minlength=k)
  # Left at first: those that still are, and those that grow; then each turns.
  first = still + np.bincount(y[moving][grows], minlength=k)
  change = np.zeros((len(turn), k), np.int32)
  change[np.arange(len(turn)), y[moving][order]] = np.where(grows[order], -1, 1)
  cut = _best_cut(first + change.cumsum(0)[ends], counts)
  if cut is None or cut[0] <= least + 1e-12:
    return None
  gain, at, left = cut
  return gain, float(ordered[ends[at]] + ordered[ends[at] + 1]) / 2, left


def _cuts(values: np.ndarray, y: np.ndarray, k: int, most: int) -> np.ndarray:
  """Thresholds of a feature: midpoints between neighbouring values."""
  ordered = np.unique(values)
  middles = (ordered[1:] + ordered[:-1]) / 2
  if len(middles) <= most:
    return middles
  shares = np.quantile(values, np.arange(1, most) / most)
  # Between neighbouring medians there is always a test that parts classes.
  order = np.argsort(y, kind="stable")
  bounds = np.searchsorted(y[order], np.arange(1, k))
  parts = np.split(values[order], bounds)
  medians = np.unique(np.asarray([np.median(part) for part in parts]))
  candidates = np.concatenate([shares, (medians[1:] + medians[:-1]) / 2])
  places = np.searchsorted(middles, candidates).clip(0, len(middles) - 1)
  return middles[np.unique(places)]


def _best_cut(
  below: np.ndarray, counts: np.ndarray
) -> tuple[float, int, np.ndarray] | None:
  """The cut with the highest gain among those that part the classes.

  Args:
    below: samples of each class on the left of each cut, `i[T, k]`.
    counts: samples of each class, `i[k]`.

  Returns:
    Its gain, its place, and the classes that go left; None if there is none.
  """
  left = 2 * below > counts
  parts = left.any(1) & ~left.all(1)
  if not parts.any():
    return None
  kept = np.flatnonzero(parts)
  inside = below[kept]
  # Entropies times samples, as sums of count * log(count), from a table.
  table = _products(int(counts.sum()))
  beside = counts - inside
  ordered = table[inside].sum(1) - table[inside.sum(1)]
  ordered += table[beside].sum(1) - table[beside.sum(1)]
  before = table[counts].sum() - table[counts.sum()]
  gains = (ordered - before) / counts.sum()
  at = int(np.argmax(gains))
  return float(gains[at]), int(kept[at]), left[kept[at]]


@functools.lru_cache(8)
def _products(most: int) -> np.ndarray:
  """`i * log(i)` for `i` from 0 to `most`."""
  numbers = np.arange(most + 1)
  return numbers * np.log(np.maximum(numbers, 1))
