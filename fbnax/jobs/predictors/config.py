"""Keys of the job predictors."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key


@dataclasses.dataclass(frozen=True)
class PredictorsConfig:
  """What pretraining saves in labels."""

  job: str = key("predictors", sections.JOB)
  seed: int = key(0, sections.SEED)
  table: str = key("", sections.TABLE)
  run: str = key("", "directory of a finished search, in place of the table")
  labels: tuple[int, ...] = key(
    (25, 50, 100, 200, 400, 800), "to learn from", "networks"
  )
  held_out: int = key(4000, "to measure on", "networks", least=2)
  seeds: int = key(10, "draws of the labels", least=1)
  pool: int = key(20_000, "for pretraining", "points")
  predictors: int = key(8, "size of the ensemble", least=1)
  num_classes: int = key(1000, "of the networks, for their costs")
  proxies: str = key(
    "",
    "directory of a finished run of `zero_cost` on the same space, for one more"
    " learner, which is pretrained on its scores too",
  )
  # The three that vote in Abdelfattah et al. 2021: chosen by no accuracy.
  proxy_names: tuple[str, ...] = key(
    ("synflow", "jacob_cov", "snip"), "which of its scores"
  )
