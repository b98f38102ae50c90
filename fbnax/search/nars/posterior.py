"""A Gaussian process over networks, which knows that measurements are noisy.

What a search has measured is the truth and luck, and the best measurement is
the luckiest of many. The posterior mean at a measured network weighs its own
measurement and those of its neighbours by the noise that the measurements
themselves show: by it a result is chosen (`chosen`), and candidates where
`search.learner` says so.

The kernel is v exp(-8 times the mean over d of w_d times the squared distance
in d), over decisions (0 or 1 of a categorical one, the difference of places of
an ordinal one, all from 0 to 1) and over the logarithms of MACs and parameters,
which cost nothing to know. Its parameters have the largest marginal likelihood
times a prior; Rasmussen and Williams 2006, "Gaussian Processes for Machine
Learning", sections 2.2 and 5.4.

Symbols: `n` measured networks, `p` others, `D` decisions, `G` distances, those
in each decision and in both costs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.proxies import normal_scores
from fbnax.spaces.space import SearchSpace

# Of the logarithms of the parameters: where their prior has its middle, and its
# width.
_SCALE, _NOISE, _DECISION, _COST = 0.0, -2.0, -1.0, -2.0
_WIDTH = 2.0
# Of how many distances the sum is taken, on average: with more decisions all
# networks would be strangers to each other.
_NEAR = 8.0
_JITTER = 1e-6
_STEPS = (
  25  # Of the optimizer, after which a larger likelihood chooses no other.
)
_GROUP = 256  # Networks whose costs are counted together.
_ROWS = 4096  # Networks whose distances are in memory at a time.


class Posterior(NamedTuple):
  """A fitted process, in the units of standardised labels.

  Attributes:
    points: `f64[n, G]`, see `_points`, costs in their deviations.
    categorical: which of the `G` are, `bool[G]`.
    parameters: logarithms of scale, noise and weights, `f64[2 + G]`.
    factor: the Cholesky factor of the measured networks' covariance, with
      noise, `f64[n, n]`.
    weights: what their labels weigh in a mean, `f64[n]`.
    spread: deviations of the logarithms of MACs and parameters, `f64[2]`.
    space: of the networks.
    num_classes: of their classifier, for their costs.
  """

  points: np.ndarray
  categorical: np.ndarray
  parameters: np.ndarray
  factor: np.ndarray
  weights: np.ndarray
  spread: np.ndarray
  space: SearchSpace
  num_classes: int

  @property
  def noise(self) -> float:
    """Deviation of a measurement, in deviations of the labels."""
    return float(np.exp(self.parameters[1] / 2))

  def predict(self, genotypes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation without noise of genotypes `i32[p, D]`, `f64[p]`."""
    from scipy.linalg import solve_triangular  # Slow to import.

    points = _points(self.space, genotypes, self.num_classes)
    points[:, -2:] /= self.spread
    means, deviations = [], []
    for start in range(0, len(points), _ROWS):
      rows = points[start : start + _ROWS]
      between = _kernel(
        self.parameters, _distances(rows, self.points, self.categorical)
      )
      explained = solve_triangular(self.factor, between.T, lower=True)
      left = np.exp(self.parameters[0]) - (explained**2).sum(0)
      means.append(between @ self.weights)
      deviations.append(np.sqrt(np.maximum(left, 0.0)))
    return np.concatenate(means), np.concatenate(deviations)

  def improvement(self, genotypes: Any) -> np.ndarray:
    """By how much each is expected to beat the best measured one, `f64[p]`.

    Jones et al. 1998, "Efficient Global Optimization of Expensive Black-Box
    Functions", equation 15, over the largest posterior mean of a measured
    network, as its measurement may have been lucky.

    Args:
      genotypes: `i32[p, D]`.
    """
    from scipy.stats import norm  # Slow to import.

    distances = _distances(self.points, self.points, self.categorical)
    best = (_kernel(self.parameters, distances) @ self.weights).max()
    mean, deviation = self.predict(genotypes)
    deviation = np.maximum(deviation, 1e-12)
    above = (mean - best) / deviation
    return np.asarray(
      deviation * (above * norm.cdf(above) + norm.pdf(above)), np.float64
    )


