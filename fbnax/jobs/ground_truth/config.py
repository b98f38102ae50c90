"""Keys of the job ground_truth."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class CellNetworkKeys:
  """The supernet of cells."""

  channels: int = key(8, "of the supernet's first cells")
  cells: int = key(1, "of the supernet in each of three stages")
  resolution: int = key(16, "of the images", "px")


@dataclasses.dataclass(frozen=True)
class CellSearchKeys(sections.ThetaSearchKeys):
  """The search of a cell, for a share of the largest one's cost."""

  target_share: float = key(
    0.5,
    "the cost that is sought, of the largest cell's MACs",
    "share",
    above=0,
    most=1,
  )


@dataclasses.dataclass(frozen=True)
class CellTraining:
  """How the supernet of cells is trained beside its search: without extras."""

  training: sections.TrainingKeys = section(
    sections.TrainingKeys,
    epochs=1,
    warmup_epochs=0.0,
    ema_decay=0.0,
    label_smoothing=0.0,
    distillation=0.0,
    precision="float32",
  )


@dataclasses.dataclass(frozen=True)
class GroundTruthConfig:
  """Differentiable search of cells whose accuracies are known."""

  job: str = key("ground_truth", sections.JOB)
  seed: int = key(0, "first of the searches' seeds")
  table: str = key("", sections.TABLE)
  variants: tuple[str, ...] = key(
    ("safe", "bare"),
    "`safe`, `bare` (neither noise, nor frozen epochs, nor a cost, nor draws:"
    " DARTS), or without one safeguard: `no_noise`, `no_warmup`, `no_cost`,"
    " `no_draws`",
  )
  seeds: int = key(3, "searches of each variant", least=1)
  data: sections.ThetaDataKeys = section(
    sections.ThetaDataKeys, name="npz", validation_fraction=0.5, max_images=2000
  )
  network: CellNetworkKeys = section(CellNetworkKeys)
  search: CellSearchKeys = section(
    CellSearchKeys,
    tolerance=0.1,
    samples=16,
    epochs=20,
    frozen_epochs=5,
    annealing=0.15,
  )
