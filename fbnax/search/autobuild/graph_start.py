"""Where the feature-embedding MLP of a graph predictor starts: at a regression.

The absolute value at hop 0 has two sides, and deeper hops can make use of a
feature on either: started at random, one whose better values happen to have
the smaller numbers stays so, and the rank correlation at hop 0 depends on the
seed (-0.2 and 0.94 were seen on the same data). So the scalars start where
hop 0 is best to begin with: at the ridge regression of the labels on the shares
of a chain's layers that have each value, shifted so that none is negative. The
paper says nothing of starts.

Symbols: `n` chains, `K` columns.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild.chains import Chains

LEAST = 0.1  # The smallest scalar of a feature.
RANGE = 0.5  # Between the smallest and the largest of any.
PENALTY = 1e-3  # Of the regression, for a chain.


def coefficients(chains: Chains, targets: jax.Array) -> jax.Array:
  """What each column adds to standardised labels, `f32[K]`.

  Args:
    chains: `n` of them.
    targets: standardised labels, `f32[n]`.
  """
  design = chains.features.sum(axis=2) / chains.lengths[:, None]
  design = design - design.mean(axis=0)
  matrix = design.T @ design / len(design)
  right = design.T @ targets / len(design)
  return jnp.linalg.solve(matrix + PENALTY * jnp.eye(len(right)), right)


def started(
  module: GraphPredictor, params: Any, chains: Chains, targets: jax.Array
) -> Any:
  """Parameters whose scalars at hop 0 are those of the regression.

  Args:
    module: the network.
    params: of it, as it initialises them.
    chains: what it will learn from.
    targets: their standardised labels, `f32[n]`.
  """
  given = coefficients(chains, targets)
  sizes = list(module.categories)
  bounds = np.cumsum([0, *sizes])
  numbers = chains.features[:, bounds[-1] :]
  there = jnp.arange(numbers.shape[2]) < chains.lengths[:, None]
  low = jnp.where(there[:, None], numbers, jnp.inf).min(axis=(0, 2))
  high = jnp.where(there[:, None], numbers, -jnp.inf).max(axis=(0, 2))
  parts = [given[a:b] - given[a:b].min() for a, b in itertools.pairwise(bounds)]
  slopes = given[bounds[-1] :]
  largest = jnp.concatenate([*parts, jnp.abs(slopes) * (high - low)]).max()
  scale = RANGE / jnp.where(largest > 0, largest, 1.0)
  own = dict(params["features"])
  for i, part in enumerate(parts):
    table, row = own[f"table{i}"], own[f"map{i}"]
    direction = row[:-1] / (row[:-1] @ row[:-1])
    missing = LEAST + scale * part - (table @ row[:-1] + row[-1])
    own[f"table{i}"] = table + missing[:, None] * direction
  for i in range(module.numbers):
    first, row = own[f"number{i}"], own[f"number_map{i}"]
    slope = scale * slopes[i]
    direction = first[0] / (first[0] @ first[0])
    inner = row[:-1] + (slope - first[0] @ row[:-1]) * direction
    lowest = jnp.minimum(slope * low[i], slope * high[i])
    offset = LEAST - lowest - first[1] @ inner
    own[f"number_map{i}"] = jnp.append(inner, offset)
  return {**params, "features": own}
