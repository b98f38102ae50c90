"""How sure decisions are, and which samples' labels are ambiguous.

Section 5.5 of Wan 2022 and its Figure 5.6. A tree that is sure of all decisions
on a path but one is torn between two things that are both there, while a plain
network that is unsure may be unsure of everything.

All functions jit and vmap; entropies are nats.

Symbols: `N` samples, standing for any leading dimensions, `K` classes, `V`
nodes.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.inference import (
  decision_log_probs,
  decisions,
  longest_path,
  soft_predict,
)


class TopTwo(NamedTuple):
  """How a plain network is torn between its two likeliest classes.

  Attributes:
    between: entropy of the two, by themselves, `f32[N]`: 0 to log 2.
    rest: entropy of all classes with the two averaged into one, `f32[N]`.
  """

  between: jax.Array
  rest: jax.Array

  @property
  def confusion(self) -> jax.Array:
    """`between` less `rest`: large where it is these two or nothing."""
    return self.between - self.rest


@jax.jit
def decision_entropies(logits: jax.Array, hierarchy: Hierarchy) -> jax.Array:
  """Entropy of each node's decision, whether it is reached or not.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.

  Returns:
    `f32[N, V]`; 0 for classes and for nodes with one child.

  Raises:
    ValueError: the logits are of another number of classes.
  """
  steps = decision_log_probs(logits, hierarchy)
  # The root is nobody's child: its own 0 goes to the last node.
  parents = jnp.asarray(hierarchy.parents)
  return jnp.zeros_like(steps).at[..., parents].add(_entropy_terms(steps))


def path_entropy(
  logits: jax.Array,
  hierarchy: Hierarchy,
  classes: jax.Array | None = None,
  *,
  max_depth: int | None = None,
) -> jax.Array:
  """The largest less the smallest entropy of the decisions on a path.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.
    classes: where the paths end, `i32[N]`; the soft predictions by default.
    max_depth: as of `fbnax.nbdt.decisions`.

  Returns:
    `f32[N]`; 0 for a path of one decision.

  Raises:
    ValueError: as `fbnax.nbdt.decisions`.
  """
  if max_depth is None:
    max_depth = longest_path(hierarchy)
  return _path_entropy(logits, hierarchy, classes, max_depth)


@functools.partial(jax.jit, static_argnums=3)
def _path_entropy(
  logits: jax.Array,
  hierarchy: Hierarchy,
  classes: jax.Array | None,
  max_depth: int,
) -> jax.Array:
  if classes is None:
    classes = soft_predict(logits, hierarchy)
  nodes = decisions(logits, hierarchy, classes, max_depth=max_depth).nodes
  entropies = decision_entropies(logits, hierarchy)
  on_path = jnp.take_along_axis(entropies, jnp.maximum(nodes, 0), axis=-1)
  deciding = (nodes >= 0) & _decides(hierarchy)[jnp.maximum(nodes, 0)]
  largest = jnp.where(deciding, on_path, -jnp.inf).max(-1)
  smallest = jnp.where(deciding, on_path, jnp.inf).min(-1)
  return largest - smallest


def top_two_entropy(logits: jax.Array) -> TopTwo:
  """The measure of a plain network that Figure 5.6 sets beside path entropy.

  The two likeliest classes are averaged into one as the figure says: the mean
  of their probabilities stands for both, and all are divided by their sum.

  Args:
    logits: `f32[N, K]`, of two classes or more.

  Raises:
    ValueError: fewer than two classes.
  """
  logits = jnp.asarray(logits)
  if not logits.ndim or logits.shape[-1] < 2:
    raise ValueError(
      f"logits has shape {logits.shape}; legal: [..., K] with two classes or "
      f"more"
    )
  return _top_two(logits)


@jax.jit
def _top_two(logits: jax.Array) -> TopTwo:
  z = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
  probabilities = jax.nn.softmax(z)
  ordered = -jnp.sort(-probabilities, axis=-1)
  two = ordered[..., :2]
  averaged = jnp.concatenate(
    [two.mean(-1, keepdims=True), ordered[..., 2:]], axis=-1
  )
  return TopTwo(_entropy(two), _entropy(averaged))


def ambiguous_labels(
  logits: jax.Array,
  hierarchy: Hierarchy,
  count: int,
  *,
  max_depth: int | None = None,
) -> tuple[jax.Array, jax.Array]:
  """The samples of the largest path entropy, whose labels deserve a look.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes.
    count: how many; of fewer samples all.
    max_depth: as of `fbnax.nbdt.decisions`.

  Returns:
    Numbers of the samples, `i32[count]`, and their path entropies,
    `f32[count]`, the largest first.

  Raises:
    ValueError: as `fbnax.nbdt.decisions`, or `count` is less than 1.
  """
  if count < 1:
    raise ValueError(f"count is {count}; legal: 1 or more")
  entropies = path_entropy(logits, hierarchy, max_depth=max_depth).reshape(-1)
  values, places = lax.top_k(entropies, min(count, entropies.shape[0]))
  return places, values


def _decides(hierarchy: Hierarchy) -> jax.Array:
  """Whether each node has two or more children, `bool[V]`."""
  parents = jnp.asarray(hierarchy.parents)
  below = jnp.zeros_like(parents).at[parents].add(jnp.where(parents < 0, 0, 1))
  return below > 1


def _entropy(values: jax.Array) -> jax.Array:
  """Entropy of values divided by their sum, over the last axis."""
  shares = values / values.sum(-1, keepdims=True)
  # A share that underflows is certain not to happen: 0 log 0 is 0.
  logs = jnp.log(jnp.where(shares > 0, shares, 1.0))
  return -(shares * logs).sum(-1)


def _entropy_terms(log_probs: jax.Array) -> jax.Array:
  """- p log p."""
  return -jnp.exp(log_probs) * log_probs
