"""One training step of any network, and evaluation; pure functions.

`train_step` and `train_epoch` are written for one member and are run over a
population by `vmap`.

Symbols: `B` batch, `N` images, `H`, `W`, `C` their shape, `K` classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from fbnax.training import (
  augment,
  gradients,
  losses,
  mesh,
  optimizers,
  sampling,
)
from fbnax.training.model import Member, Model
from fbnax.training.precision import lowered
from fbnax.training.recipes import RecipeNumbers, Settings


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
  images, labels = mesh.spread(settings.mesh, (images, labels), mesh.DATA)
  key = jax.random.fold_in(member.key, state.step)
  image_key, mix_key, drop_key = jax.random.split(key, 3)
  progress: Any = 0.0
  if model.objective is not None:
    progress = state.step / (settings.epochs * steps_per_epoch)
  gradient = gradients.of_batch(
    model,
    settings,
    state.variables,
    member,
    augment.distort(image_key, images, settings),
    labels,
    ratio=augment.mixup_ratio(mix_key, member.recipe.mixup),
    key=drop_key,
    teacher=teacher,
    progress=progress,
  )
  state = moved(
    settings,
    steps_per_epoch,
    state,
    member.recipe,
    gradient.params,
    gradient.batch_stats,
  )
  found_now = Metrics(gradient.loss, gradient.accuracy)
  return mesh.spread(settings.mesh, (state, found_now))


def moved(
  settings: Settings,
  steps_per_epoch: int,
  state: TrainState,
  recipe: RecipeNumbers,
  gradients: Any,
  batch_stats: Any,
) -> TrainState:
  """The state after a step in which a gradient was taken.

  Args:
    settings: as in `train_step`.
    steps_per_epoch: likewise.
    state: before the step.
    recipe: the member's.
    gradients: a tree like the parameters.
    batch_stats: the running statistics after it.
  """
  params, optimizer = optimizers.update(
    gradients,
    state.optimizer,
    state.variables["params"],
    step=state.step,
    learning_rate=optimizers.learning_rate(
      recipe, settings, state.step, steps_per_epoch
    ),
    recipe=recipe,
    settings=settings,
    trunk=optimizers.trunk_factor(settings, state.step, steps_per_epoch),
  )
  variables = {
    **state.variables,
    "params": params,
    "batch_stats": batch_stats,
  }
  decay: Any = settings.ema_decay
  if settings.ema_growing:
    count = state.step.astype(jnp.float32)
    decay = jnp.minimum(decay, (1.0 + count) / (10.0 + count))
  last, _ = ravel_pytree(variables)
  ema = decay * state.ema + (1.0 - decay) * last
  return TrainState(state.step + 1, variables, optimizer, ema)


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

  Images that do not fill a batch are left for another epoch's order. With
  `settings.sampling` of "balanced" each class is shown equally often instead.

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
  order = epoch_order(settings, member.key, state.step, labels)[: steps * batch]

  def body(state: TrainState, rows: jax.Array) -> tuple[TrainState, Metrics]:
    return train_step(
      model, settings, steps, state, member, images[rows], labels[rows], teacher
    )

  state, metrics = jax.lax.scan(body, state, order.reshape(steps, batch))
  return state, jax.tree.map(jnp.mean, metrics)


def epoch_order(
  settings: Settings, key: jax.Array, step: jax.Array, labels: jax.Array
) -> jax.Array:
  """The order of the images in an epoch.

  Args:
    settings: of the training.
    key: of the member.
    step: with which the epoch begins, `i32[]`.
    labels: `i32[N]`.

  Returns:
    `i32[N]`.
  """
  # A constant far above any step keeps the order's key apart from theirs.
  order_key = jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), step)
  batch = min(settings.batch_size, labels.shape[0])
  return sampling.order(order_key, labels, batch, settings.sampling)


def steps_per_epoch(count: int, settings: Settings) -> int:
  """Batches in an epoch of `count` images, at least one."""
  return max(count // settings.batch_size, 1)


def measured_batch(count: int, settings: Settings) -> int:
  """Images of a batch of `evaluate`: as many for each device of the mesh."""
  devices = mesh.size(settings.mesh, mesh.DATA)
  return -(-min(settings.batch_size, count) // devices) * devices


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
  return _evaluated(model, settings, variables, choice, images, labels)[0]


def evaluate_logits(
  model: Model,
  settings: Settings,
  variables: Any,
  choice: Any,
  images: jax.Array,
  labels: jax.Array,
) -> tuple[Metrics, jax.Array]:
  """As `evaluate`, with the logits of the images, `f32[N, K]`."""
  metrics, logits = _evaluated(
    model, settings, variables, choice, images, labels, keep=True
  )
  logits = logits.reshape(-1, logits.shape[-1])[: labels.shape[0]]
  return metrics, mesh.spread(settings.mesh, logits)


def _evaluated(
  model: Model,
  settings: Settings,
  variables: Any,
  choice: Any,
  images: jax.Array,
  labels: jax.Array,
  *,
  keep: bool = False,
) -> tuple[Metrics, Any]:
  """Means over the images, and the logits by batches; None unless kept."""
  count = labels.shape[0]
  batch = measured_batch(count, settings)
  steps = -(-count // batch)
  missing = steps * batch - count
  now = {**variables, "params": lowered(settings, variables["params"])}
  rows = jnp.pad(jnp.arange(count), (0, missing))
  valid = (jnp.arange(steps * batch) < count) & (labels[rows] >= 0)

  def body(_: None, part: tuple[jax.Array, jax.Array]) -> tuple[None, Any]:
    at, counts = part
    x = mesh.spread(settings.mesh, images[at], mesh.DATA)
    x = lowered(settings, augment.prepare(x, settings))
    logits = model.logits(now, lowered(settings, choice), x)
    logits = logits.astype(jnp.float32)
    log_probs = jax.nn.log_softmax(logits)
    target = jnp.maximum(labels[at], 0)
    loss = -jnp.take_along_axis(log_probs, target[:, None], 1)[:, 0]
    correct = losses.count_correct(logits, labels[at])
    sums = Metrics((loss * counts).sum(), (correct * counts).sum())
    return None, (sums, logits if keep else None)

  shape = (steps, batch)
  _, (sums, logits) = jax.lax.scan(
    body, None, (rows.reshape(shape), valid.reshape(shape))
  )
  return jax.tree.map(lambda s: s.sum() / valid.sum(), sums), logits
