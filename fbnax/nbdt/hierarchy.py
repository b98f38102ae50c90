"""Hierarchies: immutable trees over classes, as flat arrays.

Nodes are numbered classes first, `0` to `K - 1`, then inner nodes `K`, `K + 1`,
.... A hierarchy is a pytree of integer arrays, so functions of it are compiled
once for all trees with as many nodes, and one that is induced anew in training
costs no compilation. Names are not part of the pytree: a hierarchy that comes
back out of a compiled function has none. Outside of one it is also hashable,
equal to another with the same children and names.

Symbols: `K` classes, `M` inner nodes, `V = K + M` nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from fbnax.nbdt import files
from fbnax.nbdt.checking import checked_children
from fbnax.nbdt.merging import merged
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
    lists, root = checked_children(children, num_classes)
    sizes = [len(nodes) for nodes in lists]
    classes = 1 + sum(sizes) - len(lists)
    parents = np.full(classes + len(lists), -1, np.int32)
    for i, nodes in enumerate(lists):
      parents[nodes] = classes + i
    merges, rows = merged(lists, root)
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
    found = []
    while node >= 0:
      found.append(node)
      node = int(self.parents[node])
    return found[::-1]

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


def _decisions(lists: list[list[int]], classes: int, root: int) -> np.ndarray:
  """Nodes with two or more children on the path to each class, `i32[K]`."""
  found = np.zeros(classes + len(lists), np.int32)
  waiting = [root]
  while waiting:
    node = waiting.pop()
    if node >= classes:
      below = lists[node - classes]
      found[below] = found[node] + (len(below) > 1)
      waiting.extend(below)
  return found[:classes]
