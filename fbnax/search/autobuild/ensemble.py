"""Many graph predictors of few labels, weighted by what they had not seen.

AutoBuild (Mills et al. 2024, sections 5.3 and 7.9), where a label costs days:
the labels are split into folds, under several shuffles; each predictor learns
from all folds but one, and counts as much as its rank correlation on that one,
of its predictions, or of its chains' norms at the hop in question.

Symbols: `n` chains, `P` predictors, `H` hops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.ranks import correlations
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild import graph_fit
from fbnax.search.autobuild.chains import Chains
from fbnax.search.autobuild.graph_fit import FittedGraph, GraphSettings

FOLDS, SHUFFLES, HOPS = 5, 4, 6  # The paper's.
# All chains are one batch.
SETTINGS = GraphSettings(epochs=1000, batch_size=2**30)
CHUNK = 4096  # Chains that are looked at in one call.


class Ensemble(NamedTuple):
  """Predictors of one label.

  Attributes:
    models: the predictors, `P` of them.
    by_hop: rank correlation of the held-out chains' norms with their labels,
      `f64[P, H + 1]`.
    by_prediction: that of the predictions, `f64[P]`.
  """

  models: tuple[FittedGraph, ...]
  by_hop: np.ndarray
  by_prediction: np.ndarray


def fit(
  key: jax.Array,
  module: GraphPredictor,
  chains: Chains,
  labels: Any,
  *,
  folds: int = FOLDS,
  shuffles: int = SHUFFLES,
  settings: GraphSettings = SETTINGS,
  on_fit: Callable[[int, int], object] = lambda done, total: None,
) -> Ensemble:
  """Fits a predictor for each fold of each shuffle.

  Constant labels rank nothing: all correlations are 0.

  Args:
    key: a typed key.
    module: the network of every predictor.
    chains: what to learn from.
    labels: the larger the better, `[n]`.
    folds: parts of the labels.
    shuffles: ways to part them.
    settings: how each learns; with `ranking` 0 from the squared error alone.
    on_fit: called with the number of predictors that are fitted, and of all.

  Raises:
    ValueError: fewer than two folds or one shuffle, fewer than two labels for a
      fold, or labels that are not as many or not finite.
  """
  labels = np.asarray(labels, np.float64)
  count = len(chains.lengths)
  if folds < 2 or shuffles < 1:
    raise ValueError(
      f"folds is {folds!r} and shuffles {shuffles!r}; legal: at least 2 and 1"
    )
  if labels.shape != (count,) or count < 2 * folds:
    raise ValueError(
      f"labels have shape {labels.shape}, for {count} chains; legal: one for "
      f"each, at least {2 * folds} for {folds} folds"
    )
  models, by_hop, by_prediction = [], [], []
  for shuffle in range(shuffles):
    order_key, fit_key = jax.random.split(jax.random.fold_in(key, shuffle))
    order = np.asarray(jax.random.permutation(order_key, count))
    for fold, held_out in enumerate(np.array_split(order, folds)):
      learned = np.setdiff1d(order, held_out)
      model = graph_fit.fit(
        jax.random.fold_in(fit_key, fold)[None],
        module,
        _some(chains, learned),
        labels[learned],
        settings,
      )
      evaluated = graph_fit.evaluate(model, _some(chains, held_out))
      truth = labels[held_out]
      by_hop.append(
        [
          correlations(norms, truth)[1]
          for norms in np.asarray(evaluated.norms[0])
        ]
      )
      by_prediction.append(correlations(evaluated.prediction[0], truth)[1])
      models.append(model)
      on_fit(len(models), folds * shuffles)
  return Ensemble(tuple(models), np.asarray(by_hop), np.asarray(by_prediction))


def shares(correlation: np.ndarray) -> np.ndarray:
  """How much each predictor counts, `f64[P]`; their sum is 1.

  In proportion to the correlation. One below 0 counts nothing: that a predictor
  errs on what it has not seen does not make its opposite true. Where none is
  above 0 all count alike.

  Args:
    correlation: held-out ones, `f64[P]`.
  """
  positive = np.maximum(np.asarray(correlation, np.float64), 0.0)
  total = positive.sum()
  if total == 0:
    return np.full(len(positive), 1 / len(positive))
  return positive / total


def predict(ensemble: Ensemble, chains: Chains) -> np.ndarray:
  """Weighted means of the predictions, in the units of the labels, `f64[n]`."""
  total = np.zeros(len(chains.lengths))
  weights = shares(ensemble.by_prediction)
  for model, weight in zip(ensemble.models, weights, strict=True):
    if weight:
      prediction = graph_fit.evaluate(model, chains).prediction[0]
      total += weight * np.asarray(prediction, np.float64)
  return total


def _some(chains: Chains, rows: np.ndarray) -> Chains:
  index = jnp.asarray(rows)
  return Chains(chains.features[index], chains.lengths[index])
