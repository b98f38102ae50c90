"""The schema of `result.json` (version 1) of the job `nbdt`.

Rules as in `schema`. Nodes are numbered classes first. Accuracies, shares and
probabilities are fractions of 1, entropies nats, images PNG in base64.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from fbnax.report.schema import (
  Dataset,
  JobResult,
  Member,
  Numbers,
)

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


@dataclasses.dataclass(frozen=True)
class Tree:
  """The hierarchy: what made it, children of inner nodes, names of all."""

  kind: str = ""
  num_classes: int = 0
  depth: int | None = None
  children: tuple[tuple[int, ...], ...] = ()
  labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Accuracies:
  """Of a network, and of its tree by soft and by hard inference."""

  network: float | None = None
  soft: float | None = None
  hard: float | None = None
  agree: float | None = None
  network_log_loss: float | None = None
  tree_log_loss: float | None = None


@dataclasses.dataclass(frozen=True)
class Node:
  """An inner node: how often its decision is right."""

  node: int = 0
  name: str = ""
  children: tuple[int, ...] = ()
  classes: int = 0
  accuracy: float | None = None
  visits: int | None = None


@dataclasses.dataclass(frozen=True)
class Step:
  """A decision: the child that was chosen, and its probability."""

  name: str = ""
  probability: float | None = None


@dataclasses.dataclass(frozen=True)
class Shown:
  """An image of the test split."""

  index: int | None = None
  label: str | None = None
  predicted: str | None = None
  score: float | None = None
  path: tuple[Step, ...] = ()
  png: str | None = None


@dataclasses.dataclass(frozen=True)
class Errors:
  """How well scores find wrong predictions: areas under the ROC curve."""

  tree: int | None = None
  path_entropy: float | None = None
  top_two_entropy: float | None = None
  confusion: float | None = None


@dataclasses.dataclass(frozen=True)
class Ambiguous:
  """Images of large path entropy, and those the network is torn on."""

  by_tree: tuple[Shown, ...] = ()
  by_network: tuple[Shown, ...] = ()
  errors: Errors | None = None


@dataclasses.dataclass(frozen=True)
class Examples:
  """Images that are most like a node."""

  node: int = 0
  name: str = ""
  images: tuple[Shown, ...] = ()


@dataclasses.dataclass(frozen=True)
class Traversals:
  """Shares of each group's images that pass each node; last groups unseen."""

  groups: tuple[str, ...] = ()
  unseen: int = 0
  nodes: tuple[int, ...] = ()
  shares: tuple[Numbers, ...] = ()


@dataclasses.dataclass(frozen=True)
class UnseenClass:
  """A held-out class: which share is given its superclass."""

  name: str = ""
  images: int = 0
  superclass: str = ""
  plain: float | None = None
  tree: float | None = None
  plain_sum: float | None = None
  tree_sum: float | None = None


@dataclasses.dataclass(frozen=True)
class UnseenClasses:
  """All held-out classes together, and each."""

  images: int = 0
  plain: float | None = None
  tree: float | None = None
  plain_sum: float | None = None
  tree_sum: float | None = None
  node: int | None = None
  classes: tuple[UnseenClass, ...] = ()


@dataclasses.dataclass(frozen=True)
class Pictures:
  """Files beside the report: the page to click through, and a drawing."""

  page: str | None = None
  drawing: str | None = None


@dataclasses.dataclass(frozen=True)
class AnyMember(Member):
  """A trained network, whose architecture is not drawn."""

  architecture: Any = None


@dataclasses.dataclass(frozen=True)
class NbdtResult(JobResult):
  """Everything the report of a tree is made of."""

  dataset: Dataset = dataclasses.field(default_factory=Dataset)
  network: dict[str, Any] = dataclasses.field(default_factory=dict)
  hierarchy: Tree = dataclasses.field(default_factory=Tree)
  accuracies: dict[str, Accuracies] = dataclasses.field(default_factory=dict)
  nodes: tuple[Node, ...] = ()
  ambiguous: Ambiguous = dataclasses.field(default_factory=Ambiguous)
  examples: tuple[Examples, ...] = ()
  traversals: Traversals | None = None
  unseen: UnseenClasses | None = None
  unseen_plain: UnseenClasses | None = None
  members: tuple[AnyMember, ...] = ()
  pictures: Pictures = dataclasses.field(default_factory=Pictures)

  def check(self) -> None:
    """Raises a ValueError where parts of a self do not fit each other."""
    nodes = self.hierarchy.num_classes + len(self.hierarchy.children)
    labels = self.hierarchy.labels
    if labels and len(labels) != nodes:
      raise ValueError(
        f"hierarchy.labels has {len(labels)} names; the tree has {nodes} nodes"
      )
    found = self.traversals
    if found is not None:
      if len(found.shares) != len(found.groups):
        raise ValueError(
          f"traversals.shares has {len(found.shares)} rows; traversals.groups "
          f"has {len(found.groups)}"
        )
      for i, row in enumerate(found.shares):
        if len(row) != len(found.nodes):
          raise ValueError(
            f"traversals.shares[{i}] has {len(row)} values; traversals.nodes "
            f"has {len(found.nodes)}"
          )
      wrong = [n for n in found.nodes if not 0 <= n < nodes]
      if wrong:
        raise ValueError(
          f"traversals.nodes has {wrong[0]}; the tree has {nodes} nodes"
        )
    images = [
      *(("ambiguous.by_tree", s) for s in self.ambiguous.by_tree),
      *(("ambiguous.by_network", s) for s in self.ambiguous.by_network),
      *(("examples", s) for e in self.examples for s in e.images),
    ]
    for where, shown in images:
      if shown.png is not None and not _BASE64.fullmatch(shown.png):
        raise ValueError(f"{where} has a png that is no base64")
    for where, name in (
      ("pictures.page", self.pictures.page),
      ("pictures.drawing", self.pictures.drawing),
    ):
      if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"{where} is {name!r}; it must be a file's name")
