"""Keys of the job evolve."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class EvolveConfig:
  """New budgets for a finished search."""

  job: str = key("evolve", sections.JOB)
  seed: int = key(0, "of the evolution")
  run: str = key("runs/digits", "directory of a finished search")
  space: str = key("", sections.OWN_SPACE)
  data: sections.OwnDataKeys = section(sections.OwnDataKeys)
  budgets: sections.BudgetKeys = section(
    sections.BudgetKeys, macs=(600e3, 1200e3)
  )
  evolution: sections.PredictedEvolutionKeys = section(
    sections.PredictedEvolutionKeys
  )
  front: bool = key(
    False,
    "takes the best of the networks that the run's report has on its slider,"
    " without another evolution; one of each budget",
  )
  epochs: int = key(
    0,
    "of fine-tuning the weights that the best network of each budget inherits,"
    " of a run that started from weights",
    "epochs",
    least=0,
  )
  inherited_rate: float = key(
    0.3, "factor of the recipe's learning rate in that fine-tuning", above=0
  )
  top: int = key(5, "of each budget at most", "networks", least=0)
