"""Keys of the job autobuild."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class GraphTrainingKeys:
  """How graph predictors are trained."""

  seeds: int = key(
    3, "predictors of each label, whose scores are averaged", least=1
  )
  epochs: int = key(
    100,
    "of training; the paper's are 200, at its learning rate",
    "epochs",
    least=1,
  )
  batch_size: int = key(128, "in a step", "networks", least=2)
  learning_rate: float = key(1e-3, "of AdamW; the paper's is 1e-4", above=0)
  weight_decay: float = key(1e-5, "of AdamW")
  hidden: int = key(32, "width of the graph predictor", least=1)
  hops: int = key(4, "of graph attention", least=0)


@dataclasses.dataclass(frozen=True)
class ModuleSearchKeys:
  """Evolution over modules."""

  top: int = key(
    15, "modules of every stage that are kept for each label", least=1
  )
  seeds: int = key(10, "searches by each method; 0 for none", least=0)
  first: int = key(50, "of the first, random population", "networks", least=2)
  rounds: int = key(4, "of children", least=1)
  children: int = key(50, "of each round", "networks", least=1)


@dataclasses.dataclass(frozen=True)
class AutobuildConfig:
  """Which building blocks matter, learned from labelled networks."""

  job: str = key("autobuild", sections.JOB)
  seed: int = key(0, sections.SEED)
  labels: str = key(
    "", "file of labelled networks: .csv, .json or a published .npz"
  )
  space: str = key(
    "", f"of the networks: {sections.SPACE}; a published .npz tells it"
  )
  fix: str = key("", sections.FIX)
  accuracy: str = key(
    "acc_l1", "column of `labels` that networks shall have much of"
  )
  cost: str = key(
    "latency_gpu_l1", "column that they shall have little of, above 0"
  )
  expressions: tuple[str, ...] = key(
    ("acc_l1", "acc_l1 * 100 / latency_gpu_l1"),
    "labels that are learned: columns, numbers, + - * / // % **, and log, log2,"
    " log10, exp, sqrt, abs, min, max",
  )
  region: float = key(
    0.0,
    "a further label is chosen by itself for networks of about this cost; 0 for"
    " none",
    "as `cost`",
  )
  held_out: float = key(0.1, sections.HELD_OUT, "share")
  test_rows: str = key(
    "",
    "JSON file with the list of rows that are held out, in place of `held_out`",
  )
  top: int = key(
    3, "modules of every stage that networks are put together from", least=1
  )
  predictor: GraphTrainingKeys = section(GraphTrainingKeys)
  search: ModuleSearchKeys = section(ModuleSearchKeys)
