"""The training loop of every network: one module, or a population of them.

Small sets live on the device, and an epoch is one compiled scan. Large ones are
streamed, one batch a call, and so is any set where a caller takes the steps
itself. Either way all that changes is in the `TrainState` and in the stream's
position, so a checkpoint of the two goes on exactly.

A checkpoint has the number of the epochs that are done. One that is made within
an epoch, when a run on a stream is told to stop, has the number of those before
it, and takes the place of theirs.

Symbols: `P` members where `stacked`, `N` images, `E` epochs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.data import AnySplit, Split
from fbnax.training import checkpoints, mesh, programs, step, stopping
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
  "MeasuredLogits",
  "TakeStep",
  "batches",
  "fit",
  "measure",
  "measure_logits",
  "place",
  "result",
]

Feed = Examples | AnySplit
result = programs.result


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


class Done(NamedTuple):
  """What a training has behind it.

  Attributes:
    rows: of the epochs: loss, validation accuracy and log-loss, numbers or
      lists over members.
    steps: of the epoch that has begun, on a stream: loss and accuracy, as the
      step gives them (`step.Metrics`) or as numbers.
  """

  rows: list[list[Any]]
  steps: list[Any]


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


class MeasuredLogits(NamedTuple):
  """What a network does on images.

  Attributes:
    metrics: means over the images, `f32[]`.
    logits: `f32[N, K]`, in the order of the images.
  """

  metrics: Metrics
  logits: np.ndarray


class TakeStep(Protocol):
  """What is done with a batch, in place of `fbnax.training.step.train_step`."""

  def __call__(
    self,
    settings: Settings,
    steps_per_epoch: int,
    at: int,
    state: TrainState,
    member: Member,
    batch: Examples,
    teacher: Any,
  ) -> tuple[TrainState, Metrics]:
    """The state after a step, and what it tells of the batch.

    Args:
      settings: as in `fit`; what a stream does to its images is switched off.
      steps_per_epoch: unit of the learning-rate schedule.
      at: number of steps before this one.
      state: before the step; may be used up (donated).
      member: as in `fit`.
      batch: as it comes from memory or from the stream.
      teacher: as in `fit`.
    """


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
  take: TakeStep | None = None,
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
    take: takes the steps, of one network; None for the usual ones.

  Returns:
    The last state and the curves.

  Raises:
    DivergedError: weights are not finite after an epoch, which is not saved;
      of a population the caller decides, by `Fitted.finite`.
  """
  devices = settings.mesh
  _check_mesh(settings, train, member, stacked)
  batch_size = min(settings.batch_size, _count(train))
  stream, settings = _source(settings, train, batch_size, member, seed, take)
  done = Done([], [])
  if checkpointing is not None:
    state, done = resume(checkpointing, state, stream)
    if not stacked and done.rows:
      _check_finite(devices, state, len(done.rows))
  axes = (mesh.POPULATION,) if stacked else ()
  state, member = mesh.put(devices, (state, member), *axes)
  teacher = mesh.put(devices, teacher)
  if isinstance(train, Examples) and stream is None:
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
          save(checkpointing, state, done, stream)
          stopping.stop()
        batch = _put(devices, next(stream), batch_size)
        if take is not None:
          at = (epoch - 1) * steps + taken
          state, trained = take(
            settings, steps, at, state, member, batch, teacher
          )
        else:
          state, trained = programs.one_step(
            model, settings, stacked, steps, state, member, batch, teacher
          )
        done.steps.append(trained)
      if stream is not None:
        trained = _mean(devices, done.steps)
      measured = None
      if validation is not None:
        now = result(state, member, stacked)
        measured = measure(
          model, settings, now, member.choice, validation, stacked=stacked
        )
      trained = mesh.local(devices, trained)
      done = Done([*done.rows, _row(trained, measured)], [])
      # Told before it is saved: what is told twice can be dropped, but what was
      # saved is not told again.
      if on_epoch is not None:
        on_epoch(epoch, trained, measured)
      if not stacked:
        _check_finite(devices, state, epoch)
      stop = checkpointing is not None and asked()
      if checkpointing is not None and (
        stop or epoch % checkpointing.every == 0 or epoch == epochs
      ):
        save(checkpointing, state, done, stream)
      if stop:
        stopping.stop()
  columns = zip(*done.rows, strict=True) if done.rows else ([], [], [])
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
  if not stacked:
    # Its program is the one that measures the network in the end.
    return measure_logits(model, settings, variables, images, choice).metrics
  devices = settings.mesh
  variables, choice = mesh.put(devices, (variables, choice), mesh.POPULATION)

  def metrics(batch: Examples) -> Metrics:
    return mesh.local(
      devices,
      programs.measured(model, settings, stacked, variables, choice, batch),
    )

  return _over_images(settings, images, metrics)


