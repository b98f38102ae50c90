"""Log probabilities of a batch's paths, with gradients written by hand.

`fbnax.ops.tree` computes on a few columns; here are the functions of a batch,
in chunks, with one derivative in reverse mode each. What the backward passes
need is computed again from the logits, but for `label_log_probs`: the gradient
of a single class per sample comes out of the forward pass at little more.

Symbols: `N` samples, `K` classes, `R = 2 K - 1` rows.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fbnax.nbdt.chunks import in_chunks
from fbnax.ops import tree
from fbnax.ops.tree import Merges


@jax.jit
def decision_log_probs(logits: jax.Array, merges: Merges) -> jax.Array:
  """Log probability of each row, given that its decision is reached.

  Args:
    logits: `f32[N, K]`.
    merges: the tree.

  Returns:
    `f32[N, R]`; 0 for the root and for partial merges.
  """
  return _decisions(logits, merges)


@jax.jit
def reach_log_probs(logits: jax.Array, merges: Merges) -> jax.Array:
  """Log probability that each row is reached from the root: equation 5.1.

  Args:
    logits: `f32[N, K]`.
    merges: the tree.

  Returns:
    `f32[N, R]`; a partial merge has its decision's.
  """
  return _reached(logits, merges)


@jax.jit
def class_log_probs(logits: jax.Array, merges: Merges) -> jax.Array:
  """Log probability of each class: the first `K` of `reach_log_probs`."""
  return _classes(logits, merges)


@jax.jit
def label_log_probs(
  logits: jax.Array, labels: jax.Array, merges: Merges
) -> jax.Array:
  """Log probability of one class per sample, at less than the price of all.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`.
    merges: the tree.

  Returns:
    `f32[N]`; NaN where a label is none of 0 to `K - 1`.
  """
  legal = (labels >= 0) & (labels < logits.shape[-1])
  positions = jnp.asarray(merges.positions)[jnp.where(legal, labels, 0)]
  return jnp.where(legal, _label(logits, positions, merges), jnp.nan)


@jax.jit
def likeliest(logits: jax.Array, merges: Merges) -> jax.Array:
  """The class found by taking the likeliest child from the root down.

  Args:
    logits: `f32[N, K]`.
    merges: the tree.

  Returns:
    `i32[N]`.
  """
  return in_chunks(lambda merges, z: tree.likeliest(z, merges), merges, logits)


@jax.custom_vjp
def _decisions(logits: jax.Array, merges: Merges) -> jax.Array:
  return in_chunks(_steps, merges, logits)


@jax.custom_vjp
def _reached(logits: jax.Array, merges: Merges) -> jax.Array:
  def kernel(merges: Merges, z: jax.Array) -> jax.Array:
    return tree.descend(_steps(merges, z), merges)

  return in_chunks(kernel, merges, logits)


@jax.custom_vjp
def _classes(logits: jax.Array, merges: Merges) -> jax.Array:
  def kernel(merges: Merges, z: jax.Array) -> jax.Array:
    return tree.descend(_steps(merges, z), merges)[: z.shape[0]]

  return in_chunks(kernel, merges, logits)


@jax.custom_vjp
def _label(
  logits: jax.Array, positions: jax.Array, merges: Merges
) -> jax.Array:
  def kernel(merges: Merges, z: jax.Array, position: jax.Array) -> jax.Array:
    on_path = tree.contains(position, _rows(merges), merges)
    return jnp.where(on_path, _steps(merges, z), 0.0).sum(0)

  return in_chunks(kernel, merges, logits, positions)


def _decision_back(residuals: tuple, cotangent: jax.Array) -> tuple:
  def kernel(merges: Merges, z: jax.Array, g: jax.Array) -> jax.Array:
    g = jnp.where(jnp.asarray(merges.decided)[:, None], g, 0.0)
    taken = tree.fold(g, merges, jnp.add)
    taken = taken[jnp.asarray(merges.deciders) - z.shape[0]]
    return tree.gradient(g, taken, _steps(merges, z), merges)

  logits, merges = residuals
  return in_chunks(kernel, merges, logits, cotangent), None


def _reached_back(residuals: tuple, cotangent: jax.Array) -> tuple:
  def kernel(merges: Merges, z: jax.Array, g: jax.Array) -> jax.Array:
    deciders = jnp.asarray(merges.deciders)
    # A partial merge is reached when its decision is.
    partial = ~jnp.asarray(merges.decided).at[-1].set(True)[:, None]
    moved = jnp.where(partial, g, 0.0)
    g = (g - moved).at[deciders].add(moved)
    total = tree.accumulate(g, merges)
    taken = (total - g)[deciders]
    return tree.gradient(total, taken, _steps(merges, z), merges)

  logits, merges = residuals
  return in_chunks(kernel, merges, logits, cotangent), None


def _classes_back(residuals: tuple, cotangent: jax.Array) -> tuple:
  def kernel(merges: Merges, z: jax.Array, g: jax.Array) -> jax.Array:
    total = tree.accumulate(g, merges)
    taken = total[jnp.asarray(merges.deciders)]
    return tree.gradient(total, taken, _steps(merges, z), merges)

  logits, merges = residuals
  return in_chunks(kernel, merges, logits, cotangent), None


def _label_forward(
  logits: jax.Array, positions: jax.Array, merges: Merges
) -> tuple:
  def kernel(merges: Merges, z: jax.Array, position: jax.Array) -> tuple:
    steps = _steps(merges, z)
    on_path = tree.contains(position, _rows(merges), merges)
    taken = tree.contains(position, jnp.asarray(merges.deciders), merges)
    gradient = tree.gradient(
      on_path.astype(z.dtype), taken.astype(z.dtype), steps, merges
    )
    return jnp.where(on_path, steps, 0.0).sum(0), gradient

  return in_chunks(kernel, merges, logits, positions)


def _label_back(gradient: jax.Array, cotangent: jax.Array) -> tuple:
  return cotangent[:, None] * gradient, None, None


def _recomputing(function: Callable) -> Callable:
  """The forward rule of a function whose backward rule needs its inputs."""
  return lambda logits, merges: (function(logits, merges), (logits, merges))


_decisions.defvjp(_recomputing(_decisions), _decision_back)
_reached.defvjp(_recomputing(_reached), _reached_back)
_classes.defvjp(_recomputing(_classes), _classes_back)
_label.defvjp(_label_forward, _label_back)


def _steps(merges: Merges, z: jax.Array) -> jax.Array:
  means = tree.mean_logits(z, merges)
  return tree.decision_log_probs(means, tree.normalizers(means, merges), merges)


def _rows(merges: Merges) -> jax.Array:
  return jnp.arange(merges.parents.shape[0], dtype=jnp.int32)
