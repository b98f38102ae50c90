"""The training loop of every network: one module, or a population of them.

Small sets live on the device, and an epoch is one compiled scan. Large ones are
streamed, one batch a call. Either way all that changes is in the `TrainState`
and in the stream's position, so a checkpoint of the two goes on exactly.

Symbols: `P` members where `stacked`, `N` images, `E` epochs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.data import AnySplit, Split
from fbnax.training import loop_saving, mesh, programs, step, stopping
from fbnax.training.loop_saving import Checkpointing, Done
from fbnax.training.model import Member, Model
from fbnax.training.programs import Examples
from fbnax.training.recipes import Settings
from fbnax.training.step import Metrics, TrainState

__all__ = [
  "Checkpointing",
  "Curves",
  "DivergedError",
  "Examples",
  "Feed",
  "Fitted",
  "fit",
  "measure",
  "place",
  "result",
]

Feed = Examples | AnySplit
result = programs.result


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
    finite: whether the weights are numbers, `bool[]`, or `bool[P]` where
      stacked: members of a population diverge without the others.
  """

  state: TrainState
  curves: Curves
  finite: np.ndarray


class DivergedError(ValueError):
  """A training whose weights are no numbers any more: it gives no network."""

  exit_code = 3  # Of the program; input that is wrong has another one.


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

  Raises:
    DivergedError: weights are not finite after an epoch, which is not saved;
      of a population the caller decides, by `Fitted.finite`.
  """
  devices = settings.mesh
  _check_mesh(settings, train, member, stacked)
  stream = None
  if not isinstance(train, Examples):
    stream = _stream(settings, train, seed)
    # Crops and flips of streamed images are made where they are decoded.
    settings = dataclasses.replace(settings, flip=False, crop_padding=0)
  done = Done([], [])
  if checkpointing is not None:
    state, done = loop_saving.resume(checkpointing, state, stream)
    if not stacked and done.rows:
      _check_finite(devices, state, len(done.rows))
  axes = (mesh.POPULATION,) if stacked else ()
  state, member = mesh.put(devices, (state, member), *axes)
  teacher = mesh.put(devices, teacher)
  if isinstance(train, Examples):
    train = mesh.put(devices, train)
  if isinstance(validation, Examples):
    validation = mesh.put(devices, validation)
  steps = step.steps_per_epoch(_count(train), settings)
  with stopping.held(checkpointing is not None) as asked:
    while (epoch := len(done.rows) + 1) <= epochs:
      if stream is None:
        state, trained = programs.epoch(
          model, settings, stacked, state, member, train, teacher
        )
      while stream is not None and (taken := len(done.steps)) < steps:
        if checkpointing is not None and taken and asked(taken):
          loop_saving.save(checkpointing, state, done, stream)
          stopping.stop()
        batch = _batch(settings, train, next(stream))
        state, trained = programs.one_step(
          model, settings, stacked, steps, state, member, batch, teacher
        )
        done.steps.append(trained)
      if stream is not None:
        trained = _mean(devices, done.steps)
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
      trained = mesh.local(devices, trained)
      done = Done([*done.rows, _row(trained, found)], [])
      # Told before it is saved: what is told twice can be dropped, but what was
      # saved is not told again.
      if on_epoch is not None:
        on_epoch(epoch, trained, found)
      if not stacked:
        _check_finite(devices, state, epoch)
      stop = checkpointing is not None and asked()
      if checkpointing is not None and (
        stop or epoch % checkpointing.every == 0 or epoch == epochs
      ):
        loop_saving.save(checkpointing, state, done, stream)
      if stop:
        stopping.stop()
  columns = zip(*done.rows, strict=True)
  return Fitted(
    mesh.local(devices, state),
    Curves(*(np.asarray(c, np.float64) for c in columns)),
    np.asarray(mesh.local(devices, programs.finite(state))),
  )


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
  devices = settings.mesh
  axes = (mesh.POPULATION,) if stacked else ()
  variables, choice = mesh.put(devices, (variables, choice), *axes)

  def found(batch: Examples) -> Metrics:
    return mesh.local(
      devices,
      programs.measured(model, settings, stacked, variables, choice, batch),
    )

  if isinstance(images, Examples):
    return found(mesh.put(devices, images))
  total, sums = len(images), None
  size = step.measured_batch(total, settings)
  parts = data.stream(
    images,
    batch_size=size,
    resolution=settings.resolution,
    seed=0,
    train=False,
    workers=8,
    rows=mesh.rows(devices, size),
  )
  for start, part in zip(range(0, total, size), parts, strict=True):
    batch = Examples(*(mesh.put_batch(devices, x, size) for x in part))
    count = min(size, total - start)  # The rest is there to fill the batch.
    added = jax.tree.map(
      lambda x, c=count: np.asarray(x, np.float64) * c, found(batch)
    )
    sums = added if sums is None else jax.tree.map(np.add, sums, added)
  return jax.tree.map(lambda s: s / total, sums)


def _check_finite(devices: Any, state: TrainState, epoch: int) -> None:
  if not mesh.local(devices, programs.finite(state)):
    raise DivergedError(f"diverged in epoch {epoch}: a weight is not finite")


def _count(feed: Feed) -> int:
  return len(feed.labels)


def _check_mesh(
  settings: Settings, train: Feed, member: Member, stacked: bool
) -> None:
  batch = min(settings.batch_size, _count(train)) // settings.accumulate
  name = "training.batch_size"
  if settings.accumulate > 1:
    name += " / training.accumulate"
  mesh.check(settings.mesh, mesh.DATA, name, batch)
  if stacked:
    count = member.key.shape[0]
    mesh.check(settings.mesh, mesh.POPULATION, "search.population", count)


def _stream(settings: Settings, train: AnySplit, seed: int) -> Any:
  """Batches of this process's part of what all train on."""
  batch = min(settings.batch_size, len(train))
  return data.stream(
    train,
    batch_size=batch,
    resolution=settings.resolution,
    seed=seed,
    train=True,
    flip=settings.flip,
    workers=8,
    rows=mesh.rows(settings.mesh, batch),
  )


def _batch(settings: Settings, train: Feed, part: Any) -> Examples:
  size = min(settings.batch_size, _count(train))
  return Examples(*(mesh.put_batch(settings.mesh, x, size) for x in part))


def _mean(devices: Any, steps: list[Any]) -> Metrics:
  """Over an epoch's steps; those before a restart are numbers."""
  columns = zip(*mesh.local(devices, steps), strict=True)
  return Metrics(
    *(
      jnp.stack([jnp.asarray(v, jnp.float32) for v in column]).mean(0)
      for column in columns
    )
  )


def _row(trained: Metrics, found: Metrics | None) -> list[Any]:
  blank = jax.tree.map(lambda x: np.full(np.shape(x), np.nan), trained)
  row = (trained.loss, (found or blank).accuracy, (found or blank).loss)
  return [np.asarray(v, np.float64).tolist() for v in row]
