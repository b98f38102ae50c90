"""How well one list of numbers orders another: rank correlations.

Symbols: `n` networks, `k` scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def spearman(a: np.ndarray, b: np.ndarray) -> float:
  """Spearman's rank correlation of two scores `f64[n]`; -inf ranks last.

  NaN where one of them is the same for all.
  """
  return float(spearman_matrix(np.stack([a, b], 1))[0, 1])


def spearman_matrix(scores: np.ndarray) -> np.ndarray:
  """Spearman's rank correlations between scores `f64[n, k]`, `f64[k, k]`."""
  from scipy import stats  # Slow to import.

  placed = stats.rankdata(np.asarray(scores, np.float64), axis=0)
  centred = placed - placed.mean(0)
  norms = np.sqrt((centred**2).sum(0))
  products = centred.T @ centred
  scales = np.outer(norms, norms)
  found = np.full(products.shape, np.nan)
  np.divide(products, scales, out=found, where=scales > 0)
  return np.clip(found, -1.0, 1.0)


def kendall(a: np.ndarray, b: np.ndarray) -> float:
  """Kendall's tau-b of two scores `f64[n]`; NaN as `spearman`."""
  from scipy import stats  # Slow to import.

  # Of ranks, as scipy refuses infinities.
  return float(stats.kendalltau(stats.rankdata(a), stats.rankdata(b)).statistic)


def correlations(predicted: Any, truth: Any) -> tuple[float, float]:
  """Kendall's and Spearman's rank correlation; 0 where one side is constant."""
  from scipy import stats  # Slow to import.

  predicted, truth = np.asarray(predicted), np.asarray(truth)
  if len(truth) < 2 or np.ptp(predicted) == 0 or np.ptp(truth) == 0:
    return 0.0, 0.0
  return (
    float(stats.kendalltau(predicted, truth).statistic),
    float(stats.spearmanr(predicted, truth).statistic),
  )


def partial_spearman(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
  """Spearman's correlation of `a` and `b` without what `given` explains.

  The partial correlation of ranks: how much a score knows beyond, say, the
  MACs. NaN where `given` orders one of them completely.
  """
  r = spearman_matrix(np.stack([a, b, given], 1))
  left = (1.0 - r[0, 2] ** 2) * (1.0 - r[1, 2] ** 2)
  if not left > 1e-12:
    return float("nan")
  return float((r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt(left))


def area_under_curve(scores: Any, positive: Any) -> float | None:
  """Probability that a positive has a larger score than another one.

  Args:
    scores: `f64[n]`.
    positive: `bool[n]`.

  Returns:
    The area under the ROC curve, ties counted half; None if all are alike.
  """
  scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
  count = int(positive.sum())
  if not 0 < count < len(positive):
    return None
  _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
  placed = (np.cumsum(size) - (size - 1) / 2)[place]
  above = placed[positive].sum() - count * (count + 1) / 2
  return float(above / (count * (len(positive) - count)))


def best_share(values: np.ndarray, share: float) -> np.ndarray:
  """Which networks are in the best share by value, `bool[n]`.

  At least two; those that are equal to the last one of them are in it too.
  """
  count = max(round(share * len(values)), 2)
  return values >= np.sort(values)[-min(count, len(values))]
