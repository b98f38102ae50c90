"""The schema of `result.json` (version 1) of the job `nbdt`.

Rules as in `schema`. Nodes are numbered classes first. Accuracies, shares and
probabilities are fractions of 1, entropies nats, images PNG in base64.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from fbnax.report.schema import (
  DatasetFacts,
  JobResult,
  MemberRow,
  Numbers,
  left_out,
)
from fbnax.report.tree_schema import (
  TreeAccuracies,
  TreeNode,
  TreePictures,
  UnseenClasses,
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
class PathStep:
  """A decision: the child that was chosen, and its probability."""

  name: str = ""
  probability: float | None = None


@dataclasses.dataclass(frozen=True)
class Shown:
  """An image of the test split, perhaps with how it was decided."""

  index: int | None = None
  label: str | None = None
  png: str | None = None
  predicted: str | None = left_out()
  score: float | None = left_out()
  path: tuple[PathStep, ...] | None = left_out()


@dataclasses.dataclass(frozen=True)
class Errors:
  """How well scores find wrong predictions: areas under the ROC curve."""

  tree: int | None = None
  path_entropy: float | None = None
  top_two_entropy: float | None = None
  confusion: float | None = None


@dataclasses.dataclass(frozen=True)
class Ambiguous:
  """Images of large path entropy, and those the network is torn on.

  There are no `errors` without labels.
  """

  by_tree: tuple[Shown, ...] = ()
  by_network: tuple[Shown, ...] = ()
  errors: Errors | None = left_out()


@dataclasses.dataclass(frozen=True)
class NodeExamples:
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
class DividedClasses(UnseenClasses):
  """Held-out classes; the superclass of each child of the dividing node."""

  node_children: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class TreeAnalyses:
  """What a tree does with images."""

  nodes: tuple[TreeNode, ...] = ()
  ambiguous: Ambiguous = dataclasses.field(default_factory=Ambiguous)
  examples: tuple[NodeExamples, ...] = ()
  traversals: Traversals | None = None
  unseen: DividedClasses | None = None


@dataclasses.dataclass(frozen=True)
class AnyMember(MemberRow):
  """A trained network, whose architecture is not drawn."""

  architecture: Any = None


@dataclasses.dataclass(frozen=True)
class NbdtResult(TreeAnalyses, JobResult):
  """Everything the report of a tree is made of."""

  dataset: DatasetFacts = dataclasses.field(default_factory=DatasetFacts)
  network: dict[str, Any] = dataclasses.field(default_factory=dict)
  hierarchy: Tree = dataclasses.field(default_factory=Tree)
  accuracies: dict[str, TreeAccuracies] = dataclasses.field(
    default_factory=dict
  )
  unseen_plain: UnseenClasses | None = left_out()
  members: tuple[AnyMember, ...] = ()
  class_names: tuple[str, ...] = ()
  superclass_names: tuple[str, ...] = ()
  pictures: TreePictures = dataclasses.field(default_factory=TreePictures)

  def check(self) -> None:
    """Raises a ValueError where parts of a result do not fit each other."""
    nodes = self.hierarchy.num_classes + len(self.hierarchy.children)
    labels = self.hierarchy.labels
    if labels and len(labels) != nodes:
      raise ValueError(
        f"hierarchy.labels has {len(labels)} names; the tree has {nodes} nodes"
      )
    traversals = self.traversals
    if traversals is not None:
      if len(traversals.shares) != len(traversals.groups):
        raise ValueError(
          f"traversals.shares has {len(traversals.shares)} rows; "
          f"traversals.groups has {len(traversals.groups)}"
        )
      for i, row in enumerate(traversals.shares):
        if len(row) != len(traversals.nodes):
          raise ValueError(
            f"traversals.shares[{i}] has {len(row)} values; traversals.nodes "
            f"has {len(traversals.nodes)}"
          )
      wrong = [n for n in traversals.nodes if not 0 <= n < nodes]
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


@dataclasses.dataclass(frozen=True)
class ForeignData:
  """What a classifier from elsewhere is explained on."""

  name: str = ""
  source: str = ""
  num_classes: int = 0
  class_names: tuple[str, ...] = ()
  test: int | None = None


@dataclasses.dataclass(frozen=True)
class WeightsResult(JobResult):
  """What is written of weights from elsewhere; read as an `NbdtResult`."""

  dataset: ForeignData = dataclasses.field(default_factory=ForeignData)
  hierarchy: Tree = dataclasses.field(default_factory=Tree)
  accuracies: dict[str, TreeAccuracies] = dataclasses.field(
    default_factory=dict
  )
  members: tuple[AnyMember, ...] = ()
  pictures: TreePictures = dataclasses.field(default_factory=TreePictures)


@dataclasses.dataclass(frozen=True)
class ForeignResult(TreeAnalyses, WeightsResult):
  """The same with logits."""
