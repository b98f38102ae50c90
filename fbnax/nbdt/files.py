"""Node-link JSON, the form in which existing NBDT users keep hierarchies.

An object with `nodes`, each with an `id` (a WordNet id, or a made-up one) and
perhaps a `label`, and `links` or `edges`, each with `source` and `target`, the
parent and the child. What is written here says in `graph.wnids` in which order
the classes are; published files do not, so give it where it matters.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from fbnax.base import json_values, text
from fbnax.base.files import write_atomically

Pathlike = str | os.PathLike[str]


class NodeLink(NamedTuple):
  """A file's tree: children of the inner nodes, ids and labels of all."""

  children: list[list[int]]
  ids: tuple[str, ...]
  labels: tuple[str, ...]


def read(path: Pathlike, wnids: Sequence[str] | Pathlike | None) -> NodeLink:
  """Reads a tree; nodes are classes first, then inner nodes as in the file.

  Raises:
    ValueError: the file is none of the form, or of other classes.
    OSError: it cannot be read.
  """
  try:
    document = text.read(path)
  except FileNotFoundError:
    raise ValueError(f"{path}: no such hierarchy file") from None
  try:
    graph = json_values.parse(document, "it")
  except ValueError as error:
    raise ValueError(f"{path}: no JSON ({error})") from None
  labels = _nodes(path, graph)
  below: dict[str, list[str]] = {}
  parent: dict[str, str] = {}
  for i, link in enumerate(_links(path, graph)):
    source, target = _ends(path, i, link, labels)
    if target in parent:
      raise ValueError(
        f"{path}: node {target!r} has the parents {parent[target]!r} and "
        f"{source!r}; legal: one, because a path probability needs one path to "
        f"each class: remove one of the links"
      )
    parent[target] = source
    below.setdefault(source, []).append(target)
  leaves = [node for node in labels if node not in below]
  order = _class_order(path, graph, wnids, leaves, below)
  ids = (*order, *below_in_file_order(labels, below))
  number = {node: i for i, node in enumerate(ids)}
  children = [
    [number[child] for child in below[node]] for node in ids[len(order) :]
  ]
  return NodeLink(children, ids, tuple(labels[node] for node in ids))


def below_in_file_order(
  labels: dict[str, str], below: dict[str, list[str]]
) -> list[str]:
  """The inner nodes, in the order of the file's nodes."""
  return [node for node in labels if node in below]


def write(path: Pathlike, tree: NodeLink) -> None:
  """Writes a tree with its class order."""
  classes = len(tree.ids) - len(tree.children)
  pairs = zip(tree.ids, tree.labels, strict=True)
  graph = {
    "directed": True,
    "multigraph": False,
    "graph": {"wnids": list(tree.ids[:classes])},
    "nodes": [{"label": label, "id": node} for node, label in pairs],
    "links": [
      {"source": tree.ids[classes + i], "target": tree.ids[child]}
      for i, children in enumerate(tree.children)
      for child in children
    ],
  }
  write_atomically(path, json.dumps(graph))


def class_ids(wnids: Sequence[str] | Pathlike) -> list[str]:
  """Ids of the classes, from a list or a file with one on each line.

  Raises:
    ValueError: no such file, no text in UTF-8, an empty one, or an id repeats.
    OSError: the file cannot be read.
  """
  where = "wnids"
  if isinstance(wnids, (str, os.PathLike)):
    where = f"wnids: {wnids}"
    try:
      order = text.read(wnids, where).split()
    except FileNotFoundError:
      raise ValueError(f"wnids: no such file: {wnids}") from None
    if not order:
      raise ValueError(f"{where} is empty; legal: an id on each line")
  else:
    order = [str(node) for node in wnids]
  repeated = sorted(node for node, n in Counter(order).items() if n > 1)
  if repeated:
    raise ValueError(f"{where} repeats {repeated[0]!r}; legal: each id once")
  return order


def _nodes(path: Pathlike, graph: Any) -> dict[str, str]:
  nodes = graph.get("nodes") if isinstance(graph, dict) else None
  if not isinstance(nodes, list):
    raise ValueError(f"{path}: no list 'nodes'; legal: node-link JSON")
  labels: dict[str, str] = {}
  for i, node in enumerate(nodes):
    if not isinstance(node, dict) or not _is_id(node.get("id")):
      raise ValueError(f"{path}: nodes[{i}] is {node!r}; legal: has an 'id'")
    name = str(node["id"])
    if name in labels:
      raise ValueError(f"{path}: nodes has {name!r} twice; legal: each id once")
    labels[name] = str(node.get("label", name))
  return labels


def _is_id(value: Any) -> bool:
  return isinstance(value, str | int) and not isinstance(value, bool)


def _links(path: Pathlike, graph: dict) -> list:
  keys = [key for key in ("links", "edges") if isinstance(graph.get(key), list)]
  if len(keys) != 1:
    raise ValueError(
      f"{path}: has the lists {keys}; legal: one of 'links' and 'edges'"
    )
  return graph[keys[0]]


def _ends(
  path: Pathlike, i: int, link: Any, labels: dict[str, str]
) -> tuple[str, str]:
  ends = []
  for key in ("source", "target"):
    node = str(link.get(key)) if isinstance(link, dict) else None
    if node not in labels:
      raise ValueError(
        f"{path}: links[{i}] has {key} {node!r}; legal: an id of 'nodes'"
      )
    ends.append(node)
  return ends[0], ends[1]


def _class_order(
  path: Pathlike,
  graph: dict,
  wnids: Sequence[str] | Pathlike | None,
  leaves: list[str],
  below: dict[str, list[str]],
) -> list[str]:
  if wnids is None:
    kept = graph.get("graph")
    wnids = kept.get("wnids") if isinstance(kept, dict) else None
    if wnids is None:
      return leaves
    # A string would be taken for the path of another file.
    if not isinstance(wnids, list) or not all(map(_is_id, wnids)):
      raise ValueError(
        f"{path}: graph.wnids is {wnids!r:.60}; legal: a list of ids"
      )
  order = class_ids(wnids)
  inner = [node for node in order if node in below]
  if inner:
    raise ValueError(
      f"{path}: class {inner[0]!r} has children; legal: classes are leaves"
    )
  absent = [node for node in order if node not in set(leaves)]
  if absent or len(order) != len(leaves):
    extra = [node for node in leaves if node not in set(order)]
    raise ValueError(
      f"{path}: {len(leaves)} leaves, but wnids has {len(order)} classes; in "
      f"wnids alone: {absent[:3]}, in the file alone: {extra[:3]}; legal: the "
      f"same ids (is this the hierarchy of another data set?)"
    )
  return order
