"""What a tree says of classes that it was not trained on.

Table 5.6 and Figure 5.9 of Wan 2022: a sample of an unseen class is asked for
its superclass (an unseen deer should be an animal and no vehicle). The tree
answers with the decision of the node that tells the superclasses apart, or,
where no single node does, with the path probabilities of the seen classes of
each. The plain network answers with the superclass of the class it predicts.

All functions of logits jit and vmap.

Symbols: `N` samples, standing for any leading dimensions, `K` classes, `V`
nodes, `S` superclasses. A superclass of -1 is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.inference import decision_log_probs, path_log_probs


class Divider(NamedTuple):
  """A node that tells superclasses apart.

  Attributes:
    node: its number.
    children: superclass of each of its children, in their order.
  """

  node: int
  children: tuple[int, ...]


def divider(
  hierarchy: Hierarchy, superclasses: Sequence[int] | np.ndarray
) -> Divider | None:
  """The node whose children each hold classes of one superclass alone.

  It is the lowest node above all classes that have one. Not under jit.

  Args:
    hierarchy: over `K` classes.
    superclasses: of each class, `i32[K]`; classes of -1 may be anywhere.

  Returns:
    None if the tree mixes the superclasses there.

  Raises:
    ValueError: not one superclass for each class, or fewer than two.
  """
  of_class = _checked(hierarchy, superclasses)
  named = set(np.flatnonzero(of_class >= 0).tolist())
  node = hierarchy.root
  while True:
    below = hierarchy.children[node - hierarchy.num_classes]
    held = [named & set(hierarchy.leaves(child)) for child in below]
    if named not in held:
      break
    node = below[held.index(named)]
  kinds_below = [{int(of_class[leaf]) for leaf in leaves} for leaves in held]
  if any(len(kinds) > 1 for kinds in kinds_below):
    return None
  return Divider(node, tuple(next(iter(kinds), -1) for kinds in kinds_below))


def node_predict(
  logits: jax.Array, hierarchy: Hierarchy, node: int
) -> jax.Array:
  """Which child a node's decision takes, `f32[N, K]` to `i32[N]`.

  Returns:
    The place of the child among the node's children.

  Raises:
    ValueError: the node is a class, or there is none of that number.
  """
  classes = hierarchy.num_classes
  if not classes <= node < hierarchy.num_nodes:
    raise ValueError(
      f"node is {node}; legal: an inner node, {classes} to "
      f"{hierarchy.num_nodes - 1}"
    )
  below = np.asarray(hierarchy.children[node - classes])
  steps = decision_log_probs(logits, hierarchy)[..., below]
  return jnp.argmax(steps, axis=-1).astype(jnp.int32)


def hypothesis_accuracy(
  logits: jax.Array, hierarchy: Hierarchy, node: int, child: int
) -> jax.Array:
  """Share of samples that a node passes to the child it was supposed to.

  The four-step test of section 5.6: samples of an unseen class go through the
  node, and the hypothesis says through which child they should leave.

  Args:
    logits: of samples of unseen classes, `f32[N, K]`.
    hierarchy: over the `K` seen classes.
    node: the node under test.
    child: the hypothesised child, a node.

  Returns:
    `f32[]`.

  Raises:
    ValueError: the node is a class, or the child none of its children.
  """
  taken = node_predict(logits, hierarchy, node)
  below = hierarchy.children[node - hierarchy.num_classes]
  if child not in below:
    raise ValueError(f"child is {child}; legal: {below}, of node {node}")
  return (taken == below.index(child)).mean()


def superclass_log_probs(
  logits: jax.Array,
  hierarchy: Hierarchy | None,
  superclasses: Sequence[int] | np.ndarray,
) -> jax.Array:
  """Log of the summed probabilities of each superclass's classes.

  Args:
    logits: `f32[N, K]`.
    hierarchy: over `K` classes; None for the plain network's softmax.
    superclasses: of each class, `i32[K]`.

  Returns:
    `f32[N, S]`, not normalised where some classes have none.

  Raises:
    ValueError: the shapes do not fit, or fewer than two superclasses.
  """
  if hierarchy is None:
    log_probs = jax.nn.log_softmax(jnp.asarray(logits, jnp.float32))
    of_class = np.asarray(superclasses)
    if of_class.shape != log_probs.shape[-1:]:
      raise ValueError(
        f"superclasses has shape {of_class.shape}; legal: "
        f"({log_probs.shape[-1]},), one a class"
      )
  else:
    of_class = _checked(hierarchy, superclasses)
    log_probs = path_log_probs(logits, hierarchy)
  parts = [
    jax.nn.logsumexp(log_probs[..., np.flatnonzero(of_class == kind)], axis=-1)
    for kind in range(int(of_class.max()) + 1)
  ]
  return jnp.stack(parts, axis=-1)


def tree_superclass(
  logits: jax.Array,
  hierarchy: Hierarchy,
  superclasses: Sequence[int] | np.ndarray,
) -> jax.Array:
  """The superclass that a tree sees, `f32[N, K]` to `i32[N]`.

  By the decision of the node that tells them apart where there is one, else by
  the sums of path probabilities.

  Raises:
    ValueError: as `superclass_log_probs`.
  """
  dividing = divider(hierarchy, superclasses)
  if dividing is None:
    sums = superclass_log_probs(logits, hierarchy, superclasses)
    return jnp.argmax(sums, axis=-1).astype(jnp.int32)
  taken = node_predict(logits, hierarchy, dividing.node)
  return jnp.asarray(dividing.children, jnp.int32)[taken]


def plain_superclass(
  logits: jax.Array,
  superclasses: Sequence[int] | np.ndarray,
  *,
  within: bool = False,
) -> jax.Array:
  """The superclass of the class that the plain network predicts, `i32[N]`.

  Args:
    logits: `f32[N, K]`.
    superclasses: of each class, `i32[K]`, -1 for none.
    within: the class is chosen among those that have a superclass, as a tree
      chooses; without it -1 is an answer, which is never right.
  """
  of_class = jnp.asarray(superclasses, jnp.int32)
  scores = jnp.asarray(logits)
  if within:
    scores = jnp.where(of_class >= 0, scores, -jnp.inf)
  return of_class[jnp.argmax(scores, axis=-1)]


def _checked(
  hierarchy: Hierarchy, superclasses: Sequence[int] | np.ndarray
) -> np.ndarray:
  of_class = np.asarray(superclasses)
  if of_class.shape != (hierarchy.num_classes,):
    raise ValueError(
      f"superclasses has shape {of_class.shape}; legal: "
      f"({hierarchy.num_classes},), one a class"
    )
  if not np.issubdtype(of_class.dtype, np.integer):
    raise ValueError(
      f"superclasses has dtype {of_class.dtype}; legal: integers, -1 for none"
    )
  kinds = set(of_class[of_class >= 0].tolist())
  if len(kinds) < 2 or kinds != set(range(len(kinds))):
    raise ValueError(
      f"superclasses has {sorted(kinds)}; legal: all of 0 to S - 1, two or more"
    )
  return of_class
