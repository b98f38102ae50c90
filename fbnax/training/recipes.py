"""A recipe as numbers, and what all candidates of a run share.

Recipes enter a compiled program as traced numbers, so that one program trains
any of them. `Settings` is what is compiled in.

Symbols: `P` members of a population.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fbnax.base.checks import check_section
from fbnax.spaces.recipe import OPTIMIZERS, Recipe
from fbnax.training import policies
from fbnax.training.policy_tables import MAX_MAGNITUDE

SCHEDULES = ("exponential", "cosine", "step")
AUGMENTATIONS = ("none", *policies.NAMES)
PRECISIONS = ("float32", "bfloat16")
SAMPLINGS = ("uniform", "balanced")
REFERENCE_BATCH = 256
_LONGEST_WARMUP = 1_000_000  # Epochs.
_FASTEST_TRUNK = 1000.0  # Times the classifier's learning rate.


class RecipeNumbers(NamedTuple):
  """A `Recipe` as numbers, `f32[]` each or `f32[P]` stacked.

  Attributes:
    rmsprop: 1 if that is the optimizer.
    sgd: 1 if that is the optimizer.
    adamw: 1 if that is the optimizer.
    learning_rate: for a batch of 256.
    weight_decay: L2 coefficient.
    ema: 1 if averaged weights are the result.
    dropout: probability.
    stochastic_depth: probability at the last block.
    mixup: alpha of the Beta distribution.
  """

  rmsprop: jax.Array
  sgd: jax.Array
  adamw: jax.Array
  learning_rate: jax.Array
  weight_decay: jax.Array
  ema: jax.Array
  dropout: jax.Array
  stochastic_depth: jax.Array
  mixup: jax.Array


@dataclasses.dataclass(frozen=True)
class Settings:
  """How every network of a run is trained, whatever its recipe.

  Attributes:
    epochs: length of the learning-rate schedule; training may stop earlier.
    batch_size: images per step.
    resolution: pixels; images are resized to its square.
    mean: of each channel, in units where white is 1.
    std: of each channel, likewise.
    schedule: "exponential", "cosine" or "step".
    decay: factor of the learning rate per epoch (exponential), or at each
      milestone (step).
    milestones: shares of the training after its warmup, ascending, of "step";
      () for three equal parts.
    warmup_epochs: epochs of linear growth from zero in front.
    momentum: of RMSProp and SGD, first moment of AdamW.
    rms_decay: of RMSProp's average of squares.
    rms_epsilon: added to that average under the root.
    ema_decay: of the averaged weights.
    ema_growing: the decay of step t is at most (1 + t) / (10 + t); without it
      the first weights, which are random, are in the average for long.
    label_smoothing: share of the target spread over all classes.
    class_weights: of an image in the loss, by its class; () for 1 each.
    sampling: which images an epoch shows, a name of
      `SAMPLINGS`; see `fbnax.training.sampling`.
    flip: mirror every second image.
    vertical_flip: turn every second image upside down.
    quarter_turns: turn images by a random multiple of 90 degrees.
    crop_padding: pixels of padding before a random crop, 0 for none.
    distillation: weight of the teacher's distribution beside the label's,
      where there is a teacher.
    augment: a policy of `fbnax.training.policies`, or "none".
    randaugment_operations: for each image.
    randaugment_magnitude: from 0 to 10.
    erasing: probability that a rectangle of an image is erased.
    clip_norm: largest norm of the gradient, all parameters together; 0 for
      any.
    accumulate: parts that a batch is split into, one after the other; their
      gradients are averaged. See `fbnax.training.gradients`.
    head_epochs: epochs in the beginning in which the classifier alone moves.
    trunk_rate: factor of the learning rate of all other layers; 0 leaves them
      as they are.
    precision: what a network computes in, "float32" or "bfloat16"; see
      `fbnax.training.precision`.
    mesh: the devices that share the work, see `fbnax.training.mesh`; None for
      one.
  """

  epochs: int
  batch_size: int
  resolution: int
  mean: tuple[float, ...]
  std: tuple[float, ...]
  schedule: str = "exponential"
  decay: float = 0.963
  milestones: tuple[float, ...] = ()
  warmup_epochs: float = 0.0
  momentum: float = 0.9
  rms_decay: float = 0.9
  rms_epsilon: float = 1e-3
  ema_decay: float = 0.999
  ema_growing: bool = True
  label_smoothing: float = 0.1
  class_weights: tuple[float, ...] = ()
  sampling: str = "uniform"
  flip: bool = False
  vertical_flip: bool = False
  quarter_turns: bool = False
  crop_padding: int = 0
  distillation: float = 0.8
  augment: str = "none"
  randaugment_operations: int = 2
  randaugment_magnitude: float = 9.0
  erasing: float = 0.0
  clip_norm: float = 0.0
  accumulate: int = 1
  head_epochs: float = 0.0
  trunk_rate: float = 1.0
  precision: str = "float32"
  mesh: Mesh | None = None

  def __post_init__(self) -> None:
    """Refuses settings that nothing can be trained with."""
    checks = {
      "epochs": (self.epochs >= 1, "at least 1"),
      "batch_size": (self.batch_size >= 1, "at least 1"),
      "resolution": (self.resolution >= 1, "at least 1"),
      "std": (
        len(self.std) == len(self.mean) and min(self.std, default=0) > 0,
        f"above 0, for each of {len(self.mean)} channels",
      ),
      "schedule": (self.schedule in SCHEDULES, ", ".join(SCHEDULES)),
      "decay": (0 < self.decay <= 1, "above 0, at most 1"),
      "milestones": (
        all(isinstance(m, float) and 0 < m < 1 for m in self.milestones)
        and list(self.milestones) == sorted(set(self.milestones)),
        "shares above 0 and below 1, ascending",
      ),
      "warmup_epochs": (
        0 <= self.warmup_epochs <= _LONGEST_WARMUP,
        f"from 0 to {_LONGEST_WARMUP:,}",
      ),
      "momentum": (0 <= self.momentum < 1, "at least 0, below 1"),
      "rms_decay": (0 <= self.rms_decay < 1, "at least 0, below 1"),
      "rms_epsilon": (self.rms_epsilon > 0, "above 0"),
      "ema_decay": (0 <= self.ema_decay < 1, "at least 0, below 1"),
      "label_smoothing": (0 <= self.label_smoothing < 1, "from 0, below 1"),
      "class_weights": (
        all(math.isfinite(w) and w >= 0 for w in self.class_weights)
        and (not self.class_weights or max(self.class_weights) > 0),
        "numbers from 0, one of them above",
      ),
      "sampling": (self.sampling in SAMPLINGS, ", ".join(SAMPLINGS)),
      "crop_padding": (self.crop_padding >= 0, "at least 0"),
      "distillation": (0 <= self.distillation <= 1, "from 0 to 1"),
      "augment": (self.augment in AUGMENTATIONS, ", ".join(AUGMENTATIONS)),
      "randaugment_operations": (
        self.randaugment_operations >= 1,
        "at least 1",
      ),
      "randaugment_magnitude": (
        0 <= self.randaugment_magnitude <= MAX_MAGNITUDE,
        f"from 0 to {MAX_MAGNITUDE:g}",
      ),
      "erasing": (0 <= self.erasing <= 1, "from 0 to 1"),
      "clip_norm": (self.clip_norm >= 0, "at least 0"),
      "head_epochs": (
        0 <= self.head_epochs <= _LONGEST_WARMUP,
        f"from 0 to {_LONGEST_WARMUP:,}",
      ),
      "trunk_rate": (
        0 <= self.trunk_rate <= _FASTEST_TRUNK,
        f"from 0 to {_FASTEST_TRUNK:g}",
      ),
      "precision": (
        self.precision in PRECISIONS,
        f"auto, {', '.join(PRECISIONS)}",
      ),
      "accumulate": (
        self.accumulate >= 1 and self.batch_size % self.accumulate == 0,
        f"a divisor of batch_size, {self.batch_size}",
      ),
    }
    check_section("training", self, checks)


def as_numbers(recipe: Recipe) -> RecipeNumbers:
  """The numbers of one recipe, `f32[]` each."""
  recipe.validate()
  chosen = {name: float(name == recipe.optimizer) for name in OPTIMIZERS}
  rest = {
    name: float(getattr(recipe, name))
    for name in RecipeNumbers._fields
    if name not in OPTIMIZERS
  }
  return RecipeNumbers(
    **{k: jnp.asarray(v, jnp.float32) for k, v in (chosen | rest).items()}
  )


def stack(recipes: Sequence[Recipe]) -> RecipeNumbers:
  """The numbers of a population's recipes, `f32[P]` each."""
  return jax.tree.map(
    lambda *leaves: jnp.stack(leaves), *(as_numbers(r) for r in recipes)
  )
