"""The training loop of every network: one module, or a population of them.

Small sets live on the device, and an epoch is one compiled scan. Large ones are
streamed, one batch a call. Either way all that changes is in the `TrainState`
and in the stream's position, so a checkpoint of the two goes on exactly.

Symbols: `P` members where `stacked`, `N` images, `E` epochs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.data import AnySplit, Split
from fbnax.training import step
from fbnax.training.recipes import Settings
from fbnax.training.step import Member, Metrics, Model, TrainState


class Examples(NamedTuple):
  """Images on the device: `u8[N, H, W, C]` and labels `i32[N]`."""

  images: jax.Array
  labels: jax.Array


Feed = Examples | AnySplit


class Curves(NamedTuple):
  """One value per epoch, `f64[E]`, or `f64[E, P]` where stacked.

  Attributes:
    train_loss: mean loss over the epoch.
    accuracy: on the validation images afterwards, NaN without any.
    log_loss: likewise, nats.
  """

  train_loss: np.ndarray
  accuracy: np.ndarray
  log_loss: np.ndarray


class Fitted(NamedTuple):
  """The end of a training.

  Attributes:
    state: the last state, stacked over `P` where the members are.
    curves: by epoch.
  """

  state: TrainState
  curves: Curves


@dataclasses.dataclass(frozen=True)
class Checkpointing:
  """Where and how often states are saved.

  Attributes:
    directory: of the checkpoints.
    every: epochs between them.
    keep: how many of the last stay.
  """

  directory: Path
  every: int = 1
  keep: int = 2


def place(split: AnySplit) -> Feed:
  """Puts a split that is in memory on the device; others are streamed."""
  if isinstance(split, Split):
    return Examples(jnp.asarray(split.images), jnp.asarray(split.labels))
  return split


def fit(
  model: Model,
  settings: Settings,
  state: TrainState,
  member: Member,
  train: Feed,
  *,
  epochs: int,
  validation: Feed | None = None,
  teacher: Any = None,
  stacked: bool = False,
  seed: int = 0,
  checkpointing: Checkpointing | None = None,
  on_epoch: Callable[[int, Metrics, Metrics | None], None] | None = None,
) -> Fitted:
  """Trains for a number of epochs, or what is left of them.

  Args:
    model: the module.
    settings: shared by all members; `settings.epochs` is the length of the
      learning-rate schedule, which may be longer than this training.
    state: the first state; its arrays are used up (donated).
    member: recipe, choice weights and key; stacked over `P` if `stacked`.
    train: images to train on.
    epochs: `E`.
    validation: images to measure on after each epoch.
    teacher: variables of `model.teacher`.
    stacked: `state` and `member` are those of a population.
    seed: of the stream's order and crops, where `train` is streamed.
    checkpointing: where to save states; training goes on from the newest.
    on_epoch: called after each epoch with its number (from 1), and its metrics
      in training and validation.

  Returns:
    The last state and the curves.
  """
  stream = None
  if not isinstance(train, Examples):
    # Crops and flips of streamed images are made where they are decoded.
    stream = data.stream(
      train,
      batch_size=min(settings.batch_size, len(train)),
      resolution=settings.resolution,
      seed=seed,
      train=True,
      flip=settings.flip,
      workers=8,
    )
    settings = dataclasses.replace(settings, flip=False, crop_padding=0)
  rows: list[list[Any]] = []
  if checkpointing is not None:
    state, rows = _resume(checkpointing, state, stream)
  for epoch in range(len(rows) + 1, epochs + 1):
    if isinstance(train, Examples):
      state, trained = _epoch(
        model, settings, stacked, state, member, train, teacher
      )
    else:
      state, trained = _streamed_epoch(
        model, settings, stacked, state, member, train, stream, teacher
      )
    found = None
    if validation is not None:
      found = measure(
        model,
        settings,
        result(state, member, stacked),
        member.choice,
        validation,
        stacked=stacked,
      )
    blank = jax.tree.map(lambda x: np.full(np.shape(x), np.nan), trained)
    accuracy = (found or blank).accuracy
    log_loss = (found or blank).loss
    row = (trained.loss, accuracy, log_loss)
    rows.append([np.asarray(v, np.float64).tolist() for v in row])
    if checkpointing is not None and (
      epoch % checkpointing.every == 0 or epoch == epochs
    ):
      _save(checkpointing, epoch, state, rows, stream)
    if on_epoch is not None:
      on_epoch(epoch, trained, found)
  columns = zip(*rows, strict=True)
  return Fitted(state, Curves(*(np.asarray(c, np.float64) for c in columns)))


@functools.partial(jax.jit, static_argnums=2)
def result(state: TrainState, member: Member, stacked: bool = False) -> Any:
  """The variables that training yields; see `fbnax.training.step.result`."""
  return _over(stacked, step.result)(state, member.recipe)


def measure(
  model: Model,
  settings: Settings,
  variables: Any,
  choice: Any,
  images: Feed,
  *,
  stacked: bool = False,
) -> Metrics:
  """Log-loss and accuracy of variables on images as they are.

  Args:
    model: the module.
    settings: resolution, normalisation and batch size.
    variables: of the module, stacked over `P` if `stacked`.
    choice: choice weights of a supernet, likewise, else None.
    images: on the device, or a split that is streamed.
    stacked: whether there is a population.

  Returns:
    Means over the images, `f32[]` or `f32[P]`.
  """
  if isinstance(images, Examples):
    return _measure(model, settings, stacked, variables, choice, images)
  total, sums = 0, None
  for pixels, labels in data.stream(
    images,
    batch_size=min(settings.batch_size, len(images)),
    resolution=settings.resolution,
    seed=0,
    train=False,
    workers=8,
  ):
    count = int((labels >= 0).sum())
    batch = Examples(jnp.asarray(pixels), jnp.asarray(labels))
    found = _measure(model, settings, stacked, variables, choice, batch)
    part = jax.tree.map(lambda x, c=count: np.asarray(x, np.float64) * c, found)
    sums = part if sums is None else jax.tree.map(np.add, sums, part)
    total += count
  return jax.tree.map(lambda s: s / total, sums)


def _over(stacked: bool, function: Any) -> Any:
  """The function over a population, in the form that suits the backend.

  Side by side on an accelerator; one after the other on a CPU, where that is as
  fast for each member and takes half as long to compile.
  """
  if not stacked:
    return function
  if jax.default_backend() != "cpu":
    return jax.vmap(function)
  return lambda *arguments: jax.lax.map(lambda a: function(*a), arguments)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _epoch(
  model: Model,
  settings: Settings,
  stacked: bool,
  state: TrainState,
  member: Member,
  train: Examples,
  teacher: Any,
) -> tuple[TrainState, Metrics]:
  def one(state: TrainState, member: Member) -> tuple[TrainState, Metrics]:
    return step.train_epoch(
      model, settings, state, member, train.images, train.labels, teacher
    )

  return _over(stacked, one)(state, member)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3), donate_argnums=4)
def _step(
  model: Model,
  settings: Settings,
  stacked: bool,
  steps: int,
  state: TrainState,
  member: Member,
  batch: Examples,
  teacher: Any,
) -> tuple[TrainState, Metrics]:
  def one(state: TrainState, member: Member) -> tuple[TrainState, Metrics]:
    return step.train_step(
      model, settings, steps, state, member, batch.images, batch.labels, teacher
    )

  return _over(stacked, one)(state, member)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _measure(
  model: Model,
  settings: Settings,
  stacked: bool,
  variables: Any,
  choice: Any,
  images: Examples,
) -> Metrics:
  def one(variables: Any, choice: Any) -> Metrics:
    return step.evaluate(
      model, settings, variables, choice, images.images, images.labels
    )

  return _over(stacked, one)(variables, choice)


def _streamed_epoch(
  model: Model,
  settings: Settings,
  stacked: bool,
  state: TrainState,
  member: Member,
  train: AnySplit,
  stream: Any,
  teacher: Any,
) -> tuple[TrainState, Metrics]:
  steps = step.steps_per_epoch(len(train), settings)
  found = []
  for _ in range(steps):
    pixels, labels = next(stream)
    batch = Examples(jnp.asarray(pixels), jnp.asarray(labels))
    state, metrics = _step(
      model, settings, stacked, steps, state, member, batch, teacher
    )
    found.append(metrics)
  return state, jax.tree.map(lambda *x: jnp.stack(x).mean(0), *found)


def _save(
  checkpointing: Checkpointing,
  epoch: int,
  state: TrainState,
  rows: list[list[Any]],
  stream: Any,
) -> None:
  from fbnax.training import checkpoints  # Orbax is slow to import.

  metadata = {
    "rows": rows,
    "stream": None if stream is None else stream.get_state(),
  }
  checkpoints.save(
    checkpointing.directory, epoch, state, metadata, checkpointing.keep
  )


def _resume(
  checkpointing: Checkpointing, state: TrainState, stream: Any
) -> tuple[TrainState, list[list[Any]]]:
  from fbnax.training import checkpoints  # Orbax is slow to import.

  found = checkpoints.restore_latest(checkpointing.directory, state)
  if found is None:
    return state, []
  _, restored, metadata = found
  if stream is not None:
    stream.set_state(metadata["stream"])
  rows = [
    [np.asarray(v, np.float64).tolist() for v in row]
    for row in metadata["rows"]
  ]
  return restored, rows
