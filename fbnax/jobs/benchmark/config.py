"""Keys of the job benchmark."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section
from fbnax.search.nars.planning import LEARNERS

CHOICES = ("posterior", "measured")


@dataclasses.dataclass(frozen=True)
class TableSearchKeys:
  """NARS on a table."""

  first: int = key(20, "candidates of the first round")
  candidates: int = key(5, "of each later round")
  bins: int = key(1, "of the range of MACs; 0 for one per candidate")
  exploration: float = key(
    0.5, "deviations of the ensemble added to its mean to choose candidates"
  )
  predictors: int = key(8, "size of the predictor's ensemble")
  ranks: bool = key(True, "the predictor learns ranks of accuracies")
  learner: str = key(
    "both",
    "whose scores choose candidates: `predictor`, the Gaussian process"
    " `posterior`, or `both`",
    choices=LEARNERS,
  )
  choice: str = key(
    "posterior",
    "what the result is chosen by: `posterior` is a Gaussian process that knows"
    " of noise, `measured` the best measurement",
    choices=CHOICES,
  )


@dataclasses.dataclass(frozen=True)
class EvolutionKeys:
  """Regularized evolution."""

  population: int = key(20, "networks that live at a time", "networks")
  sample: int = key(5, "of which the best is the parent", "networks")


@dataclasses.dataclass(frozen=True)
class AssistedKeys:
  """Searches that zero-cost scores assist."""

  score: str = key(
    "nwot", "of the table's zero-cost scores, for NASWOT and AREA"
  )
  samples: int = key(1000, "that AREA scores before it trains any", "networks")
  moves: int = key(
    5, "children proposed by `area_moves` for each that it trains"
  )


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
  """Searches compared on a table of trained networks."""

  job: str = key("benchmark", sections.JOB)
  seed: int = key(0, sections.SEED)
  table: str = key("", sections.TABLE)
  methods: tuple[str, ...] = key(
    ("nars", "evolution", "random"),
    "what is compared: these, `naswot_N`, `area`, `area_moves`",
  )
  evaluations: int = key(
    100, "that each search may look up", "networks", least=1
  )
  epochs: int = key(1, "that a look-up stands for", "epochs", least=1)
  noise: float = key(
    0.0,
    "deviation of normal noise on the accuracies that searches see",
    "share",
    least=0,
  )
  seeds: int = key(20, "searches of each method", least=1)
  num_classes: int = key(10, "of the networks, for their costs")
  search: TableSearchKeys = section(TableSearchKeys)
  evolution: EvolutionKeys = section(EvolutionKeys)
  assisted: AssistedKeys = section(AssistedKeys)
