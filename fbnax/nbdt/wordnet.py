"""The WordNet hierarchy of classes, and names of inner nodes from WordNet.

Section 5.3 of Wan 2022, "Labeling Decision Nodes with WordNet": a node means
the lowest noun that all of its classes are kinds of. As in the hierarchies that
the authors published, nouns have one parent in a hierarchy, of several the
first by name, only nouns where classes part are kept, and no noun names two
nodes: from the leaves up, each node takes the lowest that is left.

WordNet 3.0 is read from this machine: the extra `wordnet` (nltk, which
downloads nothing here) and the dictionary, on Debian and Ubuntu `apt-get
install wordnet-base`, elsewhere WordNet's own `dict` folder, named by
`WNSEARCHDIR`. Without them `name_nodes` names nodes by their leaves. A noun
with several meanings is taken for its first that is a physical object: check
what `find_wnids` found, and give an id (`n02121620`) or a sense (`crane.n.05`)
where it is another. In the published tree over ImageNet's classes 245 of 999
inner nodes have a noun to themselves; the others say what most of their classes
are, and which (`mostly dog: malamute, Eskimo dog, Siberian husky +43`), or list
them.

Symbols: `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fbnax.nbdt import dictionary
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.naming import (
  by_leaves,
  checked_names,
  given_labels,
  leaf_counts,
)

_MOST = 0.75

Pathlike = str | os.PathLike[str]


def find_wnids(
  classes: Sequence[str], path: Pathlike | None = None
) -> list[str]:
  """The WordNet id of each class.

  A class is an id (`n02121620`), a sense in nltk's notation (`crane.n.05`) or a
  noun. A noun with a comma is looked up part by part, as ImageNet's names are
  synonyms. Of a noun's senses the first is taken that is a physical object and,
  unless it is the very first, no person; else the first. Where that is not what
  was meant, give an id or a sense.

  Args:
    classes: what the classes are.
    path: the folder of WordNet's dictionary; None for the usual places.

  Raises:
    ValueError: a class that is no noun of WordNet (all such are named), two
      classes of one meaning, or no WordNet.
  """
  reader = dictionary.wordnet(path)
  senses = [_lookup(reader, str(name)) for name in classes]
  unknown = [str(n) for n, s in zip(classes, senses, strict=True) if s is None]
  if unknown:
    raise ValueError(
      f"not in WordNet: {', '.join(map(repr, unknown[:5]))} ({len(unknown)} of "
      f"{len(senses)} classes); legal: nouns, ids such as 'n02121620', or "
      f"senses such as 'crane.n.05'"
    )
  ids = [dictionary.wnid(sense) for sense in senses]
  first: dict[str, str] = {}
  for name, wnid in zip(classes, ids, strict=True):
    if wnid in first:
      raise ValueError(
        f"classes {first[wnid]!r} and {name!r} are both {wnid} in WordNet "
        f"({dictionary.synset(reader, wnid).definition()}); legal: one meaning "
        f"each; give an id or a sense such as 'crane.n.05'"
      )
    first[wnid] = str(name)
  return ids


def wordnet_hierarchy(
  classes: Sequence[str], path: Pathlike | None = None
) -> Hierarchy:
  """The part of WordNet over these classes.

  Children are in the order of the classes. A class of which another class is a
  kind becomes a leaf beside it, under a node of the same name.

  Args:
    classes: ids or nouns, see `find_wnids`; at least two.
    path: the folder of WordNet's dictionary; None for the usual places.

  Returns:
    A hierarchy whose ids are WordNet's. Labels of classes are as given, of
    those given by ids and of inner nodes WordNet's first word.

  Raises:
    ValueError: as of `find_wnids`, or fewer than two classes.
  """
  reader = dictionary.wordnet(path)
  wnids = find_wnids(classes, path)
  if len(wnids) < 2:
    raise ValueError(
      f"classes has {len(wnids)}; legal: at least 2, as one leaves nothing to "
      f"decide"
    )
  below: dict[str, list[str]] = {}
  nouns: dict[str, Any] = {}
  for wnid in wnids:
    node = dictionary.synset(reader, wnid)
    nouns[wnid] = node
    while parents := dictionary.above(node):
      beside = below.setdefault(dictionary.wnid(parents[0]), [])
      if dictionary.wnid(node) in beside:
        break  # The rest of the way is known.
      beside.append(dictionary.wnid(node))
      node = parents[0]
      nouns[dictionary.wnid(node)] = node
  tops = [node for node in nouns if not dictionary.above(nouns[node])]
  assert len(tops) == 1  # All nouns of WordNet are entities.
  number = {wnid: i for i, wnid in enumerate(wnids)}
  children: list[list[int]] = []
  kept: list[str] = []
  _contract(tops[0], below, number, children, kept)
  words = dictionary.names([nouns[wnid] for wnid in wnids])
  labels = [
    word if str(c) == wnid else str(c)
    for c, wnid, word in zip(classes, wnids, words, strict=True)
  ]
  labels += [dictionary.name(nouns[wnid]) for wnid in kept]
  # An id stands once: a class's own node gets a made-up one.
  ids = wnids + [f"f{w[1:]}" if w in number else w for w in kept]
  return Hierarchy.from_children(children, len(wnids), ids=ids, labels=labels)


def hypernym_names(
  hierarchy: Hierarchy,
  classes: Sequence[str | None],
  names: Sequence[str],
  path: Pathlike | None = None,
) -> list[str]:
  """Names of all nodes, inner ones by what their classes have in common.

  Where no noun is left, the name is what three quarters of the classes or more
  are, and the leaves: `mostly dog: pug, boxer, wolf +9`. Where that is no more
  than what all classes of the hierarchy are, or where WordNet knows too few,
  the name is the leaves.

  Args:
    hierarchy: over `K` classes.
    classes: `K` WordNet ids, None where there is none.
    names: `K` names for the leaves.
    path: the folder of WordNet's dictionary; None for the usual places.

  Returns:
    `V` names.

  Raises:
    ValueError: other numbers of names, or an id that is none of WordNet's.
  """
  reader = dictionary.wordnet(path)
  labels = list(by_leaves(hierarchy, names))
  if len(classes) != hierarchy.num_classes:
    raise ValueError(
      f"classes has {len(classes)} ids; legal: {hierarchy.num_classes}"
    )
  ancestors = _Ancestors(reader)
  counts = {
    i: Counter() if wnid is None else Counter(ancestors.of(wnid))
    for i, wnid in enumerate(classes)
  }
  order = _bottom_up(hierarchy)
  children = hierarchy.children
  for node in order:
    below = children[node - hierarchy.num_classes]
    counts[node] = sum((counts[child] for child in below), Counter())
  with_id = sum(wnid is not None for wnid in classes)
  everything = _above_all(counts[hierarchy.root], max(with_id, 1))
  used = {wnid for wnid in classes if wnid is not None}
  words = set(names)
  sizes = leaf_counts(hierarchy)
  for node in order:
    size = int(sizes[node])
    of_all = _above_all(counts[node], size)
    most = _above_all(counts[node], _MOST * size)
    if node == hierarchy.root:
      most = of_all
    else:
      of_all, most = of_all - everything, most - everything
    free = sorted(of_all - used, key=ancestors.rank)
    noun = min(free[:1] or most, key=ancestors.rank, default=None)
    if noun is None:
      continue
    # Two nouns may be one word; so may a noun and a class.
    word = ancestors.name(noun)
    alone = bool(free) and word not in words
    mostly = "" if noun in of_all else "mostly "
    labels[node] = word if alone else f"{mostly}{word}: {labels[node]}"
    used.update(free[:1])
    words.add(word)
  return labels


def name_nodes(
  hierarchy: Hierarchy,
  class_names: Sequence[str],
  path: Pathlike | None = None,
) -> Hierarchy:
  """The hierarchy with a label for every node.

  Inner nodes are named by WordNet (`hypernym_names`) where there is one and as
  far as it knows the classes: by the hierarchy's ids where these are WordNet's,
  else by their names. Other nodes are named by their leaves. Inner nodes that
  have a label already keep it.

  Args:
    hierarchy: over `K` classes.
    class_names: `K` names, or WordNet ids.
    path: the folder of WordNet's dictionary; None for the usual places.

  Raises:
    ValueError: another number of names, or names that repeat.
  """
  names = checked_names(hierarchy, class_names)
  try:
    reader = dictionary.wordnet(path)
  except ValueError:  # No WordNet, or one of another version.
    labels = list(by_leaves(hierarchy, names))
  else:
    labels = _labels(reader, hierarchy, names, path)
  labelled = given_labels(hierarchy, class_names)
  taken = set(labelled.values())
  leaves = by_leaves(hierarchy, labels[: hierarchy.num_classes])
  for node in range(hierarchy.num_classes, hierarchy.num_nodes):
    # One noun is not to name two nodes.
    made = leaves[node] if labels[node] in taken else labels[node]
    labels[node] = labelled.get(node, made)
  return Hierarchy.from_children(
    hierarchy.children, hierarchy.num_classes, ids=hierarchy.ids, labels=labels
  )


def _labels(
  reader: Any, hierarchy: Hierarchy, names: list[str], path: Pathlike | None
) -> list[str]:
  ids = (hierarchy.ids or ())[: hierarchy.num_classes] or names
  senses = [_lookup(reader, id_) for id_ in ids]
  if not any(senses):
    senses = [_lookup(reader, name) for name in names]
  wnids = [sense and dictionary.wnid(sense) for sense in senses]
  by_id = [i for i, name in enumerate(names) if wnids[i] == name]
  words = dictionary.names([senses[i] for i in by_id])
  for i, word in zip(by_id, words, strict=True):
    names[i] = word if word not in names else names[i]
  return hypernym_names(hierarchy, wnids, names, path)


def _lookup(reader: Any, name: str) -> Any:
  """The noun that a class is, or None."""
  from nltk.corpus.reader.wordnet import WordNetError

  if name[:1] == "n" and name[1:].isdigit() and len(name) == 9:
    try:
      return dictionary.synset(reader, name)
    except ValueError:
      return None
  parts = name.rsplit(".", 2)
  if len(parts) == 3 and parts[1] == "n" and parts[2].isdigit():
    try:
      return reader.synset(name.strip().lower())
    except WordNetError:
      return None
  for words in (name, *name.split(","), name.replace("-", " ")):
    senses = reader.synsets("_".join(words.split()).lower(), "n")
    if senses:
      return _pictured(reader, senses)
  return None


def _pictured(reader: Any, senses: Sequence[Any]) -> Any:
  """The sense of a noun that a picture most likely shows."""
  ancestors = _Ancestors(reader)
  kinds = [ancestors.of(dictionary.wnid(sense)) for sense in senses]
  objects = [i for i, kind in enumerate(kinds) if _OBJECT in kind]
  # People are what many a thing's name is said of, rarely what is meant.
  things = [i for i in objects if i == 0 or _PERSON not in kinds[i]]
  return senses[(things or objects or [0])[0]]


_OBJECT = "n00002684"  # "a tangible and visible entity"
_PERSON = "n00007846"


class _Ancestors:
  """All nouns above nouns, by id, and how low they are."""

  def __init__(self, reader: Any) -> None:
    self._reader = reader
    self._above: dict[str, frozenset[str]] = {}
    self._nouns: dict[str, Any] = {}

  def of(self, wnid: str) -> frozenset[str]:
    """A noun's id and those of all nouns above it, by any path."""
    if wnid not in self._above:
      noun = dictionary.synset(self._reader, wnid)
      self._nouns[wnid] = noun
      above = [self.of(dictionary.wnid(n)) for n in dictionary.above(noun)]
      self._above[wnid] = frozenset({wnid}).union(*above)
    return self._above[wnid]

  def rank(self, wnid: str) -> tuple[int, str]:
    """Sorts the lowest nouns first."""
    return -self._nouns[wnid].max_depth(), wnid

  def name(self, wnid: str) -> str:
    return dictionary.name(self._nouns[wnid])


def _above_all(counts: Counter[str], least: float) -> set[str]:
  """The nouns that are above as many classes."""
  return {noun for noun, count in counts.items() if count >= least}


def _bottom_up(hierarchy: Hierarchy) -> list[int]:
  """The inner nodes, each after those under it."""
  depths = hierarchy.depths
  inner = range(hierarchy.num_classes, hierarchy.num_nodes)
  return sorted(inner, key=lambda node: -depths[node])


def _contract(
  node: str,
  below: dict[str, list[str]],
  number: dict[str, int],
  children: list[list[int]],
  kept: list[str],
) -> int:
  """Adds a noun's subtree to the child lists, and returns its number."""
  while node not in number and len(below[node]) == 1:
    [node] = below[node]
  if node not in below:
    return number[node]
  # A class that other classes are kinds of stands beside them.
  beside = [number[node]] if node in number else []
  lists = [_contract(n, below, number, children, kept) for n in below[node]]
  children.append(beside + lists)
  kept.append(node)
  return len(number) + len(kept) - 1
