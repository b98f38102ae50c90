"""Which candidates to train, and for how long.

Section 4.3 and the settings of 4.6 of Wan 2022. Symbols: `n` candidates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class EarlyStop(NamedTuple):
  """How long candidates need to be trained to be ranked.

  Attributes:
    epoch: epochs to train, counted from 1.
    correlations: rank correlation of each epoch with the last, `f64[epochs]`.
  """

  epoch: int
  correlations: np.ndarray


def select_by_bins(
  macs: Any,
  scores: Any,
  low: float,
  high: float,
  bins: int,
  *,
  count: int | None = None,
  excluded: Any = None,
) -> np.ndarray:
  """The candidates with the highest scores of each of equal bins of MACs.

  The paper takes one of each. Where a bin holds too few, the best candidates
  left in any other bin stand in, so that `count` distinct ones come back.

  Args:
    macs: multiply-accumulates, `[n]`.
    scores: `[n]`; candidates with a NaN are passed over.
    low: lowest MACs of the range, included.
    high: highest MACs of the range, included.
    bins: number of bins, `m` in the paper.
    count: how many to choose, `count // bins` of each bin; None for `bins`.
    excluded: candidates that must not be chosen, `bool[n]`; those already
      evaluated.

  Returns:
    Indices of the chosen candidates, `i64[count]`: the bins' winners by
    ascending bin, then the stand-ins by descending score.

  Raises:
    ValueError: the range is empty, holds fewer candidates than are to be
      chosen, or is to be divided into more bins than that.
  """
  count = bins if count is None else count
  if bins < 1 or not low < high:
    raise ValueError(
      f"cannot divide low={low!r} to high={high!r} into bins={bins!r}; "
      "legal: low < high and at least one bin"
    )
  if count < bins:
    raise ValueError(f"count is {count}; legal: at least {bins}, the bins")
  macs, scores = np.asarray(macs, np.float64), np.asarray(scores, np.float64)
  eligible = (macs >= low) & (macs <= high) & ~np.isnan(scores)
  if excluded is not None:
    eligible &= ~np.asarray(excluded, bool)
  candidates = np.flatnonzero(eligible)
  if len(candidates) < count:
    raise ValueError(
      f"only {len(candidates)} candidates lie between low={low!r} and "
      f"high={high!r} MACs and are not excluded; {count} are wanted"
    )
  best_first = candidates[np.argsort(-scores[candidates], kind="stable")]
  position = (macs[best_first] - low) / (high - low) * bins
  bin_of = np.minimum(position.astype(np.int64), bins - 1)
  # Stable, so that within a bin the best comes first.
  by_bin = np.argsort(bin_of, kind="stable")
  starts = np.searchsorted(bin_of[by_bin], bin_of[by_bin])
  place = np.arange(len(by_bin)) - starts
  first = by_bin[place < count // bins]
  left = np.delete(best_first, first)
  return np.concatenate([best_first[first], left[: count - len(first)]])


def early_stop_epoch(curves: Any, threshold: float = 0.92) -> EarlyStop:
  """The first epoch from which on the ranking agrees with the final one.

  Agreement is Spearman's rank correlation with the last epoch, ties at their
  average rank, and it must stay at or above the threshold (Figure 4.5). Where
  it is undefined, because all candidates are equal, it counts as 0, except
  that the last epoch always agrees with itself.

  Args:
    curves: accuracy of each candidate after each epoch, `[n, epochs]`;
      candidates with a NaN or infinity are left out.
    threshold: the correlation to reach.

  Returns:
    The epoch and the correlations.

  Raises:
    ValueError: `curves` is not a matrix with at least one epoch.
  """
  from scipy.stats import rankdata  # Slow to import, and only needed here.

  curves = np.asarray(curves, np.float64)
  if curves.ndim != 2 or curves.shape[1] < 1:
    raise ValueError(
      f"curves has shape {curves.shape}; wanted [candidates, epochs]"
    )
  curves = curves[np.isfinite(curves).all(axis=1)]
  correlations = np.zeros(curves.shape[1])
  if len(curves) >= 2:
    ranks = rankdata(curves, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    norms = np.sqrt((ranks**2).sum(axis=0))
    products = norms * norms[-1]
    np.divide(
      ranks.T @ ranks[:, -1], products, out=correlations, where=products > 0
    )
  correlations[-1] = 1.0
  # Rounding must not push a perfect agreement under a threshold of 1.
  fails = np.flatnonzero(correlations < threshold - 1e-12)
  epoch = 1 if not len(fails) else min(int(fails[-1]) + 2, len(correlations))
  return EarlyStop(epoch, correlations)
