"""Additive models: a number for every choice, and their sum for a network.

The baseline that any predictor of a label must beat, and a stand-in for an
evaluator where networks can be looked up but not measured: ridge regression on
one column for each choice of each decision, 0 where the decision changes
nothing. Its penalty has the least leave-one-out error, which for ridge
regression has a closed form.

Symbols: `n` networks, `D` decisions, `C` columns.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.spaces import SearchSpace

# Of the penalty, in parts of the number of networks.
PENALTIES = np.logspace(-7, 1, 33)
HUBER = 1.345  # Deviations from which on a label is odd.
ROUNDS = 20


@flax.struct.dataclass
class Additive:
  """A fitted model.

  Attributes:
    weights: of the columns, `f32[C]`.
    mean: of networks without any, `f32[]`.
    space: the space.
  """

  weights: jax.Array
  mean: jax.Array
  space: SearchSpace = flax.struct.field(pytree_node=False)

  def __call__(self, genotypes: jax.Array) -> jax.Array:
    """Labels of genotypes, `i32[n, D]` to `f32[n]`; can be jitted."""
    return columns(self.space, genotypes) @ self.weights + self.mean


class Ridge(NamedTuple):
  """What a ridge regression found.

  Attributes:
    weights: `f64[C]`.
    mean: `f64[]`.
    error: root mean square of the leave-one-out errors.
    left_out: these errors, `f64[n]`.
  """

  weights: np.ndarray
  mean: float
  error: float
  left_out: np.ndarray


@functools.partial(jax.jit, static_argnums=0)
def columns(space: SearchSpace, genotypes: jax.Array) -> jax.Array:
  """1 for each choice that a network has made and that matters, `f32[n, C]`."""
  genotypes = jnp.asarray(genotypes, jnp.int32)
  active = space.active(genotypes)
  return jnp.concatenate(
    [
      jax.nn.one_hot(genotypes[:, i], count) * active[:, i, None]
      for i, count in enumerate(space.choices)
    ],
    axis=1,
  )


def fit(space: SearchSpace, genotypes: Any, labels: Any) -> Additive:
  """The additive model of labels.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.
    labels: `[n]`.

  Raises:
    ValueError: fewer than two labels, or shapes that do not fit.
  """
  genotypes = np.asarray(genotypes, np.int32)
  labels = np.asarray(labels, np.float64)
  shape = (len(labels), len(space.decisions))
  if labels.ndim != 1 or genotypes.shape != shape or len(labels) < 2:
    raise ValueError(
      f"genotypes have shape {genotypes.shape} and labels {labels.shape}; "
      f"legal: [n, {shape[1]}] and [n], n at least 2"
    )
  design = np.asarray(columns(space, jnp.asarray(genotypes)), np.float64)
  regression = ridge(design, labels)
  return Additive(
    jnp.asarray(regression.weights, jnp.float32),
    jnp.float32(regression.mean),
    space,
  )


def ridge(design: np.ndarray, labels: np.ndarray) -> Ridge:
  """Ridge regression with a mean, its penalty by leave-one-out error.

  Args:
    design: `f64[n, C]`.
    labels: `f64[n]`.
  """
  return _solved(_decomposed(design), labels)


def robust_ridge(design: np.ndarray, labels: np.ndarray) -> Ridge:
  """Ridge regression that a few odd labels do not draw to themselves.

  Huber's loss by pseudo-labels (Huber 1981, "Robust Statistics", section 7.8):
  labels that lie far from the fit are moved towards it, until none moves. Far
  is told by leave-one-out errors, since with few labels all lie near the fit.

  Args:
    design: `f64[n, C]`.
    labels: `f64[n]`.
  """
  parts = _decomposed(design)
  moved = labels
  for _ in range(ROUNDS):
    regression = _solved(parts, moved)
    # 1.4826 medians are the deviation of normal errors.
    far = HUBER * 1.4826 * float(np.median(np.abs(regression.left_out)))
    predicted = design @ regression.weights + regression.mean
    closer = predicted + np.clip(labels - predicted, -far, far)
    if np.allclose(closer, moved, rtol=1e-4, atol=0.0):
      break
    moved = closer
  return regression


class _Parts(NamedTuple):
  """Singular values of a design about its mean, and their vectors."""

  middle: np.ndarray
  left: np.ndarray
  sizes: np.ndarray
  right: np.ndarray


def _decomposed(design: np.ndarray) -> _Parts:
  middle = design.mean(axis=0)
  left, sizes, right = np.linalg.svd(design - middle, full_matrices=False)
  told = sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-300)
  return _Parts(middle, left[:, told], sizes[told], right[told])


def _solved(parts: _Parts, labels: np.ndarray) -> Ridge:
  count, mean = len(labels), labels.mean()
  middle, left, sizes, right = parts
  projected = left.T @ (labels - mean)
  best: tuple[float, np.ndarray, np.ndarray] | None = None
  for penalty in PENALTIES * count:
    shrink = sizes**2 / (sizes**2 + penalty)
    residual = labels - mean - left @ (shrink * projected)
    # The mean takes 1 / n of every label too.
    leverage = (left**2) @ shrink + 1 / count
    errors = residual / np.maximum(1 - leverage, 1e-9)
    error = float(np.sqrt(np.mean(errors**2)))
    if best is None or error < best[0]:
      best = error, right.T @ (shrink / sizes * projected), errors
  assert best is not None  # There are penalties.
  error, weights, errors = best
  return Ridge(weights, float(mean - middle @ weights), error, errors)
