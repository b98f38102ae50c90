"""Tree supervision losses: the tree terms alone, means over the batch.

Equations 5.3 and 5.4 of Wan 2022, and the original program's variants under
their own names. Labels are classes `i32[N]`, or target probabilities
`f32[N, K]` as mixup and label smoothing make them.

The equations' two losses are close: a path's cross entropy is the sum of the
cross entropies of its decisions, so equation 5.4 is the soft loss divided by
the number of inner nodes, and `hard_tree_loss` the soft one divided by the mean
number of decisions on a path. The original program's soft loss is
another function, as it takes a softmax of the path probabilities.

Symbols: `N` samples, standing for any leading dimensions, `K` classes, `M`
inner nodes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fbnax.nbdt import paths
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.inference import flattened, path_log_probs


def soft_tree_loss(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
  """Cross entropy of path probabilities: the tree term of equation 5.3.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`, or target probabilities `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[]`; NaN where a label is none of 0 to `K - 1`.

  Raises:
    ValueError: the shapes do not fit each other or the hierarchy.
  """
  return _path_losses(logits, labels, hierarchy).mean()


def hard_tree_loss(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
  """Mean cross entropy of the decisions on the labels' paths.

  Every decision of the batch weighs the same; nodes with one child are none.
  Equation 5.4 divides by all inner nodes instead, `hard_tree_loss_per_node`.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`, or target probabilities `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[]`; NaN where a label is none of 0 to `K - 1`.

  Raises:
    ValueError: the shapes do not fit each other or the hierarchy.
  """
  losses = _path_losses(logits, labels, hierarchy)
  counts = jnp.asarray(hierarchy.decisions).astype(losses.dtype)
  if _are_targets(labels):
    number = (labels * counts).sum()
  else:
    number = jnp.take(counts, labels, mode="clip").sum()
  return losses.sum() / number


def hard_tree_loss_per_node(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
  """Cross entropies of all inner nodes over their number: equation 5.4.

  A node's cross entropy is the mean over the batch, in which a sample that does
  not pass the node counts 0. The published weight of 10 belongs to this form:
  `hard_tree_loss` is larger by the number of inner nodes over the mean number
  of decisions on a path, which is 91 on ImageNet's induced tree.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`, or target probabilities `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[]`; NaN where a label is none of 0 to `K - 1`.

  Raises:
    ValueError: the shapes do not fit each other or the hierarchy.
  """
  inner = hierarchy.num_nodes - hierarchy.num_classes
  return soft_tree_loss(logits, labels, hierarchy) / inner


def original_soft_tree_loss(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
  """The original program's soft loss: path probabilities taken as logits.

  Their softmax is nearly flat, so the loss stays near `log K` and its gradient
  small. For those who must reproduce published runs; else `soft_tree_loss`.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`, or target probabilities `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[]`; NaN where a label is none of 0 to `K - 1`.

  Raises:
    ValueError: the shapes do not fit each other or the hierarchy.
  """
  _check_labels(logits, labels)
  probabilities = jnp.exp(path_log_probs(logits, hierarchy))
  log_shares = jax.nn.log_softmax(probabilities)
  if _are_targets(labels):
    return -(labels * log_shares).sum(-1).mean()
  legal = (labels >= 0) & (labels < hierarchy.num_classes)
  place = jnp.where(legal, labels, 0)[..., None]
  chosen = jnp.take_along_axis(log_shares, place, axis=-1)[..., 0]
  return -jnp.where(legal, chosen, jnp.nan).mean()


def original_hard_tree_loss(
  logits: jax.Array,
  labels: jax.Array,
  hierarchy: Hierarchy,
  *,
  weight: float | jax.Array = 1.0,
) -> jax.Array:
  """The original program's hard loss: twice the sum over `N M`, weighted.

  The sum of the decisions' cross entropies is divided by half the number of
  samples times inner nodes, on the path or not, and multiplied by `weight`;
  the program then multiplies this by the weight of the time again, so that a
  weight of 10 counts 100.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`, or target probabilities `f32[N, K]`.
    hierarchy: over `K` classes.
    weight: the program's `tree_supervision_weight`.

  Returns:
    `f32[]`; NaN where a label is none of 0 to `K - 1`.

  Raises:
    ValueError: the shapes do not fit each other or the hierarchy.
  """
  inner = hierarchy.num_nodes - hierarchy.num_classes
  return weight * 2.0 / inner * soft_tree_loss(logits, labels, hierarchy)


def _path_losses(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
  """Cross entropy of each sample's path, `f32[N]`."""
  _check_labels(logits, labels)
  if _are_targets(labels):
    log_probs = path_log_probs(logits, hierarchy)
    return -(labels * log_probs).sum(-1).reshape(-1)
  flat = flattened(logits, hierarchy)
  return -paths.label_log_probs(flat, jnp.ravel(labels), hierarchy.merges)


def _are_targets(labels: jax.Array) -> bool:
  return jnp.issubdtype(jnp.result_type(labels), jnp.floating)


def _check_labels(logits: jax.Array, labels: jax.Array) -> None:
  shape, legal = jnp.shape(labels), jnp.shape(logits)
  if not _are_targets(labels):
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
      raise ValueError(
        f"labels has dtype {jnp.result_type(labels)}; legal: integers, or "
        f"target probabilities"
      )
    legal = legal[:-1]
  if shape != legal:
    raise ValueError(
      f"labels has shape {shape}; legal with logits of {jnp.shape(logits)}: "
      f"{jnp.shape(logits)[:-1]} of integers, or target probabilities of the "
      f"logits' shape"
    )
