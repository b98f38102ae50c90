"""What results say of decision trees, in the jobs that train and explain them.

Rules as in `schema`. Nodes are numbered classes first. Accuracies are fractions
of 1, log-losses nats.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class TreeAccuracies:
  """Of a network, and of its tree by soft and by hard inference.

  `agree` is the share of images on which the soft tree and the network say the
  same.
  """

  network: float | None = None
  soft: float | None = None
  hard: float | None = None
  agree: float | None = None
  network_log_loss: float | None = None
  tree_log_loss: float | None = None


@dataclasses.dataclass(frozen=True)
class TreeNode:
  """An inner node: how often its decision is right, of so many images."""

  node: int = 0
  name: str = ""
  children: tuple[int, ...] = ()
  classes: int = 0
  accuracy: float | None = None
  visits: int | None = None


@dataclasses.dataclass(frozen=True)
class TreePictures:
  """Files of a tree: the page to click through, and a drawing."""

  page: str | None = None
  drawing: str | None = None


@dataclasses.dataclass(frozen=True)
class SuperclassShares:
  """The share of images that are given their superclass: Table 5.6 of Wan 2022.

  `plain` by the network's prediction, which may be a class without a
  superclass, `plain_within` by its prediction among the others, `tree` by the
  tree's, `plain_sum` and `tree_sum` by the largest summed probability.
  """

  images: int = 0
  plain: float | None = None
  plain_within: float | None = None
  tree: float | None = None
  plain_sum: float | None = None
  tree_sum: float | None = None


@dataclasses.dataclass(frozen=True)
class UnseenClass(SuperclassShares):
  """A class that was held out of training."""

  name: str = ""
  superclass: str = ""


@dataclasses.dataclass(frozen=True)
class UnseenClasses(SuperclassShares):
  """All held-out classes together, and each.

  `node` tells the superclasses apart; None where no single node does.
  """

  node: int | None = None
  classes: tuple[UnseenClass, ...] = ()
