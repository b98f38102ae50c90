"""All analyses of a tree on labelled images, as `result.json` has them.

Symbols: `N` images, `K` classes, `V` nodes.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from fbnax import nbdt
from fbnax.base import ranks
from fbnax.jobs.nbdt.result import (
  Ambiguous,
  DividedClasses,
  Errors,
  NodeExamples,
  PathStep,
  Shown,
  Traversals,
  Tree,
  TreeAnalyses,
)
from fbnax.jobs.runtime.pictures import png
from fbnax.jobs.runtime.trees import explaining, measuring
from fbnax.jobs.runtime.trees.explaining import Seen, names
from fbnax.jobs.runtime.trees.unseen import HeldOut
from fbnax.nbdt.naming import leaf_counts

# Shown: ambiguous images, examples of a node, nodes that have examples.
_AMBIGUOUS, _EXAMPLES, _NODES = 12, 6, 16


def described(kind: str, hierarchy: nbdt.Hierarchy) -> Tree:
  """The tree itself, of a kind as `config.tree.hierarchy`."""
  return Tree(
    kind=kind,
    num_classes=hierarchy.num_classes,
    depth=hierarchy.depth,
    children=tuple(map(tuple, hierarchy.children)),
    labels=tuple(hierarchy.labels or ()),
  )


def analyse(
  seen: Seen,
  hierarchy: nbdt.Hierarchy,
  weights: Any = None,
  unseen: HeldOut | None = None,
  unseen_logits: Any = None,
) -> TreeAnalyses:
  """Accuracy by node, ambiguous images, traversals, examples, unseen classes.

  Args:
    seen: outputs on images of seen classes.
    hierarchy: over `K` classes, named.
    weights: of the last layer, `f32[K, D]`.
    unseen: images of held-out classes, or None.
    unseen_logits: on these, `f32[n, K]`.
  """
  divided = None
  if unseen is not None:
    divider = nbdt.divider(hierarchy, unseen.of_seen)
    divided = DividedClasses(
      **vars(measuring.superclasses(unseen_logits, unseen, hierarchy)),
      node_children=None if divider is None else divider.children,
    )
  return TreeAnalyses(
    nodes=explaining.nodes(seen, hierarchy),
    ambiguous=_ambiguous(seen, hierarchy),
    examples=_examples(seen, hierarchy, weights),
    traversals=_traversals(seen, hierarchy, unseen, unseen_logits),
    unseen=divided,
  )


def _ambiguous(seen: Seen, hierarchy: nbdt.Hierarchy) -> Ambiguous:
  """The most ambiguous images by the tree, and by the plain network."""
  z = jnp.asarray(seen.logits)
  by_tree = np.asarray(nbdt.path_entropy(z, hierarchy))
  two = nbdt.top_two_entropy(z)
  by_network = np.asarray(two.confusion)
  tree_says = np.asarray(nbdt.soft_predict(z, hierarchy))
  network_says = np.asarray(z.argmax(-1))
  errors = None
  if seen.labels is not None:
    wrong, network_wrong = (
      says != seen.labels for says in (tree_says, network_says)
    )
    errors = Errors(
      tree=int(wrong.sum()),
      path_entropy=ranks.area_under_curve(by_tree, wrong),
      top_two_entropy=ranks.area_under_curve(two.between, network_wrong),
      confusion=ranks.area_under_curve(by_network, network_wrong),
    )
  return Ambiguous(
    _listed(seen, hierarchy, by_tree, tree_says),
    _listed(seen, hierarchy, by_network, network_says),
    errors,
  )


def _listed(
  seen: Seen, hierarchy: nbdt.Hierarchy, scores: np.ndarray, says: np.ndarray
) -> tuple[Shown, ...]:
  chosen = np.argsort(-scores, kind="stable")[:_AMBIGUOUS]
  steps = nbdt.decisions(
    jnp.asarray(seen.logits[chosen]), hierarchy, jnp.asarray(says[chosen])
  )
  labels = names(hierarchy)
  rows = []
  for place, index in enumerate(chosen):
    path = zip(
      np.asarray(steps.nodes)[place][1:],
      np.asarray(steps.probabilities)[place][1:],
      strict=True,
    )
    rows.append(
      Shown(
        **_image(seen, labels, index),
        predicted=labels[int(says[index])],
        score=float(scores[index]),
        path=tuple(
          PathStep(labels[node], float(share))
          for node, share in path
          if node >= 0
        ),
      )
    )
  return tuple(rows)


def _image(seen: Seen, labels: tuple[str, ...], index: int) -> dict[str, Any]:
  """Index, label and picture of an image."""
  return {
    "index": int(index),
    "label": None if seen.labels is None else labels[int(seen.labels[index])],
    "png": None if seen.images is None else png(seen.images[index]),
  }


def _examples(
  seen: Seen, hierarchy: nbdt.Hierarchy, weights: Any
) -> tuple[NodeExamples, ...]:
  """Images most similar to the nodes of the most classes."""
  if seen.images is None:
    return ()
  options = {}
  if seen.features is not None and weights is not None:
    options = {"features": seen.features, "weights": weights}
  similar = np.asarray(
    nbdt.similar_examples(
      jnp.asarray(seen.logits), hierarchy, _EXAMPLES, **options
    )
  )
  labels, counts = names(hierarchy), leaf_counts(hierarchy)
  inner = range(hierarchy.num_classes, hierarchy.num_nodes)
  largest = sorted(inner, key=lambda node: (-counts[node], node))
  return tuple(
    NodeExamples(
      node,
      labels[node],
      tuple(Shown(**_image(seen, labels, i)) for i in similar[node]),
    )
    for node in largest[:_NODES]
  )


def _traversals(
  seen: Seen,
  hierarchy: nbdt.Hierarchy,
  unseen: HeldOut | None,
  unseen_logits: Any,
) -> Traversals | None:
  """Shares of each class's images that pass each node by hard decisions."""
  if seen.labels is None or hierarchy.num_nodes > 200:
    return None  # A table of that size shows nothing.
  groups: list[str] = list(names(hierarchy)[: hierarchy.num_classes])
  logits: list[Any] = [seen.logits]
  numbers: list[Any] = [seen.labels]
  if unseen is not None:
    groups += unseen.classes
    logits.append(unseen_logits)
    numbers.append(unseen.labels + hierarchy.num_classes)
  ends = nbdt.hard_predict(jnp.asarray(np.concatenate(logits)), hierarchy)
  shares = nbdt.traversals(
    ends, hierarchy, jnp.asarray(np.concatenate(numbers)), len(groups)
  )
  order = _from_left(hierarchy)
  return Traversals(
    groups=tuple(groups),
    unseen=0 if unseen is None else len(unseen.classes),
    nodes=tuple(order),
    shares=tuple(map(tuple, np.asarray(shares, np.float64)[:, order].tolist())),
  )


def _from_left(hierarchy: nbdt.Hierarchy) -> list[int]:
  """All nodes but the root, parents first, from left to right."""
  nodes: list[int] = []
  waiting: list[int] = [hierarchy.root]
  children = hierarchy.children
  while waiting:
    node = waiting.pop()
    nodes.append(node)
    if node >= hierarchy.num_classes:
      waiting.extend(reversed(children[node - hierarchy.num_classes]))
  return nodes[1:]
