"""Keys of the job eval."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class EvalConfig:
  """A finished model measured on a data set."""

  job: str = key("eval", sections.JOB)
  seed: int = key(0, "of the choice of images")
  model: str = key("", sections.MODEL)
  split: str = key("test", "`test` or `train`", choices=("test", "train"))
  batch_size: int = key(256, "at a time", "images")
  data: sections.DataKeys = section(sections.DataKeys)
