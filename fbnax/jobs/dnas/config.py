"""Keys of the job dnas: DMaskingNAS and FBNet."""

from __future__ import annotations

import dataclasses

from fbnax.base import cost_kinds
from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class CostSearchKeys(sections.ThetaSearchKeys):
  """With the cost that is paid for."""

  cost: str = key("macs", f"what is paid for: {cost_kinds.listed()}")
  table: str = key("", "file of a latency table, where that is the cost")
  target: float = key(
    1e6, "the cost that is sought; 0 for none", "MACs, numbers, ms"
  )
  alpha: float = key(0.2, "of `additive` and `multiplicative`")
  beta: float = key(
    0.6, "exponent of the logarithm of the cost in `multiplicative`"
  )
  classes: int = key(0, "random classes that the search sees; 0 for all")
  recompute: bool = key(
    False,
    "maps of the resolutions are computed again for the gradient, one"
    " resolution after the other, so that memory does not grow with their"
    " number, as in the paper; without it a step is faster",
  )
  checkpoint_steps: int = key(
    0,
    "between checkpoints beside those at epoch ends; 0 for none",
    "steps",
    least=0,
  )


# How many random networks say what is usual at a cost; few are trained.
REFERENCE = 256


@dataclasses.dataclass(frozen=True)
class CompareKeys:
  """Random networks beside the one that is derived."""

  networks: int = key(
    2,
    "random networks of the same cost, trained alike",
    least=0,
    most=REFERENCE,
  )
  seeds: int = key(1, "trainings of each network", least=1, most=1000)


@dataclasses.dataclass(frozen=True)
class DnasConfig:
  """Differentiable search; the defaults are those of DMaskingNAS."""

  job: str = key("dnas", sections.JOB)
  seed: int = key(0, sections.SEED)
  data: sections.ThetaDataKeys = section(sections.ThetaDataKeys)
  space: str = key("small_dnas", sections.SPACE)
  fix: str = key("resolution=16", sections.FIX)
  search: CostSearchKeys = section(CostSearchKeys)
  recipe_file: str = key("", sections.RECIPE_FILE)
  recipe: sections.RecipeKeys = section(
    sections.RecipeKeys, learning_rate=0.4, weight_decay=1e-4, mixup=0.0
  )
  compare: CompareKeys = section(CompareKeys)
  memory_options: tuple[int, ...] = key(
    (1, 2, 4, 8),
    "channel options for which the memory of a training step is compared, with"
    " masks and with a block for each; divisors of 32; none for no comparison",
  )
  mesh: sections.MeshKeys = section(sections.MeshKeys)
  training: sections.TrainingKeys = section(sections.TrainingKeys, epochs=15)
