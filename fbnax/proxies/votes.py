"""Votes: one score from several, by their ranks alone.

Scores of different proxies have no common scale, so only orders are compared.
A score of -inf ranks last. NumPy on the host: a few seconds for 15,625
networks.

References: majority: Abdelfattah et al. 2021, section 5, where three proxies
vote on which of two networks is better; ranks: Borda's count; one factor:
Parisi et al. 2014, "Ranking and combining multiple predictors without labeled
data"; normal scores: Blom 1958, "Statistical Estimates and Transformed
Beta-Variables", for the 3/8.

Symbols: `n` networks, `k` proxies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_ROWS = 256
_ITERATIONS = 50  # Of the loadings, which are soon the same to six digits.


def majority(scores: np.ndarray) -> np.ndarray:
  """In how many comparisons a network has the majority.

  Args:
    scores: `f64[n, k]`, larger is better.

  Returns:
    `f64[n]`: the share of the other networks that it beats in more than half
    of the votes cast, ties counted half.

  Raises:
    ValueError: a score is NaN, or there are fewer than two networks.
  """
  ranked = ranks(scores)
  count = len(ranked)
  shares = np.empty(count)
  for start in range(0, count, _ROWS):
    rows = ranked[start : start + _ROWS]
    votes = np.zeros((len(rows), count), np.int16)
    for column in range(ranked.shape[1]):
      mine, theirs = rows[:, column, None], ranked[None, :, column]
      votes += mine > theirs
      votes -= mine < theirs
    # A network draws with itself.
    won = (votes > 0).sum(1) + 0.5 * ((votes == 0).sum(1) - 1)
    shares[start : start + _ROWS] = won / (count - 1)
  return shares


def mean_rank(scores: np.ndarray) -> np.ndarray:
  """The mean over the proxies of the networks' ranks.

  Args:
    scores: `f64[n, k]`, larger is better.

  Returns:
    `f64[n]`, 0 for the last in all to 1 for the first in all.

  Raises:
    ValueError: as `majority`.
  """
  return ranks(scores).mean(1)


def log_rank(scores: np.ndarray) -> np.ndarray:
  """The sum over the proxies of the logarithm of the networks' ranks.

  A network must do well in every proxy: AZ-NAS' way of putting proxies together
  (Lee & Ham 2024, "AZ-NAS").

  Args:
    scores: `f64[n, k]`, larger is better.

  Returns:
    `f64[n]`, at most 0, which is the first in all.

  Raises:
    ValueError: as `majority`.
  """
  count = len(scores)
  return np.log((ranks(scores) * (count - 1) + 1.0) / count).sum(1)


def dense_rank(dimension: Any, entropy: Any) -> np.ndarray:
  """VKDNW's single rank: by dimension, within one by entropy, `i64[n]`.

  Equal pairs share a rank, and ranks leave no number out; 1 is the lowest. The
  order is nearly that of the sum, which the paper gives (Tybl and Neumann
  2025).

  Args:
    dimension: parameter arrays of the networks (`vkdnw_dim`), `[n]`.
    entropy: their `vkdnw`, `[n]`.
  """
  pairs = np.stack([np.asarray(dimension), np.asarray(entropy)], 1)
  _, places = np.unique(pairs, axis=0, return_inverse=True)
  return places.reshape(-1) + 1


def vkdnw_aggregated(
  dimension: Any, entropy: Any, scores: np.ndarray
) -> np.ndarray:
  """VKDNW's rank with other scores', the sum of logarithms, `f64[n]`.

  Args:
    dimension: as of `dense_rank`.
    entropy: likewise.
    scores: `f64[n, k]`; the paper's are az_expressivity, az_trainability,
      az_complexity and jacob_cov.

  Raises:
    ValueError: as `majority`.
  """
  single = np.log(dense_rank(dimension, entropy))
  places = ranks(scores) * (len(scores) - 1) + 1.0
  return single + np.log(places).sum(1)


def one_factor(scores: np.ndarray) -> np.ndarray:
  """The sum of the normal scores, weighted by what they have in common.

  Where the errors of proxies are independent, how they correlate with each
  other tells how each correlates with the truth, and no accuracy is needed: the
  correlations off the diagonal are products of two loadings on one factor. A
  proxy that contradicts the others has a negative weight.

  Args:
    scores: `f64[n, k]`, larger is better.

  Returns:
    `f64[n]`, its mean 0.

  Raises:
    ValueError: as `majority`.
  """
  normal = np.stack([normal_scores(column) for column in ranks(scores).T], 1)
  centred = normal - normal.mean(0)
  norms = np.sqrt((centred**2).sum(0))
  units = centred / np.where(norms > 0, norms, 1.0)
  correlations = units.T @ units
  loadings = (norms > 0).astype(float)
  for _ in range(_ITERATIONS):
    np.fill_diagonal(correlations, np.minimum(loadings**2, 1.0))
    values, vectors = np.linalg.eigh(correlations)
    loadings = np.sqrt(max(values[-1], 0.0)) * vectors[:, -1]
  return units @ (loadings * (1.0 if loadings.sum() >= 0 else -1.0))


def normal_scores(values: Any) -> np.ndarray:
  """What a sample of normal numbers has at the ranks of these, `f64[n]`.

  The quantile at (rank - 3/8) / (count + 1/4); equal values share the mean of
  their ranks, so that those of a constant are 0. -inf and inf have the lowest
  and the highest ranks, NaN stays NaN and counts for nothing.

  Args:
    values: `[n]`.
  """
  from scipy import special, stats  # Slow to import.

  values = np.asarray(values, np.float64)
  ranked = ~np.isnan(values)
  scores = np.full(len(values), np.nan)
  if ranked.any():
    places = (stats.rankdata(values[ranked]) - 0.375) / (ranked.sum() + 0.25)
    scores[ranked] = special.ndtri(places)
  return scores


def ranks(scores: np.ndarray) -> np.ndarray:
  """Ranks from 0 (worst) to 1 (best), equal scores sharing their mean.

  Args:
    scores: `f64[n, k]`.

  Returns:
    `f64[n, k]`.

  Raises:
    ValueError: as `majority`.
  """
  from scipy import stats  # Slow to import.

  scores = np.asarray(scores, np.float64)
  if scores.ndim != 2 or len(scores) < 2:
    raise ValueError(
      f"scores has shape {scores.shape}; legal: [n, k] of at least 2 networks"
    )
  wrong = np.argwhere(np.isnan(scores))
  if len(wrong):
    raise ValueError(
      f"scores[{wrong[0][0]}, {wrong[0][1]}] is NaN; legal: numbers, and -inf "
      "for what ranks last"
    )
  return (stats.rankdata(scores, axis=0) - 1.0) / (len(scores) - 1)


VOTES = {
  "majority": majority,
  "mean rank": mean_rank,
  "log rank": log_rank,
  "one factor": one_factor,
}
