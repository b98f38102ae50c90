"""Names of inner nodes from the classes under them.

Symbols: `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fbnax.nbdt.hierarchy import Hierarchy

_SHOWN = 3  # Classes that a name spells out before it counts the others.


def by_leaves(
  hierarchy: Hierarchy, class_names: Sequence[str]
) -> tuple[str, ...]:
  """A name per node; an inner node's lists its first classes: `cat, dog +4`.

  Args:
    hierarchy: over `K` classes.
    class_names: `K` names.

  Returns:
    `V` names, `K` of them as given. Only a node and its only child have the
    same name: of two nodes that begin with the same class one is in the other.

  Raises:
    ValueError: another number of names, or names that repeat.
  """
  names = checked_names(hierarchy, class_names)
  # Once for all nodes, which `leaves` would sort one by one.
  order = np.argsort(np.asarray(hierarchy.merges.positions))
  rows = np.asarray(hierarchy.rows)[hierarchy.num_classes :]
  starts = np.asarray(hierarchy.merges.first)[rows]
  counts = leaf_counts(hierarchy)[hierarchy.num_classes :]
  listed = [
    _listed([names[leaf] for leaf in order[a : a + min(n, _SHOWN + 1)]], n)
    for a, n in zip(starts, counts, strict=True)
  ]
  return (*names, *listed)


def leaf_counts(hierarchy: Hierarchy) -> np.ndarray:
  """How many classes are under each node, `i32[V]`."""
  return np.asarray(hierarchy.merges.counts)[np.asarray(hierarchy.rows)]


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
  """Names as text, those that repeat with their class's number behind."""
  texts = [str(name) for name in names]
  return tuple(
    f"{name} ({k})" if texts.count(name) > 1 else name
    for k, name in enumerate(texts)
  )


def checked_names(
  hierarchy: Hierarchy, class_names: Sequence[str] | None
) -> list[str]:
  """Names of the classes; by default the hierarchy's labels, else numbers.

  Raises:
    ValueError: another number of names than classes, or names that repeat.
  """
  classes = hierarchy.num_classes
  if class_names is None:
    labels = (hierarchy.labels or ())[:classes]
    # A data set may call two classes by one word (ImageNet's "crane").
    unique = len(set(labels)) == classes
    return list(labels) if unique else [str(i) for i in range(classes)]
  names = [str(name) for name in class_names]
  if len(names) != classes:
    raise ValueError(
      f"class_names has {len(names)} names; legal: {classes}, one a class"
    )
  repeated = sorted(name for name, n in Counter(names).items() if n > 1)
  if repeated:
    raise ValueError(
      f"class_names repeats {repeated[0]!r} ({len(repeated)} such names); "
      f"legal: each once, as a path must say which class it leads to"
    )
  return names


def given_labels(
  hierarchy: Hierarchy, class_names: Sequence[str]
) -> dict[int, str]:
  """The labels that somebody gave to inner nodes, by node.

  An id is no label, and neither is what `by_leaves` made of other names than
  `class_names`.

  Args:
    hierarchy: over `K` classes, with labels or without.
    class_names: `K` names.
  """
  labels, classes = hierarchy.labels, hierarchy.num_classes
  if labels is None:
    return {}
  ids = hierarchy.ids or ("",) * len(labels)
  made = by_leaves(hierarchy, distinct_names(labels[:classes]))
  still = by_leaves(hierarchy, class_names)
  return {
    node: labels[node]
    for node in range(classes, len(labels))
    if labels[node] not in ("", ids[node])
    and (labels[node] != made[node] or made[node] == still[node])
  }


def _listed(names: list[str], count: int) -> str:
  """The first of so many names, and how many there are besides."""
  if count <= _SHOWN + 1:
    return ", ".join(names)
  return f"{', '.join(names[:_SHOWN])} +{count - _SHOWN}"


def all_names(
  hierarchy: Hierarchy, names: Sequence[str] | None
) -> tuple[str, ...]:
  """Names of all nodes, from those of the classes or of all.

  Args:
    hierarchy: over `K` classes.
    names: `K` or `V` names. By default, and for inner nodes where `K` are
      given, the hierarchy's labels, and where it has none inner nodes are named
      by their leaves.

  Raises:
    ValueError: another number of names, or classes' names that repeat.
  """
  if names is not None and len(names) == hierarchy.num_nodes:
    of_classes = checked_names(hierarchy, names[: hierarchy.num_classes])
    return (*of_classes, *map(str, names[hierarchy.num_classes :]))
  of_classes = checked_names(hierarchy, names)
  if hierarchy.labels is not None:
    return (*of_classes, *hierarchy.labels[hierarchy.num_classes :])
  return by_leaves(hierarchy, of_classes)
