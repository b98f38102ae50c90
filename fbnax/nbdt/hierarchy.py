"""Hierarchies: immutable trees over classes, as flat arrays.

Nodes are numbered classes first, `0` to `K - 1`, then inner nodes `K`, `K + 1`,
.... A hierarchy is a pytree of integer arrays, so functions of it are compiled
once for all trees with as many nodes, and one that is induced anew in training
costs no compilation. Names are not part of the pytree: a hierarchy that comes
back out of a compiled function has none. Outside of one it is also hashable,
equal to another with the same children and names.

A class or node with two parents is refused: equation 5.1 of Wan 2022 is a
product over the one path from the root to a class, and with two paths the
"probabilities" no longer sum to one. A node with one child is legal and kept,
as published hierarchies may hold some: its decision is certain, so it changes
no probability, and it counts as no decision.

`fbnax.ops.tree` computes in pairwise merges: a node with many children becomes
a balanced tree of merges of neighbours, the last of which is the node; a node
with one child has its child's row. So every tree of `K` classes is `K - 1`
merges, and programs are compiled once for all.

Symbols: `K` classes, `M` inner nodes, `V = K + M` nodes, `R = 2 K - 1` rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from fbnax.base.json_values import shown
from fbnax.nbdt import files
from fbnax.ops.tree import Merges


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class Hierarchy:
  """A tree over classes; made by the functions `from_children` to `load`.

  Attributes:
    parents: the parent of each node, `i32[V]`; -1 for the root.
    starts: where each inner node's children start in `flat`, `i32[M + 1]`.
    flat: the children of all inner nodes, `i32[V - 1]`.
    decisions: nodes with two or more children above each class, `i32[K]`.
    merges: the form that inference computes in.
    rows: the row of `merges` of each node, `i32[V]`.
    ids: an id per node (a WordNet id where there is one), or None.
    labels: a name per node, or None.
  """

  parents: Any
  starts: Any
  flat: Any
  decisions: Any
  merges: Merges
  rows: Any
  ids: tuple[str, ...] | None = None
  labels: tuple[str, ...] | None = None

  @classmethod
  def from_children(
    cls,
    children: Sequence[Sequence[int]],
    num_classes: int | None = None,
    *,
    ids: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
  ) -> Hierarchy:
    """Makes a hierarchy of child lists, those of the nodes `K`, `K + 1`, ....

    Args:
      children: one list per inner node, in any order; the root is the node
        that is in none. A node with one child is kept: its decision is certain.
      num_classes: `K`, checked where given, else told by the lists.
      ids: an id per node.
      labels: a name per node; names may repeat.

    Raises:
      ValueError: the lists are no tree: a cycle, two roots, a class that is
        missing or that has two parents, another number of classes.
    """
    lists, root = _checked_children(children, num_classes)
    sizes = [len(nodes) for nodes in lists]
    classes = 1 + sum(sizes) - len(lists)
    parents = np.full(classes + len(lists), -1, np.int32)
    for i, nodes in enumerate(lists):
      parents[nodes] = classes + i
    merges, rows = _merged(lists, root)
    arrays = (
      parents,
      np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
      np.concatenate([np.asarray(nodes, np.int32) for nodes in lists]),
      _decisions(lists, classes, root),
      merges,
      rows,
    )
    for array in jax.tree.leaves(arrays):
      array.flags.writeable = False
    for name, values in (("ids", ids), ("labels", labels)):
      if values is not None and len(values) != len(parents):
        raise ValueError(
          f"{name} has {len(values)} entries; legal: {len(parents)}, one a node"
        )
    if ids is not None and len(set(ids)) != len(ids):
      raise ValueError("ids repeats an id; legal: each once")
    return cls(
      *arrays,
      None if ids is None else tuple(ids),
      None if labels is None else tuple(labels),
    )

  @classmethod
  def from_linkage(cls, linkage: np.ndarray) -> Hierarchy:
    """Makes a hierarchy of a SciPy linkage matrix, `[K - 1, 4]`.

    Raises:
      ValueError: the matrix is none of SciPy's.
    """
    linkage = np.asarray(linkage)
    if linkage.ndim != 2 or linkage.shape[1] != 4 or not len(linkage):
      raise ValueError(
        f"linkage has shape {linkage.shape}; legal: [K - 1, 4], as of "
        f"scipy.cluster.hierarchy.linkage"
      )
    pairs = linkage[:, :2]
    if not np.array_equal(pairs, np.round(pairs)):
      raise ValueError("linkage's first two columns must be whole numbers")
    return cls.from_children(pairs.astype(np.int64).tolist(), len(linkage) + 1)

  @classmethod
  def load(
    cls,
    path: files.Pathlike,
    wnids: Sequence[str] | files.Pathlike | None = None,
    *,
    class_names: Sequence[str] | None = None,
  ) -> Hierarchy:
    """Reads node-link JSON, with the key `links` or `edges`.

    Args:
      path: the file.
      wnids: the id of each class in order, a list or a file with one a line.
        Without it the order is the one that `save` wrote, else that of the
        leaves in the file, which published files do not promise to be the
        data set's.
      class_names: of the data set's classes, in order. Where the leaves' ids
        or labels are these, the classes are known by them and come in this
        order; else `wnids` or the file must give it.

    Raises:
      ValueError: no such file, no tree, one over other classes, or, with
        `class_names`, one whose order is unknown.
    """
    tree = files.read(path, wnids, class_names)
    try:
      return cls.from_children(
        tree.children,
        len(tree.ids) - len(tree.children),
        ids=tree.ids,
        labels=tree.labels,
      )
    except ValueError as error:
      names = ", ".join(f"{i} {name!r}" for i, name in enumerate(tree.ids[:3]))
      raise ValueError(f"{path}: {error} (nodes: {names}, ...)") from None

  def save(
    self,
    path: files.Pathlike,
    wnids: Sequence[str] | files.Pathlike | None = None,
  ) -> None:
    """Writes node-link JSON that `load` and existing NBDT programs read.

    Args:
      path: the file.
      wnids: ids of the classes, in place of the hierarchy's own. Nodes without
        ids get made-up ones, `f00000000` and on.

    Raises:
      ValueError: as many ids as classes are wanted, each once.
    """
    ids = list(self.ids or (f"f{i:08d}" for i in range(self.num_nodes)))
    if wnids is not None:
      order = files.class_ids(wnids)
      if len(order) != self.num_classes:
        raise ValueError(
          f"wnids has {len(order)} ids; legal: {self.num_classes}, one a class"
        )
      ids[: self.num_classes] = order
      if len(set(ids)) != len(ids):
        raise ValueError("wnids repeats an inner node's id; legal: each once")
    labels = self.labels or tuple(ids)
    files.write(path, files.NodeLink(self.children, tuple(ids), labels))

  @property
  def num_classes(self) -> int:
    """`K`."""
    return self.decisions.shape[-1]

  @property
  def num_nodes(self) -> int:
    """`V`, classes and inner nodes."""
    return self.parents.shape[-1]

  @property
  def children(self) -> list[list[int]]:
    """The children of each inner node `K`, `K + 1`, .... Not under jit."""
    flat, starts = np.asarray(self.flat).tolist(), np.asarray(self.starts)
    return [flat[a:b] for a, b in pairwise(starts)]

  @property
  def root(self) -> int:
    """The node without a parent. Not under jit."""
    return int(np.argmin(np.asarray(self.parents)))

  @property
  def depths(self) -> np.ndarray:
    """Edges between the root and each node, `i32[V]`. Not under jit."""
    depths = np.zeros(self.num_nodes, np.int32)
    children, waiting = self.children, [self.root]
    while waiting:
      node = waiting.pop()
      if node >= self.num_classes:
        below = children[node - self.num_classes]
        depths[below] = depths[node] + 1
        waiting.extend(below)
    return depths

  @property
  def depth(self) -> int:
    """Edges on the longest path. Not under jit."""
    return int(self.depths.max())

  def leaves(self, node: int) -> list[int]:
    """The classes under a node, from left to right. Not under jit."""
    if not 0 <= node < self.num_nodes:
      raise ValueError(f"node is {node}; legal: 0 to {self.num_nodes - 1}")
    order = np.argsort(np.asarray(self.merges.positions))
    row = int(self.rows[node])
    start = int(self.merges.first[row])
    return order[start : start + int(self.merges.counts[row])].tolist()

  def path(self, node: int) -> list[int]:
    """The nodes from the root to a node, both included. Not under jit."""
    if not 0 <= node < self.num_nodes:
      raise ValueError(f"node is {node}; legal: 0 to {self.num_nodes - 1}")
    upwards = []
    while node >= 0:
      upwards.append(node)
      node = int(self.parents[node])
    return upwards[::-1]

  def tree_flatten(self) -> tuple[tuple, None]:
    """The arrays; the names stay behind."""
    return tuple(getattr(self, f.name) for f in fields(self)[:6]), None

  @classmethod
  def tree_unflatten(cls, _: None, arrays: tuple) -> Hierarchy:
    """A hierarchy of these arrays, without names."""
    return cls(*arrays)

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Hierarchy):
      return NotImplemented
    return self._key() == other._key()

  def __hash__(self) -> int:
    return hash(self._key())

  def __repr__(self) -> str:
    return f"Hierarchy(num_classes={self.num_classes}, nodes={self.num_nodes})"

  def _key(self) -> tuple:
    arrays = (np.asarray(self.starts), np.asarray(self.flat))
    return (*(a.tobytes() for a in arrays), self.ids, self.labels)


def _checked_children(
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
  parent: dict[int, int] = {}
  for i, nodes in enumerate(lists):
    for node in nodes:
      if node in parent:
        where = f"children[{parent[node]}] and children[{i}]"
        if parent[node] == i:
          where = f"children[{i}], twice"
        raise ValueError(
          f"node {node} is a child in {where}; legal: one parent each, because "
          f"a path probability needs one path to each class"
        )
      parent[node] = i
  # Every node but the root is a child, so a tree's counts give its classes.
  inferred = max(len(parent), *parent) + 1 - len(lists)
  if num_classes is None:
    try:
      return lists, _root(lists, parent, inferred)
    except ValueError as error:
      raise ValueError(
        f"{error} (num_classes is not given; the lists look like {inferred})"
      ) from None
  return lists, _root(lists, parent, num_classes)


def _root(lists: list[list[int]], parent: dict[int, int], classes: int) -> int:
  """The root of lists whose nodes are the children of one node each."""
  if classes < 2:
    raise ValueError(
      f"the children are of {classes} classes; legal: at least 2, as one class "
      f"leaves nothing to decide"
    )
  total = classes + len(lists)
  for node, i in parent.items():
    if not 0 <= node < total:
      raise ValueError(
        f"children[{i}] has node {node}; legal: 0 to {total - 1}, as there are "
        f"{classes} classes and {len(lists)} inner nodes"
      )
  _check_cycles(lists, parent, classes)
  orphans = [node for node in range(total) if node not in parent]
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


def _decisions(lists: list[list[int]], classes: int, root: int) -> np.ndarray:
  """Nodes with two or more children on the path to each class, `i32[K]`."""
  above = np.zeros(classes + len(lists), np.int32)
  waiting = [root]
  while waiting:
    node = waiting.pop()
    if node >= classes:
      below = lists[node - classes]
      above[below] = above[node] + (len(below) > 1)
      waiting.extend(below)
  return above[:classes]


def _merged(
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