def measure_logits(
  model: Model,
  settings: Settings,
  variables: Any,
  images: Feed,
  choice: Any = None,
) -> MeasuredLogits:
  """What `measure` says of one network, and the logits that it is made of.

  Args:
    model: the module.
    settings: resolution, normalisation and batch size.
    variables: of the module.
    images: on the device, or a split that is streamed.
    choice: choice weights of a supernet, else None.
  """
  devices = settings.mesh
  variables, choice = mesh.put(devices, (variables, choice))
  kept: list[np.ndarray] = []

  def metrics(batch: Examples) -> Metrics:
    found, logits = mesh.local(
      devices,
      programs.measured_logits(model, settings, variables, choice, batch),
    )
    kept.append(np.asarray(logits))
    return cast(Metrics, found)

  found = _over_images(settings, images, metrics)
  return MeasuredLogits(found, np.concatenate(kept)[: _count(images)])


def _over_images(
  settings: Settings, images: Feed, metrics: Callable[[Examples], Metrics]
) -> Metrics:
  """Means over all images, of a stream those over its batches."""
  devices = settings.mesh
  if isinstance(images, Examples):
    return metrics(mesh.put(devices, images))
  total, sums = len(images), None
  size = step.measured_batch(total, settings)
  parts = batches(settings, images, size, train=False)
  for start, part in zip(range(0, total, size), parts, strict=True):
    batch = _put(devices, part, size)
    count = min(size, total - start)  # The rest is there to fill the batch.
    added = jax.tree.map(
      lambda x, c=count: np.asarray(x, np.float64) * c, metrics(batch)
    )
    sums = added if sums is None else jax.tree.map(np.add, sums, added)
  return cast(Metrics, jax.tree.map(lambda s: s / total, sums))


def batches(
  settings: Settings,
  split: AnySplit,
  batch_size: int,
  *,
  train: bool,
  seed: int = 0,
) -> Any:
  """This process's part of the batches of a split; see `fbnax.data.stream`."""
  return data.stream(
    split,
    batch_size=batch_size,
    resolution=settings.resolution,
    seed=seed,
    train=train,
    flip=settings.flip,
    vertical_flip=settings.vertical_flip,
    quarter_turns=settings.quarter_turns,
    balanced=settings.sampling == "balanced",
    workers=8,
    rows=mesh.rows(settings.mesh, batch_size),
  )


class MemoryBatches:
  """Batches of images in memory, of epoch after epoch, as a stream has them."""

  def __init__(
    self,
    settings: Settings,
    images: Examples,
    key: jax.Array,
    rows: range | None = None,
  ) -> None:
    """Begins with the first epoch.

    Args:
      settings: of the training.
      images: `N` of them.
      key: of the order, which is that of `step.train_epoch`.
      rows: the part of each batch that this process takes; None for all of it.
    """
    self._settings, self._images, self._key = settings, images, key
    self._batch = min(settings.batch_size, _count(images))
    self._rows = slice(None) if rows is None else slice(rows.start, rows.stop)
    self._taken, self._order = 0, np.zeros(0, np.int32)

  def __next__(self) -> Examples:
    """The next batch."""
    labels = self._images.labels
    steps = len(labels) // self._batch
    epoch, place = divmod(self._taken, steps)
    if not place or not len(self._order):
      order = _epoch_order(self._settings, self._key, epoch * steps, labels)
      self._order = np.asarray(order)
    start = place * self._batch
    rows = self._order[start : start + self._batch][self._rows]
    self._taken += 1
    return _rows(self._images, rows)

  def get_state(self) -> dict[str, Any]:
    """How many batches were taken, as JSON has it."""
    return {"taken": self._taken}

  def set_state(self, state: dict[str, Any]) -> None:
    """Goes on after as many batches."""
    self._taken, self._order = int(state["taken"]), np.zeros(0, np.int32)


