"""Sections of keys that several jobs have.

A job that means something else by a key has a section of its own below, which
changes that field.
"""

from __future__ import annotations

import dataclasses

from fbnax.base import cost_kinds
from fbnax.base.cost_kinds import COST_KINDS
from fbnax.jobs.runtime.configs import key

SEED = "seed of everything random"
JOB = "the job; not to be changed"
FIX = "decisions to cut: `decision=value,value;decision=value`"
SPACE = (
  "a name of `fbnax.spaces.names()`, a JSON file of `spaces.around`, or a part"
  " of your own"
)
OWN_SPACE = "the space, where the run's is a part of your own: named again"
RESOLUTION = "replaces the architecture's; 0 keeps it"
CLASS_NAMES = (
  "`cat,dog,…`, or a file with a name on each line, where the data has none"
)
ANY_ARCHITECTURE = (
  "name of the zoo, `resnet8`, `resnet18` or `wideresnet28_10`, JSON file, or a"
  " model's directory"
)
# Other defaults of `RecipeKeys`, of the jobs that train trees.
TREE_RECIPE = {
  "weight_decay": 5e-4,
  "ema": False,
  "dropout": 0.0,
  "mixup": 0.0,
}
RECIPE_FILE = "JSON file that replaces all of `recipe`"
TABLE = "file of trained networks (`fbnax/search/benchmarks/tables.py`)"
MODEL = "a finished model's directory"
HELD_OUT = "of the networks, on which predictors are judged"


@dataclasses.dataclass(frozen=True)
class SourceKeys:
  """Where images come from, and which of them are the test images."""

  name: str = key(
    "digits",
    "`digits`, `npz`, `folder`, `tfds`, `hf` (Hugging Face's datasets on disk,"
    " extra `datasets`), `webdataset`, or a part of your own",
  )
  path: str = key("", "file or folder of the data")
  tfds_name: str = key("", "name of the set below `data.path`, for `tfds`")
  test_fraction: float = key(
    0.2, "held out as test images where the source has none", "share"
  )
  max_images: int = key(0, "most images of each split; 0 for all", "images")
  decode_resolution: int = key(
    0, "size to which images are resized while they are read; 0 for none", "px"
  )
  folds: int = key(
    0,
    "parts that all images are dealt into, class by class, one of which is the"
    " test split, whatever `seed` is; 0 for the source's own split; for sets in"
    " memory",
  )
  fold: int = key(0, "which part is the test split, from 0")
  groups: str = key(
    "",
    "CSV file of image (its path below `data.path`) and group, for `folder`:"
    " images of a group, as of one patient or object, are never split between"
    " training, validation, test and folds",
  )
  pictures: bool = key(
    True,
    "result, report and trees may show pictures of the data; False where its"
    " licence forbids it",
  )


@dataclasses.dataclass(frozen=True)
class OwnDataKeys:
  """The data of finished runs of your own code."""

  name: str = key(
    "", "the data set, where a run's is a part of your own: named again"
  )


@dataclasses.dataclass(frozen=True)
class DataKeys(SourceKeys):
  """With validation images that are measured on after each epoch."""

  validation_fraction: float = key(
    0.25,
    "of the training images: not trained on, measured on after each epoch",
    "share",
  )


@dataclasses.dataclass(frozen=True)
class SearchDataKeys(SourceKeys):
  """With validation images that candidates are judged by."""

  validation_fraction: float = key(
    0.25, "of the training images, held out for the search", "share"
  )
  validation_images: int = key(
    0, "held out in place of a share; 0 for the share", "images"
  )


@dataclasses.dataclass(frozen=True)
class ThetaDataKeys(SearchDataKeys):
  """With validation images that theta is trained on."""

  validation_fraction: float = key(
    0.2, "of the training images, on which theta is trained", "share"
  )


@dataclasses.dataclass(frozen=True)
class MeshKeys:
  """How a training is spread over devices."""

  data: int = key(1, "that share a batch; 0 for all there are", "devices")


@dataclasses.dataclass(frozen=True)
class RecipeKeys:
  """How a network is trained, as a search may choose it."""

  optimizer: str = key("sgd", "`sgd`, `rmsprop` or `adamw`")
  learning_rate: float = key(
    0.2, "for 256 images; scaled in proportion to the batch"
  )
  weight_decay: float = key(1e-5, "of all weights but biases and BN")
  ema: bool = key(True, "averaged weights are the result")
  dropout: float = key(0.1, "in front of the classifier", "share")
  stochastic_depth: float = key(
    0.0, "of the last block, growing towards it", "share"
  )
  mixup: float = key(0.1, "alpha of the mixing ratios; 0 for none")


