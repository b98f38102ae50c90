"""The loss of equation 5.3 as an objective of the training loop.

Plain cross entropy and tree loss, weighed by a schedule over the progress of
training. The hierarchy is data and not part of the program, so that one that is
induced anew in training, and every other of as many nodes, costs no
compilation.

Symbols: `B` batch, `K` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fbnax.nbdt import losses, schedules
from fbnax.nbdt.hierarchy import Hierarchy

# What may be minimised beside the plain loss.
LOSSES: dict[str, Callable[..., jax.Array]] = {
  "soft": losses.soft_tree_loss,
  "hard": losses.hard_tree_loss,
  "hard_per_node": losses.hard_tree_loss_per_node,
  "original_soft": losses.original_soft_tree_loss,
  "original_hard": losses.original_hard_tree_loss,
}
SCHEDULES = ("growing", "constant")


class Given(NamedTuple):
  """The arrays that the objective takes.

  Attributes:
    hierarchy: over `K` classes.
    active: 1, or 0 as long as there is no hierarchy yet: the plain loss alone.
  """

  hierarchy: Hierarchy
  active: jax.Array


@dataclasses.dataclass(frozen=True)
class Supervision:
  """`beta` times the plain loss plus `omega` times a tree loss; hashable.

  Attributes:
    loss: one of `LOSSES`.
    schedule: "growing" (section 5.3) or "constant" (section 5.8).
    omega: weight of the tree loss, at the end where it grows.
    beta: weight of the plain loss, at the end where it decays.
  """

  loss: str = "soft"
  schedule: str = "growing"
  omega: float = schedules.OMEGA_END["small"]
  beta: float = 0.0

  def __post_init__(self) -> None:
    """Refuses what is no supervision."""
    if self.loss not in LOSSES:
      raise ValueError(f"loss is {self.loss!r}; legal: {', '.join(LOSSES)}")
    if self.schedule not in SCHEDULES:
      raise ValueError(
        f"schedule is {self.schedule!r}; legal: {', '.join(SCHEDULES)}"
      )
    self.weights(0.0)

  def weights(self, progress: float | jax.Array) -> schedules.Weights:
    """Both weights at a share of the training from 0 to 1.

    Raises:
      ValueError: one of them is negative.
    """
    if self.schedule == "growing":
      return schedules.growing(
        progress, omega_end=self.omega, beta_end=self.beta
      )
    return schedules.constant(progress, omega=self.omega, beta=self.beta)

  def __call__(
    self,
    plain: jax.Array,
    logits: jax.Array,
    targets: jax.Array,
    progress: jax.Array,
    given: Given,
  ) -> jax.Array:
    """The loss, `f32[]`: see `fbnax.training.model.Objective`.

    Args:
      plain: the plain loss, `f32[]`.
      logits: `f32[B, K]`.
      targets: `f32[B, K]`.
      progress: share of the training that is behind, `f32[]`.
      given: the hierarchy.
    """
    beta, omega = self.weights(progress)
    tree_loss = LOSSES[self.loss](logits, targets, given.hierarchy)
    both = beta * plain + omega * tree_loss
    return jnp.where(given.active > 0, both, plain)


def published(
  loss: str = "soft", schedule: str = "growing", size: str = "small"
) -> Supervision:
  """The weights of the paper, for small data sets (CIFAR) or large ones.

  Section 5.3's growing weights, or section 5.8's constant ones; a hard loss
  weighs ten times as much under both. That was found with the mean over all
  inner nodes, `hard_per_node`; the mean over decisions, `hard`, is larger, the
  more so the more classes there are.

  Args:
    loss: one of `LOSSES`.
    schedule: "growing" or "constant".
    size: "small" or "large".

  Raises:
    ValueError: none of these.
  """
  if size not in schedules.OMEGA:
    raise ValueError(f"size is {size!r}; legal: {', '.join(schedules.OMEGA)}")
  table = schedules.OMEGA_END if schedule == "growing" else schedules.OMEGA
  factor = schedules.HARD if "hard" in loss else 1.0
  beta = 0.0 if schedule == "growing" else 1.0
  return Supervision(loss, schedule, factor * table[size], beta)


def given(hierarchy: Hierarchy, active: bool = True) -> Given:
  """What a training loop hands to a `Supervision`, `Any` tree to it."""
  arrays: Any = jax.tree.map(jnp.asarray, hierarchy)
  return Given(arrays, jnp.float32(active))
