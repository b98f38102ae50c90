"""Maximum-similarity examples: which samples stand for which node.

Section 5.6 of Wan 2022 and its Figure 5.8: the representative of a node is the
mean of the weights of the classes under it, and its examples are the samples
whose features are most like it. Where all that is known is logits, the inner
product is the mean logit of the node's classes (equation 5.5).

Symbols: `N` samples, `K` classes, `D` features, `V` nodes, `n` examples.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.inference import flattened
from fbnax.ops import tree


def representatives(weights: Any, hierarchy: Hierarchy) -> jax.Array:
  """The mean weights of the classes under each node.

  Args:
    weights: of the last layer, `f32[K, D]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[V, D]`.

  Raises:
    ValueError: the weights are of another number of classes.
  """
  weights = jnp.asarray(weights, jnp.float32)
  if weights.ndim != 2 or weights.shape[0] != hierarchy.num_classes:
    raise ValueError(
      f"weights has shape {weights.shape}; legal: [{hierarchy.num_classes}, D]"
    )
  means = tree.mean_logits(weights, hierarchy.merges)
  return means[jnp.asarray(hierarchy.rows)]


def node_logits(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """The mean logit of the classes under each node, `f32[N, K]` to `f32[N, V]`.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  flat = flattened(logits, hierarchy)
  means = tree.mean_logits(flat.T, hierarchy.merges)
  of_nodes = means[jnp.asarray(hierarchy.rows)].T
  return of_nodes.reshape(*jnp.shape(logits)[:-1], hierarchy.num_nodes)


def similar_examples(
  logits: jax.Array,
  hierarchy: Hierarchy,
  count: int,
  *,
  features: jax.Array | None = None,
  weights: Any = None,
) -> jax.Array:
  """The samples that are most like each node's representative.

  By the inner product, from the logits; with features and weights by the
  cosine, which does not prefer samples of large features.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.
    count: `n`; of fewer samples all.
    features: `f32[N, D]`, what the last layer is given.
    weights: of the last layer, `f32[K, D]`.

  Returns:
    Numbers of samples, `i32[V, n]`, the most similar first.

  Raises:
    ValueError: features without weights or of another shape, `count` is less
      than 1, or the logits are of another number of classes.
  """
  if count < 1:
    raise ValueError(f"count is {count}; legal: 1 or more")
  if (features is None) != (weights is None):
    raise ValueError("features and weights; legal: both or neither")
  if features is None:
    scores = node_logits(flattened(logits, hierarchy), hierarchy)
  else:
    nodes = representatives(weights, hierarchy)
    features = jnp.asarray(features, jnp.float32)
    if features.shape[1:] != nodes.shape[1:]:
      raise ValueError(
        f"features has shape {features.shape}; legal: [N, {nodes.shape[1]}], "
        f"as weights"
      )
    scores = _unit(features) @ _unit(nodes).T
  return lax.top_k(scores.T, min(count, scores.shape[0]))[1]


def _unit(rows: jax.Array) -> jax.Array:
  norms = jnp.linalg.norm(rows, axis=-1, keepdims=True)
  return rows / jnp.where(norms > 0, norms, 1.0)
