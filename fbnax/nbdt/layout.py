"""Where the nodes of a drawn tree stand, and which are opened.

The root is on the left, children are on the right of their node, and each leaf
or closed node has a row of its own, from top to bottom.

Symbols: `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.naming import leaf_counts


class Place(NamedTuple):
  """Column and row of a node that is shown; rows of inner nodes lie between."""

  column: int
  row: float


def opened(hierarchy: Hierarchy, rows: int) -> list[int]:
  """The inner nodes to open so that about so many rows are shown.

  The root is always open; after it, of the closed nodes that are shown the one
  with the most classes, as long as there is room.

  Args:
    hierarchy: the tree.
    rows: the most rows, where the root's children are not more.

  Returns:
    Nodes, from the root down.
  """
  children = hierarchy.children
  classes = hierarchy.num_classes
  counts = leaf_counts(hierarchy).tolist()
  found: list[int] = []
  waiting = [(-counts[hierarchy.root], hierarchy.root)]
  shown = 1
  while waiting:
    _, node = heapq.heappop(waiting)
    below = children[node - classes]
    if found and shown + len(below) - 1 > rows:
      continue
    found.append(node)
    shown += len(below) - 1
    for child in below:
      if child >= classes:
        heapq.heappush(waiting, (-counts[child], child))
  return found


def places(hierarchy: Hierarchy, open_nodes: list[int]) -> dict[int, Place]:
  """Where each shown node stands, in the order from top to bottom."""
  children = hierarchy.children
  classes = hierarchy.num_classes
  inside = set(open_nodes)
  found: dict[int, Place] = {}
  row = 0

  # Depth first with a stack of its own: chains are deeper than Python's.
  waiting = [(hierarchy.root, 0, False)]
  while waiting:
    node, column, done = waiting.pop()
    if node not in inside:
      found[node] = Place(column, float(row))
      row += 1
    elif done:
      below = children[node - classes]
      middle = (found[below[0]].row + found[below[-1]].row) / 2
      found[node] = Place(column, middle)
    else:
      waiting.append((node, column, True))
      below = children[node - classes]
      waiting += [(child, column + 1, False) for child in reversed(below)]
  return found