def fit(
  space: SearchSpace, genotypes: Any, labels: Any, num_classes: int
) -> Posterior:
  """Fits the process to measured networks.

  Labels enter by their normal scores: where some are far below the rest, their
  distances say nothing of the best.

  Args:
    space: of the networks.
    genotypes: `i32[n, D]`.
    labels: `[n]`; networks whose label is not finite are as good as the worst.
    num_classes: of their classifier, for their costs.

  Raises:
    ValueError: fewer than two labels are finite.
  """
  from scipy.optimize import minimize  # Slow to import.

  labels = np.asarray(labels, np.float64)
  finite = np.isfinite(labels)
  if finite.sum() < 2:
    raise ValueError(
      f"{finite.sum()} of {len(labels)} labels are finite; legal: at least 2"
    )
  targets = normal_scores(np.where(finite, labels, labels[finite].min()))
  targets = targets / max(targets.std(), 1e-12)
  points = _points(space, genotypes, num_classes)
  spread = np.maximum(points[:, -2:].std(0), 1e-6)
  points[:, -2:] /= spread
  kinds = [d.categorical for d in space.decisions]
  categorical = np.asarray([*kinds, False, False])
  distances = _distances(points, points, categorical)
  middle = np.asarray(
    [_SCALE, _NOISE, *([_DECISION] * len(kinds)), _COST, _COST]
  )
  best = minimize(
    _loss,
    middle,
    args=(distances, targets, middle),
    jac=True,
    method="L-BFGS-B",
    bounds=[(m - 4 * _WIDTH, m + 4 * _WIDTH) for m in middle],
    options={"maxiter": _STEPS},
  )
  noise = (np.exp(best.x[1]) + _JITTER) * np.eye(len(targets))
  factor = np.linalg.cholesky(_kernel(best.x, distances) + noise)
  return Posterior(
    points,
    categorical,
    best.x,
    factor,
    _solved(factor, targets),
    spread,
    space,
    num_classes,
  )


def chosen(
  space: SearchSpace, genotypes: Any, labels: Any, num_classes: int
) -> int:
  """The measured network with the largest posterior mean.

  Args:
    space: of the networks.
    genotypes: `i32[n, D]`.
    labels: `[n]`, what was measured; not finite where a network failed.
    num_classes: of their classifier, for their costs.

  Returns:
    Its place among the genotypes.

  Raises:
    ValueError: no label is finite.
  """
  labels = np.asarray(labels, np.float64)
  finite = np.flatnonzero(np.isfinite(labels))
  if not len(finite):
    raise ValueError("no label is finite; legal: at least one")
  if len(finite) < 3:  # Neighbours say nothing yet.
    return int(finite[np.argmax(labels[finite])])
  measured = np.asarray(genotypes)
  model = fit(space, measured, labels, num_classes)
  mean, _ = model.predict(measured[finite])
  return int(finite[np.argmax(mean)])


def _points(space: SearchSpace, genotypes: Any, num_classes: int) -> np.ndarray:
  """Places of decisions, and logarithms of costs, `f64[n, G]`."""
  genotypes = np.asarray(genotypes, np.int32)
  last = np.maximum(np.asarray(space.choices) - 1, 1)
  # An index is a distance for an ordinal decision, a name for another.
  kinds = np.asarray([d.categorical for d in space.decisions], bool)
  places = np.where(kinds, genotypes, genotypes / last)
  # As many as make a whole number of groups: fewer programs are compiled.
  count = -(-len(genotypes) // _GROUP) * _GROUP
  padded = jnp.asarray(np.resize(genotypes, (count, genotypes.shape[1])))
  counted = costs.batch(space, padded, num_classes)
  logs = np.log([np.maximum(counted.macs, 1), np.maximum(counted.params, 1)])
  logs = np.asarray(logs, np.float64).T[: len(genotypes)]
  return np.concatenate([places, logs], 1)


def _distances(
  rows: np.ndarray, others: np.ndarray, categorical: np.ndarray
) -> np.ndarray:
  """Squared distances in each, `f64[G, n, p]`."""
  differences = rows.T[:, :, None] - others.T[:, None, :]
  return np.where(
    categorical[:, None, None], differences != 0, differences**2
  ).astype(np.float64)


def _kernel(parameters: np.ndarray, distances: np.ndarray) -> np.ndarray:
  weights = np.exp(parameters[2:]) * _NEAR / len(distances)
  return np.exp(parameters[0] - np.tensordot(weights, distances, 1))


def _solved(factor: np.ndarray, targets: np.ndarray) -> np.ndarray:
  from scipy.linalg import cho_solve  # Slow to import.

  return np.asarray(cho_solve((factor, True), targets))


def _loss(
  parameters: np.ndarray,
  distances: np.ndarray,
  targets: np.ndarray,
  middle: np.ndarray,
) -> tuple[float, np.ndarray]:
  """Minus the logarithm of likelihood times prior, and its gradient."""
  kernel = _kernel(parameters, distances)
  noise, eye = np.exp(parameters[1]), np.eye(len(targets))
  factor = np.linalg.cholesky(kernel + (noise + _JITTER) * eye)
  weights = _solved(factor, targets)
  away = (parameters - middle) / _WIDTH
  loss = targets @ weights / 2 + np.log(np.diag(factor)).sum() + away @ away / 2
  # Of the loss by the covariance's entries (equation 5.9).
  pull = (_solved(factor, eye) - np.outer(weights, weights)) / 2
  by_kernel = pull * kernel
  by_weights = -np.tensordot(distances, by_kernel, 2) * _NEAR / len(distances)
  gradient = np.concatenate(
    [
      [by_kernel.sum(), np.trace(pull) * noise],
      by_weights * np.exp(parameters[2:]),
    ]
  )
  return float(loss), gradient + away / _WIDTH
