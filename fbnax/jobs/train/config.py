"""Keys of the job train, for a first training and for fine-tuning."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """One network, any architecture with any recipe."""

  job: str = key("train", sections.JOB)
  seed: int = key(0, sections.SEED)
  data: sections.DataKeys = section(sections.DataKeys)
  architecture: str = key(
    "fbnet_96", "name of the zoo, JSON file, or a model's directory"
  )
  resolution: int = key(32, sections.RESOLUTION, "px")
  small_images: bool = key(
    False,
    "moves a network of 224 pixels or so to a seventh of them: its second block"
    " of stride two gets stride one (Wan 2022, section 4.4)",
  )
  recipe_file: str = key("", sections.RECIPE_FILE)
  recipe: sections.RecipeKeys = section(sections.RecipeKeys)
  teacher: str = key("", "directory of a finished model that is distilled")
  mesh: sections.MeshKeys = section(sections.MeshKeys)
  training: sections.TrainingKeys = section(sections.TrainingKeys)


@dataclasses.dataclass(frozen=True)
class FinetuneTrainingKeys(sections.TrainingKeys):
  """How a network is trained on from weights that are there."""

  head_epochs: float = key(
    0.0, "in the beginning, in which the classifier alone is trained", "epochs"
  )
  trunk_rate: float = key(
    1.0, "factor of the learning rate of all layers but the classifier"
  )


@dataclasses.dataclass(frozen=True)
class FinetuneConfig(TrainConfig):
  """Trains on from weights of another program."""

  weights: str = key(
    "",
    "safetensors file, or file of torch.save, of timm's networks, of the"
    " official models or of EfficientNets; lite0 (extra lite0); or"
    " hf:OWNER/NAME@REVISION (extra hub)",
  )
  architecture: str = key(
    "timm_fbnetc_100",
    "that the weights are of: name of the zoo, JSON file, or a model's"
    " directory; with weights lite0 theirs, not the default",
  )
  resolution: int = key(0, sections.RESOLUTION, "px")
  mean: tuple[float, ...] = key(
    (0.485, 0.456, 0.406),
    "of each channel, where white is 1; none for the data set's own; with"
    " weights lite0 theirs, not the default",
  )
  std: tuple[float, ...] = key(
    (0.229, 0.224, 0.225),
    "deviation of each channel, where white is 1; none for the data set's own;"
    " with weights lite0 theirs, not the default",
    above=0,
  )
  recipe: sections.RecipeKeys = section(
    sections.RecipeKeys, learning_rate=0.02, dropout=0.2, mixup=0.0
  )
  training: FinetuneTrainingKeys = section(FinetuneTrainingKeys, epochs=10)
