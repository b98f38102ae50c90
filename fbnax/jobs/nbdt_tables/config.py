"""Keys of the job nbdt_tables."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class TableKeys:
  """What is compared."""

  seeds: int = key(3, "trainings of each network", least=1)
  hierarchies: tuple[str, ...] = key(
    ("induced", "random"),
    "trained with all of `losses`; kinds as `tree.hierarchy`",
  )
  others: tuple[str, ...] = key(
    ("information_gain", "oblique"),
    "hierarchies that are trained with the first loss alone",
  )
  losses: tuple[str, ...] = key(("soft", "hard"), "the first is the main one")
  schedules: tuple[str, ...] = key(
    ("constant", "growing"),
    "the first is the main one; others with the first hierarchy alone",
  )
  updates: tuple[str, ...] = key(
    ("5:9:1",),
    "hierarchies made in training, each `start:end:period`",
    "epochs",
  )


@dataclasses.dataclass(frozen=True)
class NbdtTablesConfig:
  """Hierarchies, tree losses and schedules, compared over seeds."""

  job: str = key("nbdt_tables", sections.JOB)
  seed: int = key(0, "first of the seeds")
  data: sections.SourceKeys = section(sections.SourceKeys)
  class_names: str = key("", sections.CLASS_NAMES)
  architecture: str = key("resnet8", sections.ANY_ARCHITECTURE)
  resolution: int = key(8, sections.RESOLUTION, "px")
  recipe_file: str = key("", sections.RECIPE_FILE)
  recipe: sections.RecipeKeys = section(
    sections.RecipeKeys, **sections.TREE_RECIPE
  )
  tables: TableKeys = section(TableKeys)
  tree: sections.TreeKeys = section(sections.TreeKeys)
  unseen: sections.UnseenKeys = section(sections.UnseenKeys)
  training: sections.TreeTrainingKeys = section(sections.TreeTrainingKeys)
