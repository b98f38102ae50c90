"""What makes child lists a tree over classes, each fault with its message.

A class or node with two parents is refused: equation 5.1 of Wan 2022 is a
product over the one path from the root to a class, and with two paths the
"probabilities" no longer sum to one. A node with one child is legal and kept,
as published hierarchies may hold some: its decision is certain, so it changes
no probability, and it counts as no decision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnax.base.json_values import shown


def checked_children(
  children: Sequence[Sequence[int]], num_classes: int | None
) -> tuple[list[list[int]], int]:
  """The child lists as plain integers, and the root.

  Args:
    children: the children of each inner node `K`, `K + 1`, ....
    num_classes: `K`, or None to infer it.

  Raises:
    ValueError: they are no tree over the classes `0` to `K - 1`.
  """
  lists = [_integers(i, nodes) for i, nodes in enumerate(children)]
  if not lists:
    raise ValueError(
      "children is empty; legal: at least one node over at least two classes"
    )
  found: dict[int, int] = {}
  for i, nodes in enumerate(lists):
    for node in nodes:
      if node in found:
        where = f"children[{found[node]}] and children[{i}]"
        if found[node] == i:
          where = f"children[{i}], twice"
        raise ValueError(
          f"node {node} is a child in {where}; legal: one parent each, because "
          f"a path probability needs one path to each class"
        )
      found[node] = i
  # Every node but the root is a child, so a tree's counts give its classes.
  inferred = max(len(found), *found) + 1 - len(lists)
  if num_classes is None:
    try:
      return lists, _root(lists, found, inferred)
    except ValueError as error:
      raise ValueError(
        f"{error} (num_classes is not given; the lists look like {inferred})"
      ) from None
  return lists, _root(lists, found, num_classes)


def _root(lists: list[list[int]], found: dict[int, int], classes: int) -> int:
  """The root of lists whose nodes are the children of one node each."""
  if classes < 2:
    raise ValueError(
      f"the children are of {classes} classes; legal: at least 2, as one class "
      f"leaves nothing to decide"
    )
  total = classes + len(lists)
  for node, i in found.items():
    if not 0 <= node < total:
      raise ValueError(
        f"children[{i}] has node {node}; legal: 0 to {total - 1}, as there are "
        f"{classes} classes and {len(lists)} inner nodes"
      )
  _check_cycles(lists, found, classes)
  orphans = [node for node in range(total) if node not in found]
  missing = [node for node in orphans if node < classes]
  if missing:
    raise ValueError(
      f"class {missing[0]} is under no node ({len(missing)} of {classes} "
      f"are not); legal: each class once"
    )
  if len(orphans) > 1:
    raise ValueError(
      f"nodes {shown(orphans)} have no parent; legal: one root, above all"
      " others"
    )
  return orphans[0]


def _integers(i: int, nodes: Sequence[int]) -> list[int]:
  values = np.asarray(nodes)
  if values.ndim != 1 or not values.size:
    raise ValueError(
      f"children[{i}] is {nodes!r}; legal: a list of one or more node numbers"
    )
  if not np.issubdtype(values.dtype, np.integer):
    raise ValueError(f"children[{i}] is {nodes!r}; legal: whole numbers")
  return [int(node) for node in values]


def _check_cycles(
  lists: list[list[int]], parent: dict[int, int], classes: int
) -> None:
  ended = [False] * len(lists)
  for start in range(len(lists)):
    walk: list[int] = []
    inside: set[int] = set()
    inner: int | None = start
    while inner is not None and not ended[inner]:
      if inner in inside:
        cycle = [classes + i for i in walk[walk.index(inner) :]]
        raise ValueError(
          f"nodes {shown(cycle[::-1])} are each under the one before, in a"
          " cycle; legal: a tree"
        )
      walk.append(inner)
      inside.add(inner)
      inner = parent.get(classes + inner)
    for i in walk:
      ended[i] = True