@dataclasses.dataclass(frozen=True)
class TrainingKeys:
  """How networks are trained, beside what a recipe says."""

  batch_size: int = key(64, "of a step", "images")
  schedule: str = key("cosine", "`exponential`, `cosine` or `step`")
  epochs: int = key(20, "of a training", "epochs")
  decay: float = key(
    0.963,
    "factor of the learning rate: per epoch of `exponential`, at each step of"
    " `step`",
  )
  warmup_epochs: float = key(1.0, "of linear growth", "epochs")
  ema_decay: float = key(0.99, "of averaged weights")
  ema_growing: bool = key(
    True,
    "that decay is approached as (1 + t) / (10 + t) in step t; the paper: False"
    " (equation 4.2)",
  )
  label_smoothing: float = key(0.1, "of the labels, spread evenly", "share")
  class_weights: str = key(
    "",
    "of an image in the loss, by its class: `balanced`, as if all classes had"
    " as many images, or numbers in the order of the classes, `1,2.5`; scaled"
    " so that the mean over the training images is 1; none for 1 each",
  )
  sampling: str = key(
    "uniform",
    "images of an epoch: `uniform`, each once, or `balanced`, each class"
    " equally often, those of small classes again and again",
    choices=("uniform", "balanced"),
  )
  flips: str = key(
    "auto",
    "random mirror images: `auto` (left to right, of colour images from 28"
    " pixels on), `none`, `horizontal` (left to right), `vertical` (upside"
    " down), or `both`",
    choices=("auto", "none", "horizontal", "vertical", "both"),
  )
  quarter_turns: bool = key(
    False, "images are turned by 0, 90, 180 or 270 degrees, at random"
  )
  augment: str = key(
    "none",
    "`none`, `autoaugment_imagenet`, `autoaugment_cifar10` or `randaugment`,"
    " beside crops and flips",
  )
  randaugment_operations: int = key(2, "for each image")
  randaugment_magnitude: float = key(9.0, "from 0 to 10")
  erasing: float = key(
    0.0, "probability that a rectangle of an image is erased", "share"
  )
  clip_norm: float = key(0.0, "largest norm of the gradient; 0 for any")
  accumulate: int = key(
    1, "parts of a batch whose gradients are averaged; a divisor of it"
  )
  precision: str = key(
    "auto",
    "what networks compute in: `float32`, `bfloat16`, or `auto`, which is"
    " bfloat16 on TPUs and on GPUs that have it",
  )
  distillation: float = key(
    0.8, "of the teacher's distribution in the loss", "share"
  )
  checkpoint_every: int = key(5, "between checkpoints", "epochs", least=1)


@dataclasses.dataclass(frozen=True)
class TreeTrainingKeys(TrainingKeys):
  """The published training of Neural-Backed Decision Trees."""

  schedule: str = key("step", "`exponential`, `cosine` or `step`")
  epochs: int = key(14, "of a training", "epochs")
  decay: float = key(
    0.1,
    "factor of the learning rate: per epoch of `exponential`, at each milestone"
    " of `step`",
  )
  milestones: tuple[float, ...] = key(
    (3 / 7, 5 / 7), "of the training, at which `step` decays", "share"
  )
  warmup_epochs: float = key(0.0, "of linear growth", "epochs")
  label_smoothing: float = key(0.0, "of the labels, spread evenly", "share")
  checkpoint_every: int = key(7, "between checkpoints", "epochs", least=1)


