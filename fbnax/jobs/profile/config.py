"""Keys of the job profile."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key


@dataclasses.dataclass(frozen=True)
class ProfileConfig:
  """The latency table of a space on this device."""

  job: str = key("profile", sections.JOB)
  seed: int = key(0, sections.SEED)
  space: str = key("small_dnas", sections.SPACE)
  fix: str = key("", sections.FIX)
  input_channels: int = key(3, "of the images", least=1)
  num_classes: int = key(10, "of the networks", least=1)
  batch_size: int = key(1, "at a time", "images", least=1)
  widths: int = key(
    2,
    "values of each width that are measured, from lowest to highest, between"
    " which the table interpolates; 0 for all",
  )
  warmup: int = key(2, "runs of each part that are not counted", least=0)
  repeats: int = key(
    100, "measurements of each part, of which the median is taken", least=1
  )
  loops: int = key(16, "passes in one timed call", least=1)
  networks: int = key(20, "random networks, to compare the sums with", least=0)
