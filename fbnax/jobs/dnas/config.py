"""Keys of the job dnas: DMaskingNAS and FBNet."""

from __future__ import annotations

import dataclasses

from fbnax.base import cost_kinds
from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class ThetaSearchKeys:
  """How theta and the supernet's weights are learned."""

  relaxation: str = key(
    "gumbel",
    "choice weights from theta: `gumbel`, `softmax`, or `single_path` (a hard"
    " sample with the soft one's gradient)",
  )
  sampling: str = key(
    "batch", "choice weights drawn for each `batch` or each `example`"
  )
  cost_of: str = key(
    "theta",
    "whether the cost is that of the `sample` of a step or of the softmax of"
    " `theta`",
  )
  combination: str = key(
    "target",
    "of cross entropy and cost: `additive`, `multiplicative`, `target`, or"
    " `none`, where nothing is paid",
  )
  omega: float = key(1.0, "exponent of the ratio in `target`")
  tolerance: float = key(
    0.05, "of the target, within which what is derived lies", "share"
  )
  derivation: str = key(
    "sample", "`argmax`, or the best by validation loss of a `sample`"
  )
  samples: int = key(8, "networks drawn for `sample`")
  epochs: int = key(15, "of the search", "epochs")
  frozen_epochs: int = key(
    3, "at the beginning, in which theta stays", "epochs"
  )
  batch_size: int = key(64, "of a step", "images")
  learning_rate: float = key(
    0.4,
    "of the weights for 256 images, by SGD with momentum and cosine; scaled in"
    " proportion to the batch",
  )
  weight_decay: float = key(1e-4, "of the weights")
  theta_learning_rate: float = key(0.1, "of theta, by Adam")
  temperature: float = key(5.0, "of the first epoch")
  annealing: float = key(
    0.27, "the temperature falls by e to the minus this", "per epoch"
  )


@dataclasses.dataclass(frozen=True)
class CostSearchKeys(ThetaSearchKeys):
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
  checkpoint_steps: int = key(
    0, "between checkpoints beside those at epoch ends; 0 for none", "steps"
  )


@dataclasses.dataclass(frozen=True)
class CompareKeys:
  """Random networks beside the one that is derived."""

  networks: int = key(2, "random networks of the same cost, trained alike")
  seeds: int = key(1, "trainings of each network")


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
