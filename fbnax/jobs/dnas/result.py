"""The schema of `result.json` (version 1) of the job `dnas`.

Rules as in `schema`. A row is an epoch of the search, which leaves out what it
did not do: theta's losses while theta was frozen. Costs are in the `unit` of
`cost`; entropies are shares of the largest, probabilities those of each choice
of each decision.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import (
  DatasetFacts,
  JobResult,
  MemberRow,
  Numbers,
  Space,
  check_share,
)
from fbnax.spaces import Architecture


@dataclasses.dataclass(frozen=True)
class SearchedImages(DatasetFacts):
  """The data; `train` is for the weights, `validation` for theta."""

  search_classes: int | None = None


@dataclasses.dataclass(frozen=True)
class PaidCost:
  """What was paid, a kind of cost; the space's range and the target.

  A target of 0 is none.
  """

  kind: str = "macs"
  unit: str = "MACs"
  range: Numbers = ()
  target: float | None = None
  tolerance: float | None = None


@dataclasses.dataclass(frozen=True)
class EpochRow:
  """One epoch of the search."""

  epoch: int | None = None
  temperature: float | None = None
  loss: float | None = None
  accuracy: float | None = None
  theta_loss: float | None = None
  theta_accuracy: float | None = None
  objective: float | None = None
  expected: float | None = None
  derived: float | None = None
  entropies: Numbers = ()
  probabilities: tuple[Numbers, ...] = ()


@dataclasses.dataclass(frozen=True)
class CandidateNetwork:
  """A network that might be derived; its loss is under shared weights."""

  genotype: tuple[int, ...] = ()
  cost: float | None = None
  loss: float | None = None
  accuracy: float | None = None


@dataclasses.dataclass(frozen=True)
class Derived(CandidateNetwork):
  """The network that was derived."""

  architecture: Architecture | None = None


@dataclasses.dataclass(frozen=True)
class Skips:
  """Skips among the searched layers, and in random networks of the cost."""

  layers: int = 0
  derived: int = 0
  random: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trained(MemberRow):
  """A network trained from scratch; `network` is its name without the seed."""

  network: str = ""
  genotype: tuple[int, ...] = ()
  cost: float | None = None


@dataclasses.dataclass(frozen=True)
class AgainstRandom:
  """Test accuracies, means over the seeds of each network."""

  derived: float | None = None
  derived_seeds: Numbers = ()
  random: Numbers = ()
  random_mean: float | None = None
  random_best: float | None = None


@dataclasses.dataclass(frozen=True)
class StepMemory:
  """Bytes of a training step with so many channel options: masks, or blocks."""

  form: str = ""
  options: int = 0
  total: float | None = None
  params: int | None = None


@dataclasses.dataclass(frozen=True)
class DnasResult(JobResult):
  """Everything the report of a differentiable search is made of."""

  dataset: SearchedImages = dataclasses.field(default_factory=SearchedImages)
  space: Space = dataclasses.field(default_factory=Space)
  cost: PaidCost = dataclasses.field(default_factory=PaidCost)
  frozen_epochs: int | None = None
  rows: tuple[EpochRow, ...] = ()
  candidates: tuple[CandidateNetwork, ...] = ()
  derived: Derived = dataclasses.field(default_factory=Derived)
  verdicts: tuple[str, ...] = ()
  skips: Skips | None = None
  memory: tuple[StepMemory, ...] = ()
  members: tuple[Trained, ...] = ()
  comparison: AgainstRandom = dataclasses.field(default_factory=AgainstRandom)

  def check(self) -> None:
    """Raises a ValueError where parts of it do not fit each other."""
    choices = [len(d.values) for d in self.space.decisions]
    for i, row in enumerate(self.rows):
      counts = [len(p) for p in row.probabilities]
      if counts and counts != choices:
        raise ValueError(
          f"rows[{i}].probabilities has {counts} choices; the decisions have "
          f"{choices}"
        )
      if row.entropies and len(row.entropies) != len(choices):
        raise ValueError(
          f"rows[{i}].entropies has {len(row.entropies)} values for "
          f"{len(choices)} decisions"
        )
    for i, member in enumerate(self.members):
      check_share(f"members[{i}].test_accuracy", member.test_accuracy)
