"""Keys of the job nbdt."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


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
  class_names: str = key("", sections.CLASS_NAMES)
  architecture: str = key("resnet8", sections.ANY_ARCHITECTURE)
  resolution: int = key(8, sections.RESOLUTION, "px")
  model: str = key(
    "", "directory of a trained model that stands for the plain network"
  )
  foreign: ForeignKeys = section(ForeignKeys)
  recipe_file: str = key("", sections.RECIPE_FILE)
  recipe: sections.RecipeKeys = section(
    sections.RecipeKeys, **sections.TREE_RECIPE
  )
  tree: sections.TreeKeys = section(sections.TreeKeys)
  unseen: sections.UnseenKeys = section(sections.UnseenKeys)
  mesh: sections.MeshKeys = section(sections.MeshKeys)
  training: sections.TreeTrainingKeys = section(sections.TreeTrainingKeys)
