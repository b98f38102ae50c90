"""A module as it is trained: its call, its choices and recipe, its teacher.

Symbols: `B` batch, `H`, `W`, `C` the images' shape, `K` classes.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from fbnax.training import augment
from fbnax.training.precision import lowered
from fbnax.training.recipes import RecipeNumbers, Settings


class Member(NamedTuple):
  """One network in training.

  Attributes:
    recipe: its numbers.
    choice: choice weights of a `Supernet`, None for any other module.
    key: random key; everything random follows from it and the step.
    given: arrays that the model's objective takes, None where it has none.
  """

  recipe: RecipeNumbers
  choice: Any
  key: jax.Array
  given: Any = None


class Objective(Protocol):
  """What is minimised in place of the plain loss; compiled in, so hashable.

  The plain loss is the cross entropy with the targets, or with them and the
  teacher. The targets are the labels' distribution, `f32[B, K]`: smoothed, and
  under mixup the mix of both images' labels; where classes are weighted, times
  the weight of the label's class. Progress, `f32[]`, is the share of the
  training that is behind: 0 in its first step, below 1 in its last.
  """

  def __call__(
    self,
    plain: jax.Array,
    logits: jax.Array,
    targets: jax.Array,
    progress: jax.Array,
    given: Any,
  ) -> jax.Array:
    """The loss, `f32[]`, from the plain one and `Member.given`."""
    ...

  def __hash__(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class Model:
  """A module and what is known about its call.

  Attributes:
    module: called as `module.apply(variables, images, train=bool)`; takes
      `dropout` and `stochastic_depth` if its call names them, and choice
      weights second if it is a supernet.
    teacher: a model whose logits are taught, None for none.
    teacher_resolution: pixels of the teacher's images, 0 for the student's.
    teacher_mean: of each channel, in units where white is 1, as the teacher's
      images are normalised; None for the student's.
    teacher_std: likewise.
    objective: in place of the plain loss, None for that.

  A teacher may be any module that is called like this: not one of ours, and
  trained elsewhere.
  """

  module: nn.Module
  teacher: Model | None = None
  teacher_resolution: int = 0
  teacher_mean: tuple[float, ...] | None = None
  teacher_std: tuple[float, ...] | None = None
  objective: Objective | None = None

  def __post_init__(self) -> None:
    """Refuses half a normalisation, and one that divides by zero."""
    mean, std = self.teacher_mean, self.teacher_std
    if (mean is None) != (std is None):
      raise ValueError(
        f"teacher_mean is {mean!r} and teacher_std {std!r}; legal: both or "
        "neither"
      )
    if (
      mean is not None
      and std is not None
      and (len(mean) != len(std) or min(std, default=0) <= 0)
    ):
      raise ValueError(
        f"teacher_std is {std!r}; legal: above 0, for each of {len(mean)} "
        "channels"
      )

  def logits(self, variables: Any, choice: Any, images: jax.Array) -> Any:
    """Logits in evaluation, `f32[B, K]`."""
    extra = () if choice is None else (choice,)
    return self.module.apply(variables, images, *extra, train=False)

  def train_logits(
    self, variables: Any, member: Member, images: jax.Array, key: jax.Array
  ) -> tuple[jax.Array, Any]:
    """Logits in training `f32[B, K]`, and the new `batch_stats`."""
    extra = () if member.choice is None else (member.choice,)
    accepted = inspect.signature(type(self.module).__call__).parameters
    rates = {
      name: getattr(member.recipe, name)
      for name in ("dropout", "stochastic_depth")
      if name in accepted
    }
    logits, updated = self.module.apply(
      variables,
      images,
      *extra,
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key},
      **rates,
    )
    return logits, updated.get("batch_stats", {})

  def taught(
    self, variables: Any, settings: Settings, images: jax.Array, ratio: Any
  ) -> jax.Array | None:
    """The teacher's logits on a batch that is mixed with itself.

    Args:
      variables: of the teacher.
      settings: the student's.
      images: `[B, H, W, C]`, values of 0..255.
      ratio: see `augment.mix`.

    Returns:
      `f32[B, K]`, None if there is no teacher.
    """
    if self.teacher is None:
      return None
    prepared = dataclasses.replace(
      settings,
      resolution=self.teacher_resolution or settings.resolution,
      mean=self.teacher_mean or settings.mean,
      std=self.teacher_std or settings.std,
    )
    x = augment.mix(augment.prepare(images, prepared), ratio)
    params = lowered(settings, variables["params"])
    now = {**variables, "params": params}
    logits = self.teacher.logits(now, None, lowered(settings, x))
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
