"""VKDNW: how evenly a network's output depends on its parameters.

Tybl and Neumann 2025, "Training-free Neural Architecture Search through
Variance of Knowledge of Deep Network Weights". The entropy of quantiles of the
eigenvalues of a Fisher information matrix, that of one number of each of the
first 128 parameters. BN has mean 0 and variance 1 everywhere.

The published program multiplies the Jacobian by the Cholesky factor of the
outputs' covariance where the equation multiplies by its transpose: `program`
is the one, `fisher` the other. In float64, as eigenvalues span many decades.

Symbols: `B` images, `K` classes, `n` numbers, `J` the Jacobian `[B, K, n]` of
the logits, `p` probabilities, `L` the factor of diag(p) - p p^T.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.ops.hand_written import forward_mode
from fbnax.proxies.probe import Probe

MOST = 128  # Parameters that count.
SMOOTHING = 0.05
_AT_ONCE = 8  # Directions of the Jacobian that are computed side by side.
_SMALL = 1e-10


def jacobian(probe: Probe) -> dict[str, jax.Array]:
  """The logits `f64[B, K]`, and their Jacobian `f64[B, K, n]`.

  By the first number of each parameter, in the order in which modules are
  called; the first weight of a kernel is that of output 0 and input 0, top
  left.
  """
  variables = dict(probe.variables)
  if "batch_stats" in variables:
    variables["batch_stats"] = jax.tree_util.tree_map_with_path(
      _fresh, variables["batch_stats"]
    )
  paths = parameters(probe)[:MOST]

  def logits(moves: jax.Array, images: jax.Array) -> jax.Array:
    added = dict(zip(paths, moves, strict=True))

    def move(path: Any, leaf: jax.Array) -> jax.Array:
      step = added.get(tuple(step.key for step in path))
      first = (0,) * leaf.ndim
      return leaf if step is None else leaf.at[first].add(step)

    params = jax.tree_util.tree_map_with_path(move, variables["params"])
    return probe.forward({**variables, "params": params}, images, train=False)

  start = jnp.zeros(len(paths), probe.images.dtype)

  def along(direction: jax.Array) -> jax.Array:
    return jax.jvp(
      lambda moves: logits(moves, probe.images), (start,), (direction,)
    )[1]

  with forward_mode():
    columns = jax.lax.map(along, jnp.eye(len(paths)), batch_size=_AT_ONCE)
    value = logits(start, probe.images)
  return {"logits": value, "jacobian": jnp.moveaxis(columns, 0, -1)}


def parameters(probe: Probe) -> list[tuple[str, ...]]:
  """Paths of all parameters, in the order in which modules are called."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(probe.variables["params"])
  paths = [tuple(step.key for step in path) for path, _ in leaves]
  calls: dict[tuple[str, ...], int] = {}

  def interceptor(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
    calls.setdefault(context.module.path, len(calls))
    return next_fun(*args, **kwargs)

  with nn.intercept_methods(interceptor):
    jax.eval_shape(lambda *a: probe.forward(*a), probe.variables, probe.images)
  order = {name: i for i, name in enumerate(("kernel", "scale", "bias"))}

  def place(path: tuple[str, ...]) -> tuple[int, int]:
    # The deepest module that was called has the parameter.
    owners = (path[:i] for i in range(len(path), -1, -1))
    called = (calls[owner] for owner in owners if owner in calls)
    return next(called, len(calls)), order.get(path[-1], len(order))

  return sorted(paths, key=place)


def dimension(probe: Probe) -> jax.Array:
  """How many parameters there are, arrays and not numbers; `i32[2]`."""
  count = len(jax.tree.leaves(probe.variables["params"]))
  return jnp.asarray([0, count], jnp.int32)


def program(measured: dict[str, np.ndarray]) -> float:
  """The score as the published program computes it, which is at most ln 9."""
  classes = np.asarray(measured["logits"]).shape[1]
  # It has the smoothing, and each class's share of it, in half precision.
  share = float(np.float16(SMOOTHING) / np.float16(classes))
  kept = float(np.float16(1 - SMOOTHING))
  return entropy(fisher_matrix(measured, share, kept, transposed=False))


def fisher(measured: dict[str, np.ndarray]) -> float:
  """The score of the Fisher matrix of the equation, of smoothed outputs."""
  return entropy(fisher_matrix(measured))


def fisher_matrix(
  measured: dict[str, np.ndarray],
  share: float | None = None,
  kept: float = 1 - SMOOTHING,
  *,
  transposed: bool = True,
) -> np.ndarray:
  """The mean over the images of (L^T J)^T (L^T J), `f64[n, n]`.

  Args:
    measured: what `jacobian` gives.
    share: added to each class's probability; None for 0.05 / K.
    kept: what the probability is multiplied by before.
    transposed: multiply by `L^T`, as the equation says, not by `L`.
  """
  logits = np.asarray(measured["logits"], np.float64)
  columns = np.asarray(measured["jacobian"], np.float64)
  shifted = np.exp(logits - logits.max(1, keepdims=True))
  own = shifted / shifted.sum(1, keepdims=True)
  share = SMOOTHING / logits.shape[1] if share is None else share
  factors = cholesky(own * kept + share)
  if transposed:
    factors = factors.transpose(0, 2, 1)
  rows = factors @ columns
  return np.einsum("bkn,bkm->nm", rows, rows) / len(rows)


def cholesky(shares: np.ndarray) -> np.ndarray:
  """The lower triangular `L` of diag(p) - p p^T, in closed form.

  Tanabe and Sagae 1992, "An Exact Cholesky Decomposition and the Generalized
  Inverse of the Variance-Covariance Matrix of the Multinomial Distribution".

  Args:
    shares: `p`, `f64[B, K]`, positive.

  Returns:
    `f64[B, K, K]`; the last column is 0.
  """
  rest = 1.0 - np.cumsum(shares, 1)
  before = np.concatenate([np.ones((len(shares), 1)), rest[:, :-1]], 1)
  rest = np.maximum(rest, 0.0)
  diagonal = np.sqrt(shares * rest / before)
  with np.errstate(divide="ignore", invalid="ignore"):
    below = -shares[:, :, None] * np.sqrt(
      shares[:, None, :] / (before * rest)[:, None, :]
    )
  factors = np.tril(below, -1)
  factors[:, :, -1] = 0.0
  places = np.arange(shares.shape[1] - 1)
  factors[:, places, places] = diagonal[:, :-1]
  return factors


def entropy(matrix: np.ndarray, quantiles: Any = None) -> float:
  """The entropy of the quantiles of a matrix's singular values.

  Args:
    matrix: `f64[n, n]`.
    quantiles: which; 0.1 to 0.9 by default, as on NAS-Bench-201.
  """
  if not np.isfinite(matrix).all():
    return -np.inf
  if quantiles is None:
    quantiles = np.arange(1, 10) / 10
  values = np.quantile(np.linalg.svd(matrix, compute_uv=False), quantiles)
  shares = values / (values.sum() + _SMALL)
  return float(-(shares * np.log(shares + _SMALL)).sum())


def _fresh(path: Any, leaf: jax.Array) -> jax.Array:
  return (jnp.ones_like if path[-1].key == "var" else jnp.zeros_like)(leaf)
