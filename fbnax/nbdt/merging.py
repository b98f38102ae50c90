"""A tree as pairwise merges, the form that `fbnax.ops.tree` computes in.

A node with many children becomes a balanced tree of merges of neighbours, the
last of which is the node; a node with one child has its child's row. So every
tree of `K` classes is `K - 1` merges, and programs are compiled once for all.

Symbols: `K` classes, `R = 2 K - 1` rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnax.ops.tree import Merges


def merged(
  children: Sequence[Sequence[int]], root: int
) -> tuple[Merges, np.ndarray]:
  """The merges of a tree, and the row of each of its nodes.

  Args:
    children: the children of each inner node `K`, `K + 1`, ...; a valid tree.
    root: the node without a parent.

  Returns:
    The merges, and `i32[nodes]`.
  """
  nodes = 1 + sum(map(len, children))
  classes = nodes - len(children)
  rows = np.arange(nodes, dtype=np.int32)
  left: list[int] = []
  right: list[int] = []
  parents = np.zeros(2 * classes - 1, np.int32)
  deciders = np.zeros(2 * classes - 1, np.int32)
  decided = np.zeros(2 * classes - 1, bool)
  positions = np.zeros(classes, np.int32)
  order = _depth_first(children, classes, root)
  seen = 0
  for node in order:
    if node < classes:
      positions[node] = seen
      seen += 1
      continue
    outcomes = [int(rows[child]) for child in children[node - classes]]
    start = classes + len(left)
    parts = outcomes
    while len(parts) > 1:
      pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
      parts = []
      for pair in pairs:
        if len(pair) == 2:
          row = classes + len(left)
          parents[pair] = row
          left.append(pair[0])
          right.append(pair[1])
          parts.append(row)
        else:
          parts.extend(pair)
    rows[node] = parts[0]
    if len(outcomes) > 1:
      decided[outcomes] = True
      deciders[outcomes] = parts[0]
      deciders[start : parts[0]] = parts[0]
  parents[-1] = deciders[-1] = 2 * classes - 2
  counts = np.ones(2 * classes - 1, np.int32)
  first = np.concatenate([positions, np.zeros(classes - 1, np.int32)])
  for i, (a, b) in enumerate(zip(left, right, strict=True)):
    counts[classes + i] = counts[a] + counts[b]
    first[classes + i] = first[a]
  merges = Merges(
    np.asarray(left, np.int32),
    np.asarray(right, np.int32),
    parents,
    deciders,
    decided,
    counts,
    first,
    positions,
  )
  return merges, rows


def _depth_first(
  children: Sequence[Sequence[int]], classes: int, root: int
) -> list[int]:
  """All nodes, children from left to right before their parent."""
  # Parents first from right to left, turned around.
  order, waiting = [], [root]
  while waiting:
    node = waiting.pop()
    order.append(node)
    if node >= classes:
      waiting.extend(children[node - classes])
  return order[::-1]
