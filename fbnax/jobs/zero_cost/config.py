"""Keys of the job zero_cost."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class CellKeys:
  """Networks of the space `nasbench201`."""

  channels: int = key(16, "of the first stage", least=1)
  per_stage: int = key(5, "cells in each stage", least=1)
  affine: bool = key(False, "BN in the cells has a scale and an offset")
  biased: bool = key(True, "convolutions in the cells are biased")


@dataclasses.dataclass(frozen=True)
class ZeroCostConfig:
  """Scores of networks that are not trained."""

  job: str = key("zero_cost", sections.JOB)
  seed: int = key(0, "of weights, images and networks")
  space: str = key("small", sections.SPACE)
  fix: str = key("resolution=8", sections.FIX)
  resolution: int = key(
    0,
    "of the images; 0 for the space's own, or for `nasbench201` the data's;"
    " MACs stay those of the space's own",
    "px",
  )
  table: str = key("", sections.TABLE)
  sample: int = key(
    64, "0 for all of a table or a small space", "networks", least=0
  )
  proxies: tuple[str, ...] = key(
    ("grad_norm", "snip", "grasp", "jacob_cov", "synflow", "zico"),
    "of `fbnax.proxies.names()`",
  )
  batch_size: int = key(32, "that networks are scored on", "images")
  redraw: bool = key(
    False, "weights are drawn anew for each network, not once for all"
  )
  chunk: int = key(8, "that a kill can cost", "networks", least=1)
  bootstrap: int = key(1000, "draws for the 95% intervals; 0 for none", least=0)
  best: float = key(
    0.1,
    "of the networks by accuracy, for a correlation of their own",
    "share",
    above=0,
    most=1,
  )
  cells: CellKeys = section(CellKeys)
  data: sections.SourceKeys = section(sections.SourceKeys)
