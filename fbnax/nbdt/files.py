"""Node-link JSON, the form in which existing NBDT users keep hierarchies.

An object with `nodes`, each with an `id` (a WordNet id, or a made-up one) and
perhaps a `label`, and `links` or `edges`, each with `source` and `target`, the
parent and the child. What is written here says in `graph.wnids` in which order
the classes are; published files do not. Where ids or labels of the leaves are
the names of the data's classes, these are known by them, whatever the letter
case, and whether spaces or underscores part the words.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fbnax.base import json_values, text
from fbnax.base.files import write_atomically
from fbnax.base.json_values import shown
from fbnax.base.names import normalized

Pathlike = str | os.PathLike[str]
_WNID = re.compile(r"n\d{8}")


class NodeLink(NamedTuple):
  """A file's tree: children of the inner nodes, ids and labels of all."""

  children: list[list[int]]
  ids: tuple[str, ...]
  labels: tuple[str, ...]


def read(
  path: Pathlike,
  wnids: Sequence[str] | Pathlike | None,
  class_names: Sequence[str] | None = None,
) -> NodeLink:
  """Reads a tree; nodes are classes first, then inner nodes as in the file.

  Args:
    path: the file.
    wnids: the id of each class in order; None to take the file's own order.
    class_names: of the data's classes, which the tree must be over.

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
  if class_names is not None:
    ordered = wnids is not None, _own_order(graph) is not None
    names = [normalized(str(name)) for name in class_names]
    order = _named_order(path, order, labels, names, *ordered)
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


def class_ids(
  wnids: Sequence[str] | Pathlike, where: str = "wnids"
) -> list[str]:
  """Ids of the classes, from a list or a file with one on each line.

  Args:
    wnids: the list, or the file's path.
    where: what an error calls the list.

  Raises:
    ValueError: no such file, no text in UTF-8, an empty one, or an id repeats.
    OSError: the file cannot be read.
  """
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
      raise ValueError(
        f"{path}: nodes[{i}] is {shown(node)}; legal: has an 'id'"
      )
    if not isinstance(node.get("label", ""), str | int | float | None):
      raise ValueError(
        f"{path}: nodes[{i}].label is {shown(node['label'])}; legal: a string"
      )
    name = str(node["id"])
    if name in labels:
      raise ValueError(f"{path}: nodes has {name!r} twice; legal: each id once")
    label = node.get("label")
    labels[name] = name if label in (None, "") else str(label)
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
    node = link.get(key) if isinstance(link, dict) else link
    if not _is_id(node) or str(node) not in labels:
      raise ValueError(
        f"{path}: links[{i}] has {key} {shown(node)}; legal: an id of 'nodes'"
      )
    ends.append(str(node))
  return ends[0], ends[1]


def _class_order(
  path: Pathlike,
  graph: dict,
  wnids: Sequence[str] | Pathlike | None,
  leaves: list[str],
  below: dict[str, list[str]],
) -> list[str]:
  where = "wnids"
  if wnids is None:
    wnids, where = _own_order(graph), f"{path}: graph.wnids"
    if wnids is None:
      return leaves
    # A string would be taken for the path of another file.
    if not isinstance(wnids, list) or not all(map(_is_id, wnids)):
      raise ValueError(f"{where} is {wnids!r:.60}; legal: a list of ids")
  order = class_ids(wnids, where)
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


def _own_order(graph: dict) -> Any:
  """What the file says of the order of its classes, None if nothing."""
  kept = graph.get("graph")
  return kept.get("wnids") if isinstance(kept, dict) else None


def _named_order(
  path: Pathlike,
  order: list[str],
  labels: dict[str, str],
  names: list[str],
  asked: bool,
  kept: bool,
) -> list[str]:
  """The leaves in the order of the data's classes.

  Args:
    path: the file.
    order: its leaves.
    labels: of all nodes by id.
    names: of the data's classes, normalized.
    asked: whether the caller gave that order.
    kept: whether the file did.

  Raises:
    ValueError: the leaves are other classes, or nothing gives their order.
  """
  name_of = _recognizer(names)
  texts = {
    "ids": [name_of(node) for node in order],
    "labels": [name_of(labels[node]) for node in order],
  }
  if len(order) != len(names):
    raise ValueError(
      f"{path} has {len(order)} classes; legal: {len(names)}, as the data; "
      f"{_differing(texts, names)}"
    )
  legal = (
    "legal: leaves whose ids or labels are the class names, or wnids (of a "
    "job: config.tree.wnids), the leaf's id for each class in order"
  )
  full = [k for k in texts if sorted(texts[k]) == sorted(names)]
  if full and len(set(names)) == len(names):
    place = {text: i for i, text in enumerate(texts[full[0]])}
    by_name = [order[place[name]] for name in names]
    _check_both(path, by_name, labels, names, name_of, len(full) == 2)
    if asked and by_name != order:
      i = next(i for i, node in enumerate(order) if node != by_name[i])
      raise ValueError(
        f"{path}: wnids has {order[i]!r} for class {i}, which is {names[i]!r} "
        f"and the leaf {by_name[i]!r}; legal: the order of the classes, or "
        f"none, since the {full[0]} of the leaves are the class names"
      )
    return by_name
  if asked:
    return order
  if any(_names_others(texts[k], names) for k in texts):
    raise ValueError(
      f"{path} is of other classes: {_differing(texts, names)}; {legal}"
    )
  if not kept:
    raise ValueError(
      f"{path}: the order of its classes is unknown: its first leaf is "
      f"{order[0]!r} (label {labels[order[0]]!r}), the data's first class "
      f"{names[0]!r}; {legal}"
    )
  return order


def _recognizer(names: Sequence[str]) -> Callable[[str], str]:
  """Finds the class that words mean: its name, else the words themselves.

  Letter case, and what parts words, do not count, unless the names of two
  classes differ in nothing else.
  """

  def plain(words: str) -> str:
    return " ".join(normalized(words).casefold().replace("_", " ").split())

  name_of = {plain(name): name for name in names}
  if len(name_of) < len(names):
    return normalized
  return lambda words: name_of.get(plain(words), normalized(words))


def _check_both(
  path: Pathlike,
  order: list[str],
  labels: dict[str, str],
  names: list[str],
  name_of: Callable[[str], str],
  full: bool,
) -> None:
  """Refuses leaves that are one class by their id and another by their label.

  Numbers are no names where they are not all there: programs number nodes.
  """
  place = {name: i for i, name in enumerate(names)}
  for i, node in enumerate(order):
    for name in (name_of(node), name_of(labels[node])):
      if place.get(name, i) != i and (full or not name.isdecimal()):
        raise ValueError(
          f"{path}: the leaf {node!r} has the label {labels[node]!r}, and both "
          f"are names of classes; legal: one class for each leaf"
        )


def _names_others(texts: list[str], names: list[str]) -> bool:
  """Whether leaves have names of the data's classes, but not all of them.

  Classes that the data calls by WordNet's ids have words as their labels.
  """
  shared = set(texts) & set(names)
  differing = [
    name
    for text, name in zip(texts, names, strict=True)
    if text != name and not _WNID.fullmatch(name)
  ]
  return bool(shared and differing)


def _differing(texts: dict[str, list[str]], names: list[str]) -> str:
  """Classes of the file alone and of the data alone, of the nearer texts."""
  nearer = max(texts.values(), key=lambda words: len({*words} & {*names}))
  extra = list((Counter(nearer) - Counter(names)).elements())
  missing = list((Counter(names) - Counter(nearer)).elements())
  return f"in the file alone: {extra[:3]}, in the data alone: {missing[:3]}"
