"""What a differentiable search is, and what of it changes.

`SearchPlan` and `SearchProblem` are compiled in; a `SearchState` holds the
weights of a supernet and `theta`, one vector of logits per decision, and is all
that a search needs to go on. `choice_weights` turns `theta` into the choice
weights that the supernet and the cost share (Wan 2022, equations 3.3 to 3.10).

Symbols: `B` examples of a batch, `D` decisions.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fbnax.base.checks import check_section
from fbnax.ops.gumbel import MODES, relaxed
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.prices import Price
from fbnax.training import optimizers
from fbnax.training.model import Model
from fbnax.training.recipes import Settings

SAMPLINGS = ("batch", "example")
COSTS_OF = ("sample", "theta")
# Far below any logit that a search reaches, and finite at any temperature.
_ABSENT = -1e9


@dataclasses.dataclass(frozen=True)
class SearchPlan:
  """How a search goes, whatever the space and the data.

  Attributes:
    relaxation: `gumbel`, `softmax` or `single_path` (see `ops.relaxed`).
    sampling: choice weights for each `batch`, or for each `example`.
    cost_of: the cost is that of the step's `sample` of choice weights, as
      published, or of `theta`: of `softmax(theta)`, the probabilities that
      networks are derived with, which no noise and no temperature blurs.
    epochs: of the search.
    frozen_epochs: at its start, in which `theta` stays as it is.
    temperature: of the first epoch.
    annealing: rate at which it falls: it is multiplied by exp(-annealing)
      after each epoch.
    learning_rate: of the weights, for a batch of 256 images.
    weight_decay: of the weights, L2.
    theta_learning_rate: Adam's.
  """

  relaxation: str = "gumbel"
  sampling: str = "batch"
  cost_of: str = "sample"
  epochs: int = 90
  frozen_epochs: int = 10
  temperature: float = 5.0
  annealing: float = 0.045
  learning_rate: float = 0.1
  weight_decay: float = 1e-4
  theta_learning_rate: float = 0.01

  @classmethod
  def of(cls, keys: Any) -> SearchPlan:
    """The plan that a section of keys says, by the names of the attributes."""
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: getattr(keys, name) for name in names})

  def __post_init__(self) -> None:
    """Refuses plans that nothing can be searched by."""
    checks = {
      "relaxation": (self.relaxation in MODES, ", ".join(MODES)),
      "sampling": (
        self.sampling in SAMPLINGS
        and (self.sampling, self.relaxation) != ("example", "single_path"),
        f"{', '.join(SAMPLINGS)}; with single_path: batch",
      ),
      "cost_of": (self.cost_of in COSTS_OF, ", ".join(COSTS_OF)),
      "epochs": (self.epochs >= 1, "at least 1"),
      "frozen_epochs": (
        0 <= self.frozen_epochs < self.epochs,
        f"at least 0, below search.epochs, {self.epochs}",
      ),
      "temperature": (self.temperature > 0, "above 0"),
      "annealing": (self.annealing >= 0, "at least 0"),
      "learning_rate": (self.learning_rate > 0, "above 0"),
      "weight_decay": (self.weight_decay >= 0, "at least 0"),
      "theta_learning_rate": (self.theta_learning_rate > 0, "above 0"),
    }
    check_section("search", self, checks)


@dataclasses.dataclass(frozen=True, eq=False)
class SearchProblem:
  """All that is compiled into a search.

  Attributes:
    model: a module that takes choice weights second, such as a `Supernet`.
    settings: of the training; `epochs` is the plan's.
    price: what is paid, and the space.
    penalty: how.
    plan: how the search goes.
    weight_steps: in an epoch.
    theta_steps: in an epoch.
    looped: steps on images on the device are a loop in one program; else each
      is a program's run of its own, which is the faster for modules with plain
      convolutions on a CPU: in loops XLA's take 8 times as long backward.
  """

  model: Model
  settings: Settings
  price: Price
  penalty: Penalty
  plan: SearchPlan
  weight_steps: int
  theta_steps: int
  looped: bool = True

  @property
  def steps(self) -> int:
    """Steps of an epoch, of both kinds."""
    return self.weight_steps + self.theta_steps


class Sums(NamedTuple):
  """Over the steps of the current epoch, `f32[]` each.

  Attributes:
    loss: cross entropy of the weight steps, nats.
    accuracy: of the weight steps.
    theta_loss: cross entropy of the theta steps.
    theta_accuracy: of the theta steps.
    objective: what the theta steps made small.
  """

  loss: jax.Array
  accuracy: jax.Array
  theta_loss: jax.Array
  theta_accuracy: jax.Array
  objective: jax.Array


class SearchState(NamedTuple):
  """What a search changes.

  Attributes:
    step: steps taken or passed over, of both kinds, `i32[]`.
    variables: `params` and `batch_stats` of the supernet.
    optimizer: of the weights; see `fbnax.training.optimizers`.
    theta: logits, `f32[choices]` per decision.
    adam: the optimizer's state of `theta`.
    sums: of this epoch.
    failed: the first step that left a number that is not finite, -1 for none.
    key: random key of the search; it does not change.
  """

  step: jax.Array
  variables: Any
  optimizer: optimizers.OptimizerState
  theta: tuple[jax.Array, ...]
  adam: Any
  sums: Sums
  failed: jax.Array
  key: jax.Array


def start(
  problem: SearchProblem, variables: Any, key: jax.Array
) -> SearchState:
  """The state before the first step; all choices are as likely."""
  variables = {"batch_stats": {}, **variables}
  theta = tuple(jnp.zeros(k) for k in problem.price.space.choices)
  return SearchState(
    step=jnp.zeros((), jnp.int32),
    variables=variables,
    optimizer=optimizers.init(variables["params"]),
    theta=theta,
    adam=adam(problem.plan).init(theta),
    sums=Sums(*(jnp.zeros(()) for _ in Sums._fields)),
    failed=jnp.full((), -1, jnp.int32),
    key=key,
  )


def temperature(plan: SearchPlan, epoch: Any) -> Any:
  """Of an epoch, from 0: 5.0 x exp(-0.045) per epoch as published."""
  return plan.temperature * jnp.exp(-plan.annealing * epoch)


def choice_weights(
  plan: SearchPlan,
  key: jax.Array,
  theta: tuple[jax.Array, ...],
  temperature: Any,
  batch: int,
) -> tuple[jax.Array, ...]:
  """Relaxed choices of all decisions; equation 3.4 of Wan 2022.

  Args:
    plan: the relaxation, and whether it is drawn for each example.
    key: random key.
    theta: `f32[choices]` per decision.
    temperature: above 0.
    batch: `B`.

  Returns:
    `f32[choices]`, or `f32[B, choices]`, per decision.
  """
  # One draw for all: each on its own takes as long to compile.
  widest = max(len(t) for t in theta)
  logits = jnp.stack(
    [jnp.pad(t, (0, widest - len(t)), constant_values=_ABSENT) for t in theta]
  )
  samples = (batch,) if plan.sampling == "example" else ()
  drawn = relaxed(key, logits, temperature, plan.relaxation, samples)
  return tuple(drawn[..., i, : len(t)] for i, t in enumerate(theta))


def adam(plan: SearchPlan) -> optax.GradientTransformation:
  """The optimizer of `theta`."""
  return optax.adam(plan.theta_learning_rate)
