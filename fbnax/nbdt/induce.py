"""Induced hierarchies: classes clustered by the weights of the last layer.

Section 5.3 of Wan 2022: agglomerative clustering of the rows of the final
fully-connected layer, bottom up, by Ward's criterion. The text normalises the
rows, the published hierarchies were made of raw ones, so these are the default.

Symbols: `K` classes, `D` features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.cluster import hierarchy as clustering

from fbnax.nbdt.hierarchy import Hierarchy

LINKAGES = (
  *("ward", "average", "complete", "single"),
  *("weighted", "centroid", "median"),
)
# The metrics, and what SciPy calls them.
METRICS = {
  "euclidean": "euclidean",
  "cosine": "cosine",
  "manhattan": "cityblock",
  "chebyshev": "chebyshev",
  "correlation": "correlation",
}
# These are about means, which other metrics do not have.
_EUCLIDEAN = ("ward", "centroid", "median")


def check_names(linkage: str, metric: str) -> None:
  """Refuses what no clustering is named.

  Raises:
    ValueError: the linkage or the metric is unknown, or they do not go
      together.
  """
  if linkage not in LINKAGES:
    raise ValueError(f"linkage is {linkage!r}; legal: {', '.join(LINKAGES)}")
  if metric not in METRICS:
    raise ValueError(f"metric is {metric!r}; legal: {', '.join(METRICS)}")
  if linkage in _EUCLIDEAN and metric != "euclidean":
    raise ValueError(f"metric is {metric!r}; legal with {linkage}: euclidean")


def induce(
  fc_weights: Any,
  linkage: str = "ward",
  normalize: bool = False,
  metric: str = "euclidean",
  *,
  num_classes: int | None = None,
) -> Hierarchy:
  """Builds the binary hierarchy that a classifier's weights induce.

  The merge of step `i` is node `K + i`, the root the last. Memory and time grow
  with the square of `K`: 10,000 classes take 400 MB.

  Args:
    fc_weights: `[K, D]`, a row per class; a Flax kernel is `[D, K]`, so hand in
      its transpose.
    linkage: one of `LINKAGES`.
    normalize: whether rows are divided by their Euclidean norms.
    metric: one of `METRICS`; Ward's, centroid and median need the first.
    num_classes: `K`, checked where given.

  Raises:
    ValueError: weights that are no finite matrix with at least two rows and one
      column, another number of rows, an unknown or unfit linkage or metric, or
      a zero row where rows are normalised or compared by angle.
  """
  check_names(linkage, metric)
  weights = _checked(fc_weights, num_classes)
  if normalize:
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    _refuse_rows(
      np.asarray(~weights.any(axis=1)), "is zero and has no direction"
    )
    weights = weights / norms
  if metric == "cosine":
    _refuse_rows(
      np.asarray(~weights.any(axis=1)), "is zero and has no direction"
    )
  if metric == "correlation":
    constant = np.asarray(weights.max(axis=1) == weights.min(axis=1))
    _refuse_rows(constant, "is constant and correlates with none")
  merges = clustering.linkage(weights, linkage, METRICS[metric])
  return Hierarchy.from_linkage(merges)


def _checked(fc_weights: Any, num_classes: int | None) -> np.ndarray:
  weights = np.asarray(fc_weights)
  if weights.ndim != 2 or len(weights) < 2 or not weights.shape[1]:
    raise ValueError(
      f"fc_weights has shape {weights.shape}; legal: [K, D] with at least two "
      f"classes, as one leaves nothing to decide, and one feature"
    )
  if num_classes is not None and len(weights) != num_classes:
    hint = ""
    if weights.shape[1] == num_classes:
      hint = "; it looks like [D, K]: hand in the transpose"
    raise ValueError(
      f"fc_weights has {len(weights)} rows; legal: {num_classes}, one a class"
      f"{hint}"
    )
  try:
    weights = weights.astype(np.float64)
  except (TypeError, ValueError):
    raise ValueError(
      f"fc_weights has dtype {weights.dtype}; legal: numbers"
    ) from None
  _refuse_rows(~np.isfinite(weights).all(axis=1), "is not finite")
  return weights


def _refuse_rows(wrong: np.ndarray, why: str) -> None:
  rows = np.flatnonzero(wrong)
  if len(rows):
    raise ValueError(
      f"fc_weights[{rows[0]}] {why} ({len(rows)} such rows); legal: a finite "
      f"row per class"
    )
