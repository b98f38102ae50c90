"""Probabilities of a tree's decisions, from the logits of its classes alone.

Equations 5.1 and 5.5 of Wan 2022: the logit of a node is the mean of the logits
of the classes under it, a decision is the softmax over the logits of a node's
children, and the probability of a class is the product of the decisions on its
path. A softmax over many children is taken pair by pair, so that a tree of `K`
classes is always `K - 1` merges, whatever its shape: one program for all trees,
whose cost is linear in `K`.

How it is computed matters by two orders of magnitude on a CPU. Samples are
columns, a scan passes over the merges, and each step writes one row of one
buffer: then XLA writes in place. A second write or a second buffer in the step
makes it copy everything. The scans are not meant to be differentiated, which
would be quadratic: `gradient` is written by hand.

Symbols: `n` samples, `K` classes, `R = 2 K - 1` rows: the classes first, then
the merges, each after the rows that it merges, the root last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Merges(NamedTuple):
  """A tree as pairwise merges; merge `m` makes row `K + m`.

  Attributes:
    left: row of the first part of each merge, `i32[K - 1]`.
    right: row of the second part, `i32[K - 1]`.
    parents: row that each row is merged into, `i32[R]`; the root's is itself.
    deciders: row of the decision that each row is an outcome of, or a part of
      an outcome's group, `i32[R]`; the root's is itself.
    decided: whether the row is an outcome of a decision, `bool[R]`. The others
      are the root and partial merges of a decision with over two outcomes.
    counts: number of classes under each row, `i32[R]`.
    first: position of the first class under each row, from left to right,
      `i32[R]`.
    positions: position of each class from left to right, `i32[K]`.
  """

  left: Any
  right: Any
  parents: Any
  deciders: Any
  decided: Any
  counts: Any
  first: Any
  positions: Any


def mean_logits(logits: jax.Array, merges: Merges) -> jax.Array:
  """Mean logit of the classes under each row, `f32[K, n]` to `f32[R, n]`."""
  counts = jnp.asarray(merges.counts).astype(logits.dtype)
  return accumulate(logits, merges) / counts[:, None]


def normalizers(means: jax.Array, merges: Merges) -> jax.Array:
  """Log-sum-exp over the outcomes of each decision.

  Args:
    means: mean logits, `f32[R, n]`.
    merges: the tree.

  Returns:
    By the row of the decision, `f32[K - 1, n]`; rows of partial merges have
    that of their part.
  """

  def add(a: jax.Array, b: jax.Array) -> jax.Array:
    # Not log1p: added to the larger one its digits are lost, and it is slow.
    return jnp.maximum(a, b) + jnp.log(1.0 + jnp.exp(-jnp.abs(a - b)))

  return fold(means, merges, add)


def decision_log_probs(
  means: jax.Array, normalizers: jax.Array, merges: Merges
) -> jax.Array:
  """Log probability of each row, given that its decision is reached.

  Args:
    means: mean logits, `f32[R, n]`.
    normalizers: log-sum-exps, `f32[K - 1, n]`.
    merges: the tree.

  Returns:
    `f32[R, n]`; 0 for the root and for partial merges.
  """
  found = means - normalizers[_deciders(merges)]
  return jnp.where(jnp.asarray(merges.decided)[:, None], found, 0.0)


def gradient(
  outcome: jax.Array,
  taken: jax.Array,
  log_probs: jax.Array,
  merges: Merges,
) -> jax.Array:
  """Gradient by the logits of a weighted sum of `decision_log_probs`.

  Args:
    outcome: weight of each row's, `f32[R, n]`.
    taken: the sum of these weights over all outcomes of the row's decision,
      `f32[R, n]`.
    log_probs: `decision_log_probs`, `f32[R, n]`.
    merges: the tree.

  Returns:
    `f32[K, n]`.
  """
  by_mean = outcome - taken * jnp.exp(log_probs)
  counts = jnp.asarray(merges.counts).astype(log_probs.dtype)[:, None]
  decided = jnp.asarray(merges.decided)[:, None]
  by_sum = jnp.where(decided, by_mean / counts, 0.0)
  return descend(by_sum, merges)[: merges.positions.shape[0]]


def contains(
  positions: jax.Array, rows: jax.Array, merges: Merges
) -> jax.Array:
  """Whether rows have a class under them.

  Args:
    positions: `merges.positions` of one class per sample, `i32[n]`.
    rows: `i32[r]`.
    merges: the tree.

  Returns:
    `bool[r, n]`.
  """
  first = jnp.asarray(merges.first)[rows][:, None]
  counts = jnp.asarray(merges.counts)[rows][:, None]
  return (first <= positions) & (positions < first + counts)


def likeliest(logits: jax.Array, merges: Merges) -> jax.Array:
  """The class found by taking the likeliest outcome from the root down.

  Of equal outcomes the first is taken.

  Args:
    logits: `f32[K, n]`.
    merges: the tree.

  Returns:
    `i32[n]`.
  """
  means = mean_logits(logits, merges)
  best = jnp.concatenate([means, fold(means, merges, jnp.maximum)])
  left, right = _folded_rows(merges)
  is_left = best[left] >= best[right]
  own = jnp.arange(logits.shape[0], dtype=jnp.int32)
  found = _padded(jnp.broadcast_to(own[:, None], logits.shape))

  def step(found: jax.Array, merge: tuple) -> tuple[jax.Array, None]:
    a, b, is_left, into = merge
    row = jnp.where(is_left, _row(found, a), _row(found, b))
    return _put(found, row, into), None

  steps = (merges.left, merges.right, is_left, _made(merges))
  return lax.scan(step, found, steps)[0][-1]


def accumulate(rows: jax.Array, merges: Merges) -> jax.Array:
  """Each row plus all rows under it.

  Args:
    rows: of classes and merges, `f32[R, n]`, or of classes alone, `f32[K, n]`,
      where those of merges are 0.
    merges: the tree.

  Returns:
    `f32[R, n]`.
  """
  whole = rows.shape[0] > merges.positions.shape[0]

  def step(rows: jax.Array, merge: tuple) -> tuple[jax.Array, None]:
    a, b, into = merge
    row = _row(rows, a) + _row(rows, b)
    return _put(rows, row + _row(rows, into) if whole else row, into), None

  steps = (merges.left, merges.right, _made(merges))
  return lax.scan(step, rows if whole else _padded(rows), steps)[0]


def descend(rows: jax.Array, merges: Merges) -> jax.Array:
  """Each row plus all rows above it, `f32[R, n]` to `f32[R, n]`."""

  def step(rows: jax.Array, edge: tuple) -> tuple[jax.Array, None]:
    own, parent = edge
    return _put(rows, _row(rows, own) + _row(rows, parent), own), None

  own = jnp.arange(rows.shape[0] - 1, dtype=jnp.int32)
  edges = (own, jnp.asarray(merges.parents)[:-1])
  return lax.scan(step, rows, edges, reverse=True)[0]


def fold(rows: jax.Array, merges: Merges, combine: Callable) -> jax.Array:
  """Combines the outcomes of each decision pair by pair.

  Args:
    rows: `f32[R, n]`.
    merges: the tree.
    combine: takes and returns `f32[n]`; the order of pairs must not matter.

  Returns:
    By the row of the decision, `f32[K - 1, n]`.
  """
  left, right = _folded_rows(merges)

  def step(buffer: jax.Array, merge: tuple) -> tuple[jax.Array, None]:
    a, b, into = merge
    return _put(buffer, combine(_row(buffer, a), _row(buffer, b)), into), None

  merged = left.shape[0]
  buffer = jnp.concatenate([rows, jnp.zeros_like(rows[:merged])])
  into = _made(merges) + merged
  return lax.scan(step, buffer, (left, right, into))[0][rows.shape[0] :]


def _padded(logits: jax.Array) -> jax.Array:
  """With zeros for the merges, `[K, n]` to `[R, n]`."""
  return jnp.concatenate([logits, jnp.zeros_like(logits[1:])])


def _deciders(merges: Merges) -> jax.Array:
  """The deciders as numbers of merges."""
  return jnp.asarray(merges.deciders) - (merges.left.shape[0] + 1)


def _folded_rows(merges: Merges) -> tuple[jax.Array, jax.Array]:
  """Where a merge's parts are when folded rows follow the rows themselves."""
  decided = jnp.asarray(merges.decided)

  def place(part: Any) -> jax.Array:
    part = jnp.asarray(part)
    # A partial merge has no row of its own to fold, only what was folded.
    return jnp.where(decided[part], part, part + len(part))

  return place(merges.left), place(merges.right)


def _made(merges: Merges) -> jax.Array:
  """The row that each merge makes."""
  k = merges.left.shape[0] + 1
  return jnp.arange(k, 2 * k - 1, dtype=jnp.int32)


def _row(rows: jax.Array, index: jax.Array) -> jax.Array:
  return lax.dynamic_index_in_dim(rows, index, 0, keepdims=False)


def _put(rows: jax.Array, row: jax.Array, index: jax.Array) -> jax.Array:
  return lax.dynamic_update_index_in_dim(rows, row, index, 0)