@dataclasses.dataclass(frozen=True)
class TreeKeys:
  """The hierarchy of a Neural-Backed Decision Tree, and its loss."""

  hierarchy: str = key(
    "induced",
    "`induced` (from the weights of a plain training), `wordnet`, `random`,"
    " `information_gain`, `oblique` (these two learn from features, and are not"
    " for members), or a file of node-link JSON",
  )
  wnids: str = key("", "file with the id of each class, for such a file")
  linkage: str = key(
    "ward",
    "of the clustering: `ward`, `average`, `complete`, `single`, `weighted`,"
    " `centroid`, `median`",
  )
  metric: str = key(
    "euclidean",
    "`euclidean`, `cosine`, `manhattan`, `chebyshev`, `correlation`; `ward`,"
    " `centroid` and `median` need the first",
  )
  normalize: bool = key(False, "rows of the weights are divided by their norms")
  loss: str = key(
    "soft",
    "`soft` (equation 5.3), `hard_per_node` (5.4), `hard` (the same over the"
    " decisions on the path in place of all nodes), `original_soft`,"
    " `original_hard` (as the original program computes them), or `none`",
  )
  schedule: str = key(
    "constant",
    "weights of the losses over time: `growing` (section 5.3) or `constant`"
    " (5.8)",
  )
  size: str = key(
    "small",
    "of the data set, for the paper's weights: `small` (CIFAR) or `large`"
    " (ImageNet)",
  )
  omega: float = key(
    -1.0,
    "weight of the tree loss, at the end where it grows; -1 for the paper's",
  )
  beta: float = key(
    -1.0,
    "weight of the plain loss, at the end where it decays; -1 for the paper's",
  )
  start: int = key(
    0, "before the first hierarchy that is made in training", "epochs"
  )
  end: int = key(
    0, "from which on no hierarchy is made; 0 for the last", "epochs"
  )
  period: int = key(
    0, "between two hierarchies; 0 for one from before the training", "epochs"
  )
  finetune_epochs: int = key(
    0,
    "of fine-tuning the plainly trained weights with the tree loss; 0 to train"
    " from random ones",
    "epochs",
    least=0,
  )
  finetune_learning_rate: float = key(
    0.01, "of fine-tuning, for 256 images", least=0
  )


@dataclasses.dataclass(frozen=True)
class ThetaSearchKeys:
  """How theta and the weights of a supernet are learned."""

  relaxation: str = key(
    "gumbel",
    "choice weights from theta: `gumbel`, `softmax`, or `single_path` (a hard"
    " sample with the soft one's gradient)",
  )
  sampling: str = key(
    "batch", "choice weights drawn for each `batch` or each `example`"
  )
  cost_of: str = key(
    "theta",
    "whether the cost is that of the `sample` of a step or of the softmax of"
    " `theta`",
  )
  combination: str = key(
    "target",
    "of cross entropy and cost: `additive`, `multiplicative`, `target`, or"
    " `none`, where nothing is paid",
  )
  omega: float = key(1.0, "exponent of the ratio in `target`")
  tolerance: float = key(
    0.05,
    "of the target, within which what is derived lies",
    "share",
    above=0,
    below=1,
  )
  derivation: str = key(
    "sample", "`argmax`, or the best by validation loss of a `sample`"
  )
  samples: int = key(8, "networks drawn for `sample`", least=1)
  epochs: int = key(15, "of the search", "epochs")
  frozen_epochs: int = key(
    3, "at the beginning, in which theta stays", "epochs"
  )
  batch_size: int = key(64, "of a step", "images", least=1)
  learning_rate: float = key(
    0.4,
    "of the weights for 256 images, by SGD with momentum and cosine; scaled in"
    " proportion to the batch",
  )
  weight_decay: float = key(1e-4, "of the weights")
  theta_learning_rate: float = key(0.1, "of theta, by Adam")
  temperature: float = key(5.0, "of the first epoch")
  annealing: float = key(
    0.27, "the temperature falls by e to the minus this", "per epoch"
  )


_MEMBERS = {"macs": (400e3, 800e3, 1600e3)}


@dataclasses.dataclass(frozen=True)
@cost_kinds.fields(
  tuple(COST_KINDS),
  "tuple[float, ...]",
  lambda kind: key(_MEMBERS.get(kind.name, ()), kind.budget, kind.budget_unit),
)
class LimitKeys:
  """Limits, a list for each cost."""


@dataclasses.dataclass(frozen=True)
class BudgetKeys(LimitKeys):
  """What the networks may cost."""

  table: str = key(
    "",
    "file of a latency table, of `configs/profile.py` or"
    " `configs/latency_predictor.py`",
  )
  floor: float = key(
    0.9,
    "least share of its budget that a member uses, of the first that is given",
    "share",
    least=0,
    below=1,
  )


@dataclasses.dataclass(frozen=True)
class PredictedEvolutionKeys:
  """How networks are sought with the predictor."""

  generations_apart: int = key(
    20,
    "in which each parent's family keeps a place; the paper: 0",
    "generations",
    least=0,
  )
  patience: int = key(
    3,
    "in a row without a gain until a budget has stopped; the paper: 1",
    "generations",
    least=1,
  )


@dataclasses.dataclass(frozen=True)
class UnseenKeys:
  """Classes that no network is trained on."""

  classes: str = key("", "held out of training, separated by commas")
  superclasses: str = key(
    "",
    "what they should be taken for: `animal=bird,cat;vehicle=ship,truck`",
  )
