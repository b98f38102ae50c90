"""Inference with a neural-backed decision tree, from the logits alone.

Section 5.3 of Wan 2022; equation 5.5 is why no weights are needed. All
functions jit, vmap and differentiate once by the logits (in reverse mode), take
any leading dimensions, such as the pixels of a segmentation, and compute in
float32 whatever the logits' smaller type.

Symbols: `N` samples, standing for any leading dimensions, `K` classes, `V`
nodes, `P` nodes on the longest path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fbnax.nbdt import paths
from fbnax.nbdt.hierarchy import Hierarchy


class Decisions(NamedTuple):
  """The decisions on one path per sample.

  Attributes:
    nodes: from the root to the class, then -1, `i32[N, P]`.
    probabilities: of each node, given that the one before it was reached; 1 for
      the root and after the class, `f32[N, P]`.
  """

  nodes: jax.Array
  probabilities: jax.Array


def path_log_probs(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """Log probability of each class: equation 5.1.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[N, K]`; the exponentials sum to one.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  return _apply(paths.class_log_probs, logits, hierarchy)


def node_log_probs(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """Log probability that each node is reached, `f32[N, K]` to `f32[N, V]`.

  0 for the root; the first `K` are `path_log_probs`.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  reached = _apply(paths.reach_log_probs, logits, hierarchy)
  return jnp.take(reached, hierarchy.rows, axis=-1)


def decision_log_probs(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """Log probability of each node, given its parent, `f32[N, K]` to `f32[N, V]`.

  The exponentials over the children of a node sum to one; 0 for the root.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  steps = _apply(paths.decision_log_probs, logits, hierarchy)
  rows = jnp.asarray(hierarchy.rows)
  # A node with one child shares its row with it; the child is certain.
  certain = rows == rows[jnp.asarray(hierarchy.parents)]
  return jnp.where(certain, 0.0, jnp.take(steps, rows, axis=-1))


def soft_predict(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """The class whose path is the likeliest: equation 5.2.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `i32[N]`.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  classes = jnp.argmax(path_log_probs(logits, hierarchy), axis=-1)
  return classes.astype(jnp.int32)


def hard_predict(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """The class found by taking the likeliest child from the root down.

  Section 5.7 of Wan 2022, "Hard Inference". Of equal children the first wins.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `i32[N]`.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  return _apply(paths.likeliest, lax.stop_gradient(logits), hierarchy)


def decisions(
  logits: jax.Array,
  hierarchy: Hierarchy,
  classes: jax.Array | None = None,
  *,
  max_depth: int | None = None,
) -> Decisions:
  """The nodes visited on the way to a class, and how sure each decision was.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.
    classes: where the paths end, `i32[N]`; the hard predictions by default.
    max_depth: edges on the longest path; needed where the hierarchy is an
      argument of a compiled function. A longer path loses the nodes next to
      the root.

  Returns:
    Paths of `max_depth + 1` nodes.

  Raises:
    ValueError: the logits are of another number of classes, or `classes` has
      another shape than the logits without their last dimension.
  """
  if classes is None:
    classes = hard_predict(logits, hierarchy)
  if jnp.shape(classes) != jnp.shape(logits)[:-1]:
    raise ValueError(
      f"classes has shape {jnp.shape(classes)}; legal: "
      f"{jnp.shape(logits)[:-1]}, as the logits without their last dimension"
    )
  if max_depth is None:
    max_depth = longest_path(hierarchy)
  parents = jnp.asarray(hierarchy.parents)

  def up(node: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
    return jnp.where(node < 0, -1, parents[node]), node

  start = jnp.asarray(classes, jnp.int32)
  _, path = lax.scan(up, start, None, length=max_depth + 1)
  path = jnp.moveaxis(path, 0, -1)
  length = (path >= 0).sum(-1, keepdims=True)
  place = length - 1 - jnp.arange(max_depth + 1)
  nodes = jnp.take_along_axis(path, jnp.maximum(place, 0), axis=-1)
  nodes = jnp.where(place >= 0, nodes, -1)
  steps = jnp.exp(decision_log_probs(logits, hierarchy))
  chosen = jnp.take_along_axis(steps, jnp.maximum(nodes, 0), axis=-1)
  return Decisions(nodes, jnp.where(nodes < 0, 1.0, chosen))


def flattened(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """The logits as `f32[N, K]` with `N` all leading dimensions together.

  Raises:
    ValueError: the logits are of another number of classes, or no numbers.
  """
  logits = jnp.asarray(logits)
  if not logits.ndim or logits.shape[-1] != hierarchy.num_classes:
    raise ValueError(
      f"logits has shape {logits.shape}; legal: [..., "
      f"{hierarchy.num_classes}], as the hierarchy has "
      f"{hierarchy.num_classes} classes"
    )
  if jnp.issubdtype(logits.dtype, jnp.complexfloating):
    raise ValueError(f"logits has dtype {logits.dtype}; legal: real numbers")
  dtype = jnp.promote_types(logits.dtype, jnp.float32)
  return logits.reshape(-1, logits.shape[-1]).astype(dtype)


def _apply(
  function: Callable, logits: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
  flat = flattened(logits, hierarchy)
  values = function(flat, hierarchy.merges)
  return values.reshape(*jnp.shape(logits)[:-1], *values.shape[1:])


def longest_path(hierarchy: Hierarchy) -> int:
  """`hierarchy.depth`, which functions under jit cannot know.

  Raises:
    ValueError: the hierarchy is an argument of a compiled function.
  """
  try:
    np.asarray(hierarchy.parents)
  except jax.errors.TracerArrayConversionError:
    raise ValueError(
      "max_depth is None; legal where the hierarchy is an argument of a "
      "compiled function: hierarchy.depth, taken outside of it"
    ) from None
  return hierarchy.depth
