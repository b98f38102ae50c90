"""The schema of `result.json` (version 1) of the job `autobuild`.

Rules as in `schema`. Points are [accuracy, cost]; accuracies and costs are in
the units of the columns that were given.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult, Numbers, Rows
from fbnax.spaces import Architecture

Points = tuple[Numbers, ...]


@dataclasses.dataclass(frozen=True)
class ModelAgreement:
  """How well a model tells labels that it has not seen."""

  spearman: float | None = None
  error: float | None = None


@dataclasses.dataclass(frozen=True)
class StandInAgreement:
  """What stands in for labels of networks that have none."""

  accuracy: ModelAgreement = dataclasses.field(default_factory=ModelAgreement)
  cost: ModelAgreement = dataclasses.field(default_factory=ModelAgreement)


@dataclasses.dataclass(frozen=True)
class LabelledNetworks:
  """The labelled networks."""

  points: Points = ()
  front: Points = ()
  reference: Numbers = ()
  hypervolume: float | None = None
  hypervolume_of_stand_in: float | None = None


@dataclasses.dataclass(frozen=True)
class UnseenLength:
  """A length of a stage that no labelled network has."""

  stage: str = ""
  length: int = 0


@dataclasses.dataclass(frozen=True)
class Importance:
  """What the values of a feature count at hop 0."""

  feature: str = ""
  values: tuple[str, ...] = ()
  scores: Numbers = ()


@dataclasses.dataclass(frozen=True)
class Module:
  """A module: its score and its layers in words."""

  score: float | None = None
  layers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class StageModules:
  """The best and worst modules of a stage."""

  stage: str = ""
  modules: int = 0
  best: tuple[Module, ...] = ()
  worst: tuple[Module, ...] = ()


@dataclasses.dataclass(frozen=True)
class BuiltNetworks:
  """Networks by the stand-in, and how far they reach beyond the labels."""

  points: Points = ()
  genotypes: tuple[tuple[int, ...], ...] = ()
  hypervolume: float | None = None
  with_training: float | None = None
  beyond: int | None = None
  beyond_stand_in: int | None = None


@dataclasses.dataclass(frozen=True)
class LearnedExpression:
  """A label expression: its predictor, scores and networks."""

  expression: str = ""
  prediction: Numbers = ()
  hops: tuple[Numbers, ...] = ()
  ridge: float | None = None
  constant: bool = False
  unseen: tuple[UnseenLength, ...] = ()
  importance: tuple[Importance, ...] = ()
  stages: tuple[StageModules, ...] = ()
  best: Architecture | None = None
  worst: Architecture | None = None
  constructed: BuiltNetworks = dataclasses.field(default_factory=BuiltNetworks)


@dataclasses.dataclass(frozen=True)
class Baselines:
  """What the networks that were put together are set beside."""

  largest: BuiltNetworks = dataclasses.field(default_factory=BuiltNetworks)
  random: BuiltNetworks = dataclasses.field(default_factory=BuiltNetworks)


@dataclasses.dataclass(frozen=True)
class UnbeatenNetwork:
  """A network that no other of a search beats in accuracy and cost."""

  accuracy: float | None = None
  cost: float | None = None
  genotype: tuple[int, ...] = ()
  architecture: Architecture | None = None


@dataclasses.dataclass(frozen=True)
class SearchedNetworks:
  """All networks that one search evaluated, in order, and its front.

  Each point has its genotype, the front's networks their architectures, which
  the jobs `train` and `export` take as JSON files.
  """

  method: str = ""
  seed: int | None = None
  size: float | None = None
  points: Points = ()
  genotypes: tuple[tuple[int, ...], ...] = ()
  front: tuple[UnbeatenNetwork, ...] = ()


@dataclasses.dataclass(frozen=True)
class AutobuildResult(JobResult):
  """Everything the report of `autobuild` is made of."""

  space: Rows = dataclasses.field(default_factory=Rows)
  train: int | None = None
  held_out: int | None = None
  accuracy: str = "accuracy"
  cost: str = "cost"
  stand_in: StandInAgreement = dataclasses.field(
    default_factory=StandInAgreement
  )
  training: LabelledNetworks = dataclasses.field(
    default_factory=LabelledNetworks
  )
  expressions: tuple[LearnedExpression, ...] = ()
  baselines: Baselines = dataclasses.field(default_factory=Baselines)
  searches: tuple[SearchedNetworks, ...] = ()

  def check(self) -> None:
    """Raises a ValueError where lists that belong together do not fit."""
    groups = [
      ("training.points", self.training.points),
      ("training.front", self.training.front),
      ("baselines.largest.points", self.baselines.largest.points),
      ("baselines.random.points", self.baselines.random.points),
    ]
    for i, row in enumerate(self.expressions):
      where = f"expressions[{i}]"
      groups.append((f"{where}.constructed.points", row.constructed.points))
      for j, feature in enumerate(row.importance):
        if len(feature.values) != len(feature.scores):
          raise ValueError(
            f"{where}.importance[{j}] has {len(feature.values)} values and "
            f"{len(feature.scores)} scores"
          )
    for i, search in enumerate(self.searches):
      groups.append((f"searches[{i}].points", search.points))
      if search.genotypes and len(search.genotypes) != len(search.points):
        raise ValueError(
          f"searches[{i}] has {len(search.genotypes)} genotypes and "
          f"{len(search.points)} points"
        )
    for where, points in groups:
      for j, point in enumerate(points):
        if len(point) != 2:
          raise ValueError(
            f"{where}[{j}] must be [accuracy, cost], found {list(point)}"
          )
