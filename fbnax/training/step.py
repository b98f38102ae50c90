"""One training step of any network, and evaluation; pure functions.

A `Member` is what makes one candidate differ from the next: recipe, choice
weights, random key. `train_step` and `train_epoch` are written for one member
and are run over a population by `vmap`.

Symbols: `B` batch, `N` images, `H`, `W`, `C` their shape, `K` classes.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from fbnax.training import augment, losses, optimizers
from fbnax.training.recipes import RecipeNumbers, Settings


class Member(NamedTuple):
  """One network in training.

  Attributes:
    recipe: its numbers.
    choice: choice weights of a `Supernet`, None for any other module.
    key: random key; everything random follows from it and the step.
  """

  recipe: RecipeNumbers
  choice: Any
  key: jax.Array


class TrainState(NamedTuple):
  """What training changes.

  Attributes:
    step: steps taken, `i32[]`.
    variables: `params` and `batch_stats` of the module.
    optimizer: see `fbnax.training.optimizers`.
    ema: the moving average of all `variables` as one vector, `f32[n]`.
  """

  step: jax.Array
  variables: Any
  optimizer: optimizers.OptimizerState
  ema: Any


class Metrics(NamedTuple):
  """Means over images: loss or log-loss in nats, accuracy from 0 to 1."""

  loss: jax.Array
  accuracy: jax.Array


@dataclasses.dataclass(frozen=True)
class Model:
  """A module and what is known about its call.

  Attributes:
    module: called as `module.apply(variables, images, train=bool)`; takes
      `dropout` and `stochastic_depth` if its call names them, and choice
      weights second if it is a supernet.
    teacher: a model whose logits are taught, None for none.
    teacher_resolution: pixels of the teacher's images.
  """

  module: nn.Module
  teacher: Model | None = None
  teacher_resolution: int = 0

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


def start(variables: Any) -> TrainState:
  """The state before the first step; averages start at the weights."""
  variables = {"batch_stats": {}, **variables}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    variables=variables,
    optimizer=optimizers.init(variables["params"]),
    ema=ravel_pytree(variables)[0],
  )


def result(state: TrainState, recipe: RecipeNumbers) -> Any:
  """The variables that training yields: averaged ones if the recipe says so."""
  last, unravel = ravel_pytree(state.variables)
  return unravel(jnp.where(recipe.ema > 0, state.ema, last))


def train_step(
  model: Model,
  settings: Settings,
  steps_per_epoch: int,
  state: TrainState,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  teacher: Any = None,
) -> tuple[TrainState, Metrics]:
  """One step on one batch.

  Args:
    model: the module.
    settings: shared by all members.
    steps_per_epoch: unit of the learning-rate schedule.
    state: before the step.
    member: whose step it is.
    images: `u8[B, H, W, C]`.
    labels: `i32[B]`.
    teacher: variables of `model.teacher`, None if there is none.

  Returns:
    The state after it, and the batch's loss and accuracy (the latter against
    the unmixed labels).
  """
  key = jax.random.fold_in(member.key, state.step)
  crop_key, mix_key, drop_key = jax.random.split(key, 3)
  images = augment.crop_and_flip(
    crop_key, images, settings.crop_padding, settings.flip
  )
  ratio = augment.mixup_ratio(mix_key, member.recipe.mixup)

  def inputs(resolution: int) -> jax.Array:
    at = dataclasses.replace(settings, resolution=resolution)
    return augment.mix(augment.prepare(images, at), ratio)

  x = inputs(settings.resolution)
  taught = None
  if model.teacher is not None:
    taught = model.teacher.logits(
      teacher, None, inputs(model.teacher_resolution)
    )

  def loss_of(params: Any) -> tuple[jax.Array, tuple[Any, jax.Array]]:
    variables = {**state.variables, "params": params}
    logits, batch_stats = model.train_logits(variables, member, x, drop_key)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    targets = augment.mix(
      losses.smooth_labels(labels, logits.shape[-1], settings.label_smoothing),
      ratio,
    )
    if taught is None:
      loss = losses.cross_entropy(logits, targets)
    else:
      loss = losses.distillation(logits, targets, taught, settings.distillation)
    return loss, (batch_stats, losses.count_correct(logits, labels).mean())

  params = state.variables["params"]
  (loss, (batch_stats, accuracy)), gradients = jax.value_and_grad(
    loss_of, has_aux=True
  )(params)
  params, optimizer = optimizers.update(
    gradients,
    state.optimizer,
    params,
    step=state.step,
    learning_rate=optimizers.learning_rate(
      member.recipe, settings, state.step, steps_per_epoch
    ),
    recipe=member.recipe,
    settings=settings,
  )
  variables = {
    **state.variables,
    "params": params,
    "batch_stats": batch_stats,
  }
  count = state.step.astype(jnp.float32)
  decay = jnp.minimum(settings.ema_decay, (1.0 + count) / (10.0 + count))
  last, _ = ravel_pytree(variables)
  ema = decay * state.ema + (1.0 - decay) * last
  state = TrainState(state.step + 1, variables, optimizer, ema)
  return state, Metrics(loss, accuracy)


def train_epoch(
  model: Model,
  settings: Settings,
  state: TrainState,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  teacher: Any = None,
) -> tuple[TrainState, Metrics]:
  """All images once in random order, as one scan over batches.

  Images that do not fill a batch are left for another epoch's order.

  Args:
    model: as in `train_step`.
    settings: as in `train_step`.
    state: before the epoch.
    member: whose epoch it is.
    images: `u8[N, H, W, C]`.
    labels: `i32[N]`.
    teacher: as in `train_step`.

  Returns:
    The state after it, and mean metrics.
  """
  count = labels.shape[0]
  steps = steps_per_epoch(count, settings)
  batch = min(settings.batch_size, count)
  # A constant far above any step keeps the order's key apart from theirs.
  order_key = jax.random.fold_in(
    jax.random.fold_in(member.key, 2**31 - 1), state.step
  )
  order = jax.random.permutation(order_key, count)[: steps * batch]

  def body(state: TrainState, rows: jax.Array) -> tuple[TrainState, Metrics]:
    return train_step(
      model, settings, steps, state, member, images[rows], labels[rows], teacher
    )

  state, metrics = jax.lax.scan(body, state, order.reshape(steps, batch))
  return state, jax.tree.map(jnp.mean, metrics)


def steps_per_epoch(count: int, settings: Settings) -> int:
  """Batches in an epoch of `count` images, at least one."""
  return max(count // settings.batch_size, 1)


def evaluate(
  model: Model,
  settings: Settings,
  variables: Any,
  choice: Any,
  images: jax.Array,
  labels: jax.Array,
) -> Metrics:
  """Log-loss and accuracy on images as they are.

  Args:
    model: the module.
    settings: resolution, normalisation and batch size.
    variables: of the module.
    choice: choice weights of a supernet, else None.
    images: `u8[N, H, W, C]`.
    labels: `i32[N]`; images with label -1 do not count.

  Returns:
    Means over the images.
  """
  count = labels.shape[0]
  batch = min(settings.batch_size, count)
  steps = -(-count // batch)
  missing = steps * batch - count
  rows = jnp.pad(jnp.arange(count), (0, missing))
  valid = (jnp.arange(steps * batch) < count) & (labels[rows] >= 0)

  def body(_: None, part: tuple[jax.Array, jax.Array]) -> tuple[None, Metrics]:
    at, counts = part
    x = augment.prepare(images[at], settings)
    logits = model.logits(variables, choice, x).astype(jnp.float32)
    log_probs = jax.nn.log_softmax(logits)
    target = jnp.maximum(labels[at], 0)
    loss = -jnp.take_along_axis(log_probs, target[:, None], 1)[:, 0]
    correct = losses.count_correct(logits, labels[at])
    return None, Metrics((loss * counts).sum(), (correct * counts).sum())

  shape = (steps, batch)
  _, sums = jax.lax.scan(
    body, None, (rows.reshape(shape), valid.reshape(shape))
  )
  return jax.tree.map(lambda s: s.sum() / valid.sum(), sums)
