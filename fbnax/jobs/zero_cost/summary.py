"""What scores are worth: rank correlations with accuracies and each other.

Symbols: `n` networks, `k` scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from fbnax.jobs.zero_cost.result import ProxyRow, ScoreSummary
from fbnax.proxies import (
  VOTES,
  best_share,
  kendall,
  partial_spearman,
  spearman,
  spearman_matrix,
  vkdnw_aggregated,
)

# The three whose majority zero-cost-nas takes.
CLASSIC = ("synflow", "jacob_cov", "snip")
# What AZ-NAS puts together; MACs are its complexity.
AZ_NAS = ("az_expressivity", "az_progressivity", "az_trainability", "macs")
# What VKDNW puts together with its own rank.
VKDNW = ("az_expressivity", "az_trainability", "macs", "jacob_cov")
# Chosen before any of the newer scores was compared with accuracies.
SEVEN = (*AZ_NAS, "synflow", "naswot", "jacob_cov")
COUNTS = ("macs", "params")
# Fewer networks have no order worth a number.
_FEWEST = 10
# Groups of networks of nearly equal MACs.
_GROUPS = 10


def combinations(
  scores: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
  """Votes of the published three, and of all; no accuracy is looked at.

  Of all proxies with the MACs, as AZ-NAS has them among its scores, `one
  factor` is the combination that weighs its parts by itself.
  """
  found = {}
  proxies = [name for name in scores if name not in COUNTS]
  sets = {"all proxies": proxies, "all proxies, MACs": [*proxies, "macs"]}
  if set(CLASSIC) <= set(proxies):
    sets["synflow, jacob_cov, snip"] = list(CLASSIC)
    if "naswot" in proxies:
      sets["synflow, naswot, jacob_cov"] = ["synflow", "naswot", "jacob_cov"]
      sets["synflow, naswot"] = ["synflow", "naswot"]
  for words, chosen in (
    ("AZ-NAS", AZ_NAS),
    ("AZ-NAS, synflow, naswot, jacob_cov", SEVEN),
  ):
    if set(chosen) <= set(scores):
      sets[words] = list(chosen)
  if {*VKDNW, "vkdnw_dim"} <= set(scores):
    # The entropy needs a compilation for each network, so it may not be there.
    has_entropy = "vkdnw" in scores
    label = "VKDNW" if has_entropy else "VKDNW without its entropy"
    dimension = scores["vkdnw_dim"]
    found[label] = vkdnw_aggregated(
      dimension,
      scores["vkdnw"] if has_entropy else np.zeros(len(dimension)),
      np.stack([scores[name] for name in VKDNW], 1),
    )
  for words, names in sets.items():
    if len(names) < 2:
      continue
    columns = np.stack([scores[name] for name in names], 1)
    for vote, function in VOTES.items():
      found[f"{vote} of {words}"] = function(columns)
  return found


def summarize(
  scores: Mapping[str, np.ndarray],
  accuracies: np.ndarray | None,
  *,
  best: float,
  draws: int,
  seed: int,
) -> ScoreSummary:
  """Rows of all scores and combinations, and how the scores correlate.

  Args:
    scores: `f64[n]` by proxy, MACs and parameters among them.
    accuracies: `f64[n]`, or None where there is no table.
    best: share of the networks, the best by accuracy, for a correlation of
      their own.
    draws: of the bootstrap, for 95% intervals; 0 for none.
    seed: of it.
  """
  names = list(scores)
  columns = np.stack([scores[name] for name in names], 1)
  combined = combinations(scores)
  resampled = np.random.default_rng(seed).random((draws, len(columns)))
  rows = []
  for name, values in {**scores, **combined}.items():
    row = ProxyRow(
      name=name,
      combination=name in combined,
      finite=int(np.isfinite(values).sum()),
      distinct=len(np.unique(values)),
      macs=spearman(values, scores["macs"]),
    )
    if accuracies is not None:
      given_macs = None
      if name != "macs":
        given_macs = partial_spearman(values, accuracies, scores["macs"])
      agreement = _agreement(values, accuracies, best, resampled)
      row = dataclasses.replace(
        row,
        given_macs=given_macs,
        within_macs=within_groups(values, accuracies, scores["macs"]),
        **agreement,
      )
    rows.append(row)
  best_networks = None
  if accuracies is not None:
    best_networks = int(best_share(accuracies, best).sum())
  return ScoreSummary(
    names=tuple(names),
    proxies=tuple(rows),
    matrix=tuple(map(tuple, spearman_matrix(columns).tolist())),
    best_share=best,
    best_networks=best_networks,
  )


def within_groups(
  scores: np.ndarray, accuracies: np.ndarray, macs: np.ndarray
) -> float | None:
  """The mean rank correlation within ten groups of nearly equal MACs.

  What a score knows where a budget has fixed the size. Groups have equally many
  networks; one in which all scores or accuracies are equal counts as 0.

  Args:
    scores: `f64[n]`.
    accuracies: `f64[n]`.
    macs: `f64[n]`.

  Returns:
    None where a group would have fewer than ten networks.
  """
  if len(scores) < _GROUPS * _FEWEST:
    return None
  groups = np.array_split(np.argsort(macs, kind="stable"), _GROUPS)
  found = [spearman(scores[g], accuracies[g]) for g in groups]
  return float(np.mean(np.nan_to_num(found)))


def ndcg(scores: np.ndarray, gains: np.ndarray) -> float:
  """Normalised discounted cumulative gain of an order: 1 is the best.

  Each network's gain is its accuracy, divided by the logarithm of its place, so
  that the first places count most; scikit-learn's definition, ties averaged.

  Args:
    scores: by which networks are ordered, `[n]`; -inf is last.
    gains: not negative, `[n]`.
  """
  from scipy.stats import rankdata  # Slow to import.
  from sklearn.metrics import ndcg_score

  # Its order is that of the ranks, which are finite.
  return float(ndcg_score([np.asarray(gains)], [rankdata(scores)]))


def _agreement(
  scores: np.ndarray,
  accuracies: np.ndarray,
  best: float,
  resampled: np.ndarray,
) -> dict[str, Any]:
  """Rank correlations with the accuracies, as a `ProxyRow` has them."""
  low, high = _interval(scores, accuracies, resampled)
  agreement = {
    "spearman": spearman(scores, accuracies),
    "kendall": kendall(scores, accuracies),
    "ndcg": ndcg(scores, accuracies),
    "low": low,
    "high": high,
  }
  top = best_share(accuracies, best)
  if top.sum() >= _FEWEST:
    low, high = _interval(
      scores[top], accuracies[top], resampled[:, : top.sum()]
    )
    agreement |= {
      "best": spearman(scores[top], accuracies[top]),
      "best_low": low,
      "best_high": high,
    }
  return agreement


def _interval(
  a: np.ndarray, b: np.ndarray, resampled: np.ndarray
) -> tuple[float | None, float | None]:
  """95% by the percentiles of a bootstrap, of uniform draws `[draws, n]`."""
  if not len(resampled):
    return None, None
  drawn = (resampled * len(a)).astype(int)
  found = [spearman(a[rows], b[rows]) for rows in drawn]
  if np.isnan(found).all():
    return None, None
  low, high = np.nanquantile(found, (0.025, 0.975))
  return float(low), float(high)
