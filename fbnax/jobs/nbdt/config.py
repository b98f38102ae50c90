"""Keys of the jobs nbdt and nbdt_tables: Neural-Backed Decision Trees."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section

_CLASS_NAMES = (
  "`cat,dog,…`, or a file with a name on each line, where the data has none"
)
_ARCHITECTURE = (
  "name of the zoo, `resnet8`, `resnet18` or `wideresnet28_10`, JSON file, or a"
  " model's directory"
)
_RECIPE = {
  "weight_decay": 5e-4,
  "ema": False,
  "dropout": 0.0,
  "mixup": 0.0,
}


@dataclasses.dataclass(frozen=True)
class ForeignKeys:
  """A classifier from elsewhere."""

  weights: str = key(
    "",
    "`.npy`, `.npz` or `.safetensors` with the weights of its last layer,"
    " `[K, D]`",
  )
  logits: str = key(
    "",
    "file with `logits` `[N, K]`, and perhaps `labels`, `images`,"
    " `class_names`; none for the file of the weights",
  )
  # The last, since it hides the function.
  key: str = key(
    "",
    "name of the weights in the file; none for the usual ones, such as"
    " `fc.weight`",
  )


@dataclasses.dataclass(frozen=True)
class NbdtConfig:
  """A classifier as a tree of decisions."""

  job: str = key("nbdt", sections.JOB)
  seed: int = key(0, sections.SEED)
  data: sections.DataKeys = section(sections.DataKeys, validation_fraction=0.1)
  class_names: str = key("", _CLASS_NAMES)
  architecture: str = key("resnet8", _ARCHITECTURE)
  resolution: int = key(8, sections.RESOLUTION, "px")
  model: str = key(
    "", "directory of a trained model that stands for the plain network"
  )
  foreign: ForeignKeys = section(ForeignKeys)
  recipe_file: str = key("", sections.RECIPE_FILE)
  recipe: sections.RecipeKeys = section(sections.RecipeKeys, **_RECIPE)
  tree: sections.TreeKeys = section(sections.TreeKeys)
  unseen: sections.UnseenKeys = section(sections.UnseenKeys)
  mesh: sections.MeshKeys = section(sections.MeshKeys)
  training: sections.TreeTrainingKeys = section(sections.TreeTrainingKeys)


@dataclasses.dataclass(frozen=True)
class TableKeys:
  """What is compared."""

  seeds: int = key(3, "trainings of each network")
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
  class_names: str = key("", _CLASS_NAMES)
  architecture: str = key("resnet8", _ARCHITECTURE)
  resolution: int = key(8, sections.RESOLUTION, "px")
  recipe_file: str = key("", sections.RECIPE_FILE)
  recipe: sections.RecipeKeys = section(sections.RecipeKeys, **_RECIPE)
  tables: TableKeys = section(TableKeys)
  tree: sections.TreeKeys = section(sections.TreeKeys)
  unseen: sections.UnseenKeys = section(sections.UnseenKeys)
  training: sections.TreeTrainingKeys = section(sections.TreeTrainingKeys)
