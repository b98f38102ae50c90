"""The schema of `result.json` (version 1) of the job `dnas`.

Rules as in `schema`. A row is an epoch of the search, which leaves out what it
did not do: theta's losses while theta was frozen. Costs are in the `unit` of
`cost`; entropies are shares of the largest, probabilities those of each choice
of each decision.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import (
  Dataset,
  JobResult,
  Member,
  Numbers,
  Space,
)
from fbnax.spaces import Architecture


@dataclasses.dataclass(frozen=True)
class Cost:
  """What was paid, a kind of cost; the space's range and the target.

  A target of 0 is none.
  """

  kind: str = "macs"
  unit: str = "MACs"
  range: Numbers = ()
  target: float | None = None
  tolerance: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
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
class Candidate:
  """A network that stood for election; its loss is under shared weights."""

  genotype: tuple[int, ...] = ()
  cost: float | None = None
  loss: float | None = None
  accuracy: float | None = None


@dataclasses.dataclass(frozen=True)
class Derived(Candidate):
  """The network that was derived."""

  architecture: Architecture | None = None


@dataclasses.dataclass(frozen=True)
class Skips:
  """Skips among the searched layers, and in random networks of the cost."""

  layers: int = 0
  derived: int = 0
  random: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trained(Member):
  """A network trained from scratch; `network` is its name without the seed."""

  network: str = ""
  cost: float | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Test accuracies, means over the seeds of each network."""

  derived: float | None = None
  derived_seeds: Numbers = ()
  random: Numbers = ()
  random_mean: float | None = None
  random_best: float | None = None


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes of a training step with so many channel options: masks, or blocks."""

  form: str = ""
  options: int = 0
  total: float | None = None


@dataclasses.dataclass(frozen=True)
class DnasResult(JobResult):
  """Everything the report of a differentiable search is made of."""

  dataset: Dataset = dataclasses.field(default_factory=Dataset)
  space: Space = dataclasses.field(default_factory=Space)
  cost: Cost = dataclasses.field(default_factory=Cost)
  rows: tuple[Row, ...] = ()
  candidates: tuple[Candidate, ...] = ()
  derived: Derived = dataclasses.field(default_factory=Derived)
  verdicts: tuple[str, ...] = ()
  skips: Skips | None = None
  memory: tuple[Memory, ...] = ()
  members: tuple[Trained, ...] = ()
  comparison: Comparison = dataclasses.field(default_factory=Comparison)

  def check(self) -> None:
    """Raises a ValueError where parts of a self do not fit each other."""
    choices = [len(d.values) for d in self.space.decisions]
    for i, row in enumerate(self.rows):
      found = [len(p) for p in row.probabilities]
      if found and found != choices:
        raise ValueError(
          f"rows[{i}].probabilities has {found} choices; the decisions have "
          f"{choices}"
        )
      if row.entropies and len(row.entropies) != len(choices):
        raise ValueError(
          f"rows[{i}].entropies has {len(row.entropies)} values for "
          f"{len(choices)} decisions"
        )
    for i, member in enumerate(self.members):
      accuracy = member.test_accuracy
      if accuracy is not None and not 0 <= accuracy <= 1:
        raise ValueError(
          f"members[{i}].test_accuracy must be a fraction of 1, found "
          f"{accuracy:g}"
        )
