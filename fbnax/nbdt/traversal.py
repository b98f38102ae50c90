"""Where samples go in a tree, and where it errs.

Section 5.6 of Wan 2022 and its Figure 5.11: the share of a class's samples (of
a class that was trained on, or of one that was not) that pass each node. And
the accuracy of each decision by itself, which says where a tree loses what.

All functions jit and vmap.

Symbols: `N` samples, standing for any leading dimensions, `K` classes, `V`
nodes, `G` groups of samples.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.inference import decision_log_probs
from fbnax.ops import tree


class NodeAccuracy(NamedTuple):
  """How often each decision is right.

  Attributes:
    accuracy: of the samples whose label is under a node the share that it
      passes to the right child, `f32[V]`; NaN for classes, and for nodes above
      the label of no sample.
    visits: the number of these samples, `i32[V]`; for a class its own.
  """

  accuracy: jax.Array
  visits: jax.Array


@jax.jit
def chosen_children(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """Whether each node is its parent's likeliest child, reached or not.

  Of equal children the first is chosen, as by `hard_predict`.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `bool[N, V]`; false for the root.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  steps = decision_log_probs(logits, hierarchy)
  parents = jnp.asarray(hierarchy.parents)
  # The root, whose parent of -1 is read as the last node, competes with none.
  steps = jnp.where(parents < 0, -jnp.inf, steps)
  best = jnp.full_like(steps, -jnp.inf).at[..., parents].max(steps)
  order = (
    jnp.zeros_like(parents)
    .at[jnp.asarray(hierarchy.flat)]
    .set(jnp.arange(hierarchy.num_nodes - 1, dtype=parents.dtype))
  )
  last = hierarchy.num_nodes
  is_best = (parents >= 0) & (steps >= best[..., parents])
  candidate = jnp.where(is_best, order, last)
  first = jnp.full(steps.shape, last, parents.dtype)
  first = first.at[..., parents].min(candidate)
  return is_best & (candidate == first[..., parents])


def node_accuracy(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> NodeAccuracy:
  """How often each decision is right on the samples whose label is below it.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`; samples of a label that is none of 0 to `K - 1` do not
      count.
    hierarchy: over `K` classes.

  Raises:
    ValueError: the logits are of another number of classes, or the labels of
      another number of samples.
  """
  _check_labels(logits, labels)
  return _node_accuracy(logits, labels, hierarchy)


@jax.jit
def _node_accuracy(
  logits: jax.Array, labels: jax.Array, hierarchy: Hierarchy
) -> NodeAccuracy:
  chosen = chosen_children(logits, hierarchy)
  chosen = chosen.reshape(-1, hierarchy.num_nodes)
  flat = jnp.ravel(jnp.asarray(labels))
  legal = (flat >= 0) & (flat < hierarchy.num_classes)
  merges = hierarchy.merges
  positions = jnp.asarray(merges.positions)[jnp.where(legal, flat, 0)]
  above = tree.contains(positions, jnp.asarray(hierarchy.rows), merges)
  above = above.T & legal[:, None]
  parents = jnp.asarray(hierarchy.parents)
  # The root is nobody's choice: its 0 goes to the last node.
  right = jnp.zeros(hierarchy.num_nodes, jnp.int32)
  right = right.at[parents].add((above & chosen).sum(0, dtype=jnp.int32))
  visits = above.sum(0, dtype=jnp.int32)
  inner = jnp.arange(hierarchy.num_nodes) >= hierarchy.num_classes
  shares = right / jnp.maximum(visits, 1)
  return NodeAccuracy(jnp.where(inner & (visits > 0), shares, jnp.nan), visits)


def traversals(
  classes: jax.Array,
  hierarchy: Hierarchy,
  groups: jax.Array | None = None,
  num_groups: int = 1,
) -> jax.Array:
  """The share of each group's samples whose path goes through each node.

  Args:
    classes: where the paths end, `i32[N]`, such as the hard predictions.
    hierarchy: over `K` classes.
    groups: the group of each sample, `i32[N]`, such as its label, or the number
      of an unseen class; all are of one group by default.
    num_groups: `G`.

  Returns:
    `f32[G, V]`; NaN for a group without samples.

  Raises:
    ValueError: as many groups as classes are wanted.
  """
  classes = jnp.ravel(jnp.asarray(classes))
  if groups is None:
    groups = jnp.zeros_like(classes)
  groups = jnp.ravel(jnp.asarray(groups))
  if groups.shape != classes.shape:
    raise ValueError(
      f"groups has {groups.size} entries; legal: {classes.size}, as classes"
    )
  ends = jnp.zeros((hierarchy.num_classes, num_groups), jnp.float32)
  ends = ends.at[classes, groups].add(1.0)
  passed = tree.accumulate(ends, hierarchy.merges)
  return (passed[jnp.asarray(hierarchy.rows)] / ends.sum(0)).T


def _check_labels(logits: jax.Array, labels: jax.Array) -> None:
  if jnp.shape(labels) != jnp.shape(logits)[:-1]:
    raise ValueError(
      f"labels has shape {jnp.shape(labels)}; legal: {jnp.shape(logits)[:-1]}, "
      f"as the logits without their last dimension"
    )