_epoch_order = jax.jit(step.epoch_order, static_argnums=0)


@jax.jit
def _rows(images: Examples, rows: jax.Array) -> Examples:
  return Examples(*(leaf[rows] for leaf in images))


def _source(
  settings: Settings,
  train: Feed,
  batch_size: int,
  member: Member,
  seed: int,
  take: TakeStep | None,
) -> tuple[Any, Settings]:
  """What gives the batches, None for a scan, and what is left for a step."""
  if not isinstance(train, Examples):
    stream = batches(settings, train, batch_size, train=True, seed=seed)
    return stream, step_settings(settings, train)
  if take is None:
    return None, settings
  rows = mesh.rows(settings.mesh, batch_size)
  return MemoryBatches(settings, train, member.key, rows), settings


def step_settings(settings: Settings, train: Feed) -> Settings:
  """What is left of the settings for a step.

  Crops, flips and turns of streamed images are made where they are decoded.
  """
  if isinstance(train, Examples):
    return settings
  return dataclasses.replace(
    settings,
    flip=False,
    vertical_flip=False,
    quarter_turns=False,
    crop_padding=0,
  )


def first_batch(settings: Settings, train: Feed, batch_size: int) -> Examples:
  """The first images of a set, as one batch that lies as those of `fit`."""
  if isinstance(train, Examples):
    rows = mesh.rows(settings.mesh, batch_size) or range(batch_size)
    part: Any = (leaf[rows.start : rows.stop] for leaf in train)
  else:
    split = train.take(np.arange(batch_size))
    part = next(iter(batches(settings, split, batch_size, train=False)))
  return _put(settings.mesh, part, batch_size)


def save(
  checkpointing: Checkpointing, state: TrainState, done: Done, stream: Any
) -> None:
  """Saves a state; `stream` gives its position, None where there is none."""
  metadata = {
    "rows": done.rows,
    "steps": [[_numbers(v) for v in step] for step in done.steps],
    "stream": None if stream is None else stream.get_state(),
  }
  checkpoints.save(
    checkpointing.directory,
    len(done.rows),
    state,
    metadata,
    checkpointing.keep,
  )


def resume(
  checkpointing: Checkpointing, state: TrainState, stream: Any
) -> tuple[TrainState, Done]:
  """The newest saved state, or the given one; the stream is set back to it."""
  checkpoint = checkpoints.restore_latest(checkpointing.directory, state)
  if checkpoint is None:
    return state, Done([], [])
  _, restored, metadata = checkpoint
  if stream is not None:
    stream.set_state(metadata["stream"])
  # Numbers as they were, NaN too, which JSON has not.
  rows, steps = (
    [[_numbers(v) for v in row] for row in metadata[name]]
    for name in Done._fields
  )
  return restored, Done(rows, steps)


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


def _put(devices: Any, part: Any, size: int) -> Examples:
  """A batch of `size` images, of which this process has a part."""
  return Examples(*(mesh.put_batch(devices, x, size) for x in part))


def _mean(devices: Any, steps: list[Any]) -> Metrics:
  """Over an epoch's steps; those before a restart are numbers."""
  columns = zip(*mesh.local(devices, steps), strict=True)
  return Metrics(
    *(
      jnp.stack([jnp.asarray(v, jnp.float32) for v in column]).mean(0)
      for column in columns
    )
  )


def _row(trained: Metrics, measured: Metrics | None) -> list[Any]:
  blank = jax.tree.map(lambda x: np.full(np.shape(x), np.nan), trained)
  row = (trained.loss, (measured or blank).accuracy, (measured or blank).loss)
  return [np.asarray(v, np.float64).tolist() for v in row]


def _numbers(values: Any) -> Any:
  if isinstance(values, jax.Array):
    values = mesh.host(values)
  return np.asarray(values, np.float64).tolist()
