"""Free labels beside the costs: scores of networks that were not trained.

Zero-cost proxies as more to pretrain the predictor on. A pool has as many costs
as one wants, but a score takes a pass through the network, so there are fewer
of them: the scored genotypes are added to the pool, and what is not known of a
genotype is NaN.

Scores have no common scale: synflow of two dozen `mnasnet` networks goes from
1e21 to 1e46, jacob_cov is negative, and what lets nothing through is -inf. So
the predictor learns their order, as normal scores of ranks: no few networks
decide the scale, -inf has a place, and a score and its logarithm are the same.
A search needs the order of networks, too.

References: White et al. 2021, "How Powerful are Performance Predictors in
Neural Architecture Search?", where proxies help learned predictors.

Symbols: `n` genotypes, `m` scored ones, `D` decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fbnax.proxies import normal_scores

LEAST = 10  # Known scores of a name; fewer give no order to learn.


class Scored(NamedTuple):
  """Networks and what untrained networks of them score.

  Attributes:
    genotypes: `i32[m, D]`.
    scores: `f64[m]` by name; -inf ranks last, NaN is not known.
  """

  genotypes: np.ndarray
  scores: dict[str, np.ndarray]


def appended(
  pool: Any, scored: Scored | None
) -> tuple[Any, dict[str, np.ndarray]]:
  """A pool with the scored genotypes after it.

  Args:
    pool: `i32[n, D]`.
    scored: `m` of them; None leaves the pool as it is.

  Returns:
    Genotypes `i32[n + m, D]`, and scores `f64[n + m]` by name, NaN for those of
    the pool.
  """
  if scored is None:
    return pool, {}
  pool = np.asarray(pool, np.int32)
  unknown = np.full(len(pool), np.nan)
  return (
    np.concatenate([pool, np.asarray(scored.genotypes, np.int32)]),
    {
      name: np.concatenate([unknown, np.asarray(values, np.float64)])
      for name, values in scored.scores.items()
    },
  )


def columns(extra: Mapping[str, Any], count: int) -> dict[str, np.ndarray]:
  """Normal scores of each of the extra labels, `f64[n]`.

  Args:
    extra: `[n]` by name, NaN where not known.
    count: `n`.

  Raises:
    ValueError: a name is that of a cost, a shape is not `[n]`, or fewer than
      `LEAST` values are known.
  """
  normal = {}
  for name, label in extra.items():
    values = np.asarray(label, np.float64)
    if name in ("macs", "params"):
      raise ValueError(
        f"extra has {name!r}, which is learned anyway; legal: other names"
      )
    if values.shape != (count,):
      raise ValueError(
        f"extra[{name!r}] has shape {values.shape}; legal: ({count},), one for "
        "each genotype, NaN where it is not known"
      )
    count_known = int((~np.isnan(values)).sum())
    if count_known < LEAST:
      raise ValueError(
        f"extra[{name!r}] has {count_known} known values; legal: at least"
        f" {LEAST}"
      )
    normal[name] = normal_scores(values)
  return normal
