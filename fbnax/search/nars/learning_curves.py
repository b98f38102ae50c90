"""How well predictors learn from few labels, against how many there are.

Figure 4.4 of Wan 2022: the error of the accuracy predictor with and without
pretraining on costs. Ridge regression and a Gaussian process (scikit-learn's)
stand beside them as what one would use otherwise; they see the same features,
and choose their own hyperparameters by leave-one-out error and by marginal
likelihood.

Symbols: `n` labelled genotypes, `D` decisions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from fbnax.base.ranks import correlations
from fbnax.search.nars import predictor
from fbnax.search.nars.pretraining import PretrainedEncoder
from fbnax.spaces import SearchSpace


class HeldOutScore(NamedTuple):
  """How one predictor did on genotypes it had not seen.

  Attributes:
    rmse: root mean square error, in the units of the labels.
    kendall: Kendall's rank correlation.
  """

  rmse: float
  kendall: float


# Labels and genotypes to learn from, genotypes to predict.
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def score(
  learner: Learner,
  seed: int,
  genotypes: np.ndarray,
  labels: np.ndarray,
  count: int,
  held_out: int,
) -> HeldOutScore:
  """Learns from `count` random rows, predicts `held_out` others.

  The rows that are held out depend on the seed alone, so that all learners and
  all counts of a seed are judged by the same ones, and more labels contain
  fewer.

  Args:
    learner: what learns.
    seed: of the choice of rows.
    genotypes: `i32[n, D]`.
    labels: `f64[n]`.
    count: rows to learn from.
    held_out: rows to predict.

  Raises:
    ValueError: there are fewer rows than both together.
  """
  if not 2 <= count <= len(labels) - held_out or held_out < 2:
    raise ValueError(
      f"count={count} and held_out={held_out} of {len(labels)} rows; legal: "
      "at least 2 each, together at most all"
    )
  order = np.random.default_rng(seed).permutation(len(labels))
  test, train = order[:held_out], order[held_out : held_out + count]
  predicted = learner(labels[train], genotypes[train], genotypes[test])
  rmse = float(np.sqrt(np.mean((predicted - labels[test]) ** 2)))
  return HeldOutScore(rmse, correlations(predicted, labels[test])[0])


def neural(
  key: jax.Array,
  space: SearchSpace,
  pretrained: PretrainedEncoder | None,
  *,
  members: int,
  capacity: int,
) -> Learner:
  """The predictor of this project; `pretrained` None starts at random."""
  settings = predictor.HeadSettings(capacity=capacity)

  def learn(
    labels: np.ndarray, genotypes: np.ndarray, unseen: np.ndarray
  ) -> np.ndarray:
    model = predictor.fit(
      key,
      space,
      pretrained,
      genotypes,
      labels,
      members=members,
      settings=settings,
    )
    return np.asarray(predictor.predict(model, unseen).score, np.float64)

  return learn


def ridge(space: SearchSpace) -> Learner:
  """Linear regression on the features, its penalty by leave-one-out error."""
  from sklearn.linear_model import RidgeCV  # Slow to import.

  def learn(
    labels: np.ndarray, genotypes: np.ndarray, unseen: np.ndarray
  ) -> np.ndarray:
    model = RidgeCV(np.logspace(-3, 3, 25))
    model.fit(_features(space, genotypes), labels)
    return np.asarray(model.predict(_features(space, unseen)), np.float64)

  return learn


def gaussian_process(space: SearchSpace) -> Learner:
  """Matérn 5/2 with noise on the features, by marginal likelihood."""
  from sklearn.exceptions import ConvergenceWarning
  from sklearn.gaussian_process import GaussianProcessRegressor, kernels

  def learn(
    labels: np.ndarray, genotypes: np.ndarray, unseen: np.ndarray
  ) -> np.ndarray:
    features = _features(space, genotypes)
    start = np.sqrt(features.shape[1])
    kernel = kernels.ConstantKernel() * kernels.Matern(
      start, (1e-1, 1e3), nu=2.5
    ) + kernels.WhiteKernel(0.1, (1e-4, 1e1))
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
      # A length at its bound is an answer: the feature does not matter.
      warnings.simplefilter("ignore", ConvergenceWarning)
      model.fit(features, labels)
    return np.asarray(model.predict(_features(space, unseen)), np.float64)

  return learn


def labels_needed(
  counts: Sequence[int], errors: Sequence[float], error: float
) -> float:
  """How many labels reach an error, between the counts on a log-log line.

  Args:
    counts: ascending.
    errors: mean error with each count.
    error: to reach.

  Returns:
    A number of labels; the first count where that is good enough already, and
    infinity where no count is.
  """
  for i, reached in enumerate(errors):
    if reached <= error:
      if i == 0:
        return float(counts[0])
      left, right = np.log(counts[i - 1]), np.log(counts[i])
      high, low = np.log(errors[i - 1]), np.log(reached)
      share = (high - np.log(error)) / (high - low)
      return float(np.exp(left + share * (right - left)))
  return float("inf")


def _features(space: SearchSpace, genotypes: np.ndarray) -> np.ndarray:
  encoded = space.encode(np.asarray(genotypes, np.int32))  # type: ignore[arg-type]
  return np.asarray(encoded, np.float64)
