"""The fitted predictor: an ensemble of accuracy heads fine-tuned on trials.

Stage 2 of Algorithm 1 of Wan 2022: Huber loss, 50 epochs with the pretrained
encoder frozen, 50 at a lower rate with everything trainable. The ensemble is
ours: its members differ in their first head, the order of the trials and the
trials' weights (Bayesian bootstrap, Rubin 1981: exponential weights, which
unlike resampling leave no trial out); its standard deviation says how much to
trust a score.

Symbols: `n` genotypes, `D` decisions, `F` features, `M` members, `c` capacity.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.ranks import correlations
from fbnax.search.nars.fitting import Settings, train_ensembles
from fbnax.search.nars.predictor_files import load, save
from fbnax.search.nars.pretraining import Pretrained
from fbnax.search.nars.scoring import (
  FittedPredictor,
  Prediction,
  predict,
  scorer,
)
from fbnax.spaces import SearchSpace

__all__ = [
  "CrossValidation",
  "FittedPredictor",
  "Prediction",
  "Settings",
  "cross_validate",
  "fit",
  "load",
  "predict",
  "save",
  "scorer",
]


class CrossValidation(NamedTuple):
  """Labels predicted by predictors that have not seen them.

  Attributes:
    predicted: `f64[n]`, NaN where there is no label.
    labels: `f64[n]`.
    kendall: Kendall's rank correlation.
    spearman: Spearman's rank correlation.
    rmse: root mean square error, in the units of the labels.
  """

  predicted: np.ndarray
  labels: np.ndarray
  kendall: float
  spearman: float
  rmse: float


def fit(
  key: jax.Array,
  space: SearchSpace,
  pretrained: Pretrained | None,
  genotypes: Any,
  labels: Any,
  *,
  members: int = 4,
  settings: Settings = Settings(),  # noqa: B008 - a tuple of numbers.
) -> FittedPredictor:
  """Fits an ensemble to measured trials.

  The Huber loss has its corner at 1 standard deviation of the labels: they are
  standardised first, so that accuracies in percent and in parts of one fit
  alike.

  Args:
    key: typed key.
    space: the space.
    pretrained: the encoder to start from; None starts from a random one.
    genotypes: trials, `i32[n, D]`.
    labels: their accuracy, `[n]`; trials with a NaN or infinity (failed ones)
      are left out.
    members: size of the ensemble.
    settings: how heads are fitted.

  Raises:
    ValueError: fewer than two labels, or shapes that do not fit.
  """
  padded, targets, known = _padded(space, genotypes, labels, settings)
  params, mean, deviation = train_ensembles(
    key,
    pretrained,
    padded,
    targets,
    known[None],
    space=space,
    members=members,
    settings=settings,
  )
  first = jax.tree.map(lambda leaf: leaf[0], params)
  return FittedPredictor(first, mean[0], deviation[0], space)


def cross_validate(
  key: jax.Array,
  space: SearchSpace,
  pretrained: Pretrained | None,
  genotypes: Any,
  labels: Any,
  *,
  folds: int = 8,
  members: int = 4,
  settings: Settings = Settings(),  # noqa: B008 - a tuple of numbers.
) -> CrossValidation:
  """Predicts each label by an ensemble fitted to the other folds.

  Arguments are those of `fit`; all folds train side by side.

  Raises:
    ValueError: as `fit`, or there are fewer labels than folds.
  """
  fold_key, fit_key = jax.random.split(key)
  padded, targets, known = _padded(space, genotypes, labels, settings)
  rows = np.flatnonzero(np.asarray(known))
  if not 2 <= folds <= len(rows):
    raise ValueError(
      f"folds is {folds}; legal: 2 to {len(rows)}, the number of labels"
    )
  fold = np.full(len(known), -1)
  order = np.asarray(jax.random.permutation(fold_key, len(rows)))
  fold[rows[order]] = np.arange(len(rows)) % folds
  masks = np.asarray(known) * (fold != np.arange(folds)[:, None])
  params, mean, deviation = train_ensembles(
    fit_key,
    pretrained,
    padded,
    targets,
    jnp.asarray(masks, jnp.float32),
    space=space,
    members=members,
    settings=settings,
  )
  models = FittedPredictor(params, mean, deviation, space)
  scores = np.asarray(
    jax.vmap(lambda model: predict(model, padded).score)(models)
  )
  truth = np.asarray(labels, np.float64)
  predicted = np.full(len(truth), np.nan)
  predicted[rows] = scores[fold[rows], rows]
  kendall, spearman = correlations(predicted[rows], truth[rows])
  rmse = np.sqrt(np.mean((predicted[rows] - truth[rows]) ** 2))
  return CrossValidation(predicted, truth, kendall, spearman, float(rmse))


def _padded(
  space: SearchSpace, genotypes: Any, labels: Any, settings: Settings
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Genotypes, labels (0 if unknown), and 1 where known, padded to `c`."""
  genotypes = np.asarray(genotypes, np.int32)
  labels = np.asarray(labels, np.float32)
  wanted = (len(labels), len(space.decisions))
  if labels.ndim != 1 or genotypes.shape != wanted:
    raise ValueError(
      f"genotypes have shape {genotypes.shape} and labels {labels.shape}; "
      f"wanted [n, {wanted[1]}] and [n]"
    )
  known = np.isfinite(labels)
  if known.sum() < 2:
    raise ValueError(f"{known.sum()} finite labels given; legal: at least 2")
  padding = -len(labels) % settings.capacity
  return (
    jnp.asarray(np.pad(genotypes, ((0, padding), (0, 0)))),
    jnp.asarray(np.pad(np.where(known, labels, 0.0), (0, padding))),
    jnp.asarray(np.pad(known.astype(np.float32), (0, padding))),
  )
