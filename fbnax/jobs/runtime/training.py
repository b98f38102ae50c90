"""Trains and measures one network for good: what several jobs end with."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from fbnax import costs, data
from fbnax.base import json_values, records
from fbnax.data import Dataset
from fbnax.jobs.runtime import classes, judging
from fbnax.models import initialize
from fbnax.models.building import build
from fbnax.models.hurry import jit_once
from fbnax.report import reading, schema
from fbnax.spaces import Architecture, Recipe, ResNet
from fbnax.training import checkpoints, loop, metrics, model_files, step
from fbnax.training.checkpoint_files import DamagedError
from fbnax.training.model import Objective
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings, as_numbers
from fbnax.training.step import Member, Model

_ENTRY = "entry"  # What of a card a restarted run goes on from.
_MISTAKES = "mistakes.json"


@dataclasses.dataclass(frozen=True)
class Supervised:
  """What a network minimises in place of the plain loss.

  Attributes:
    objective: see `fbnax.training.model.Objective`.
    given: the arrays that it takes in the beginning.
    updates: epochs, ascending, after which these are made anew.
    renew: makes them, of the epochs done and the variables of then. Called
      again by a run that goes on, perhaps with later variables: it keeps what
      it made.
  """

  objective: Objective
  given: Any
  updates: tuple[int, ...] = ()
  renew: Callable[[int, Any], Any] | None = None


class Teacher(NamedTuple):
  """Whose logits are taught.

  Attributes:
    name: for the report.
    module: any that is called as `module.apply(variables, images,
      train=False)`.
    variables: of the module.
    resolution: pixels of its images.
    mean: of each channel, as its images are normalised; None for the
      student's.
    std: likewise.
  """

  name: str
  module: nn.Module
  variables: Any
  resolution: int
  mean: tuple[float, ...] | None = None
  std: tuple[float, ...] | None = None


def taught(module: nn.Module, teacher: Teacher | None) -> Model:
  """A module as it is trained, by a teacher or without."""
  if teacher is None:
    return Model(module)
  return Model(
    module,
    Model(teacher.module),
    teacher.resolution,
    teacher.mean,
    teacher.std,
  )


def train_network(
  directory: Path,
  name: str,
  architecture: Architecture | ResNet,
  recipe: Recipe,
  settings: Settings,
  dataset: Dataset,
  train: loop.Feed,
  validation: loop.Feed | None,
  *,
  teacher: Teacher | None,
  seed: int,
  checkpoint_every: int,
  progress: Progress,
  supervised: Supervised | None = None,
  start_from: Any = None,
  epochs: int | None = None,
  take: loop.TakeStep | None = None,
  mistakes: int = 0,
) -> tuple[schema.MemberRow, Teacher]:
  """Trains a network, or goes on; saves it; measures it on the test set once.

  Args:
    directory: the work directory; the model goes to `members/<name>`.
    name: of the network.
    architecture: what to build.
    recipe: how to train it.
    settings: what recipes do not say.
    dataset: for its classes and its test split.
    train: images to train on.
    validation: images to measure on after each epoch, if any; threshold and
      temperature are chosen on them in the end.
    teacher: for distillation, if any.
    seed: of all that is random.
    checkpoint_every: epochs between checkpoints.
    progress: where to show it.
    supervised: what is minimised, the plain loss by default.
    start_from: variables to start from, or what gives them; random ones by
      default.
    epochs: of the schedule that are trained, from 0; None for all.
    take: takes the steps, see `loop.fit`; None for the usual ones.
    mistakes: test images that it takes for another class, which the result is
      to show; none where the data's pictures are not to be seen.

  Returns:
    What `result.json` says of the network, and itself as a teacher.

  Raises:
    DivergedError: there is no network; `name` and the epoch are named. The
      same again when the run goes on, from the last good checkpoint.
    ValueError: see `_finished`.
  """
  module = build(architecture, dataset.num_classes)
  model_dir = directory / "members" / name
  if (saved := _finished(model_dir, architecture, recipe, dataset)) is not None:
    return _member(saved.card["entry"], architecture, model_dir), Teacher(
      name, module, saved.variables, architecture.resolution
    )
  start = time.monotonic()
  model = taught(module, teacher)
  if supervised is not None:
    model = dataclasses.replace(model, objective=supervised.objective)
  init_key, member_key = jax.random.split(jax.random.key(seed))
  variables = _first_variables(module, architecture, init_key, start_from)
  member = Member(
    as_numbers(recipe),
    None,
    member_key,
    None if supervised is None else supervised.given,
  )
  epochs = settings.epochs if epochs is None else epochs
  resumed = _epochs_done(directory, name)
  with (
    metrics.open_metrics(directory, name, resumed + 1) as writer,
    progress.phase(f"train {name}", epochs, resumed) as advance,
  ):

    def on_epoch(epoch: int, learned: Any, validated: Any) -> None:
      values = _measured(learned, validated)
      writer.write(epoch, **values)
      advance(1, **values)

    state = step.start(variables)
    updates = () if supervised is None else supervised.updates
    for until in (*updates, epochs):
      with _telling(name, recipe):
        fitted = loop.fit(
          model,
          settings,
          state,
          member,
          train,
          epochs=until,
          validation=validation,
          teacher=None if teacher is None else teacher.variables,
          seed=seed,
          checkpointing=loop.Checkpointing(
            directory / "checkpoints" / name, checkpoint_every
          ),
          on_epoch=on_epoch,
          take=take,
        )
      state = fitted.state
      if until < epochs and supervised is not None and supervised.renew:
        now = loop.result(state, member)
        member = member._replace(given=supervised.renew(until, now))
  variables = loop.result(fitted.state, member)
  with _telling(name, recipe):
    verdict = judging.judge(
      module, settings, variables, dataset, validation, mistakes
    )
  counted = costs.count(architecture, dataset.num_classes)
  trained = schema.MemberRow(
    name=name,
    macs=counted.macs,
    params=counted.params,
    architecture=cast(Architecture, architecture),
    recipe=json.loads(recipe.to_json()),
    teacher=teacher.name if teacher and epochs else None,
    epochs=epochs,
    history=_history(fitted.curves, epochs),
    checkpoint=f"members/{name}",
    seconds=time.monotonic() - start,
    **verdict.as_facts(),
  )
  about = settings, dataset, trained, verdict.calibration
  _save(model_dir, architecture, variables, *about)
  # This network's programs are of no more use, and each holds thousands of
  # memory mappings, of which Linux gives a process 65,530.
  jax.clear_caches()
  return trained, Teacher(name, module, variables, architecture.resolution)


def _member(
  entry: dict[str, Any], architecture: Architecture | ResNet, model_dir: Path
) -> schema.MemberRow:
  """What a card, and the pictures beside it, say of a network."""
  history = tuple(schema.Epoch(**epoch) for epoch in entry["history"])
  shown = records.read(model_dir / _MISTAKES) or []
  # A residual network's is shown in no report.
  typed = {
    "architecture": architecture,
    "history": history,
    "scores": reading.parse(schema.Scores, entry["scores"]),
    "mistakes": tuple(schema.Mistake(**mistake) for mistake in shown),
  }
  return schema.MemberRow(**entry | typed)


def _first_variables(
  module: nn.Module,
  architecture: Architecture | ResNet,
  key: jax.Array,
  start_from: Any,
) -> Any:
  """Random variables, or a copy of those to start from."""
  if callable(start_from):
    start_from = start_from()
  if start_from is not None:
    # Copies, since training uses its first state up.
    return jax.tree.map(lambda x: jnp.array(x, copy=True), start_from)
  side, channels = architecture.resolution, architecture.input_channels
  images = np.zeros((1, side, side, channels), np.float32)
  return jit_once(lambda k: initialize(module, k, images, train=False))(key)


def _measured(trained: Any, validated: Any) -> dict[str, float]:
  """The metrics of an epoch; `validated` is None without validation images."""
  values = {"train_loss": float(trained.loss)}
  if validated is not None:
    values["validation_accuracy"] = float(validated.accuracy)
    values["validation_log_loss"] = float(validated.loss)
  return values


def _history(curves: Any, epochs: int) -> tuple[schema.Epoch, ...]:
  """What the report shows of each epoch."""
  return tuple(
    schema.Epoch(i + 1, curves.train_loss[i], curves.accuracy[i])
    for i in range(epochs)
  )


def _save(
  model_dir: Path,
  architecture: Architecture | ResNet,
  variables: Any,
  settings: Settings,
  dataset: Dataset,
  member: schema.MemberRow,
  calibration: model_files.Calibration,
) -> None:
  """Leaves the model, with what its user must know of its data.

  The pictures stand beside the card, which may go where the data may not.
  """
  if member.mistakes:
    model_dir.mkdir(parents=True, exist_ok=True)
    records.write(model_dir / _MISTAKES, schema.as_json(member.mistakes))
    member = dataclasses.replace(member, mistakes=())
  entry = json_values.plain(schema.as_json(member))
  calibrated = {"calibration": calibration._asdict()}
  model_files.save(
    model_dir,
    architecture,
    variables,
    settings,
    dataset.class_names,
    # A stream's images are cropped as is usual; others are used whole.
    crop_ratio=1.0 if isinstance(dataset.test, data.Split) else 0.875,
    bits=dataset.bits,
    recipe=member.recipe,
    licence=dataset.licence,
    **({"numbered_classes": True} if dataset.numbered else {}),
    **({} if calibration.images is None else calibrated),
    entry=entry,
    entry_sha256=records.digest(_ENTRY, entry),
  )


@contextmanager
def _telling(name: str, recipe: Recipe) -> Iterator[None]:
  """Lets an error say what diverged, and what may help."""
  try:
    yield
  except loop.DivergedError as error:
    raise loop.DivergedError(
      f"training of {name} {error}; its recipe's learning_rate is"
      f" {recipe.learning_rate:g}: a lower one may help, in another work"
      " directory"
    ) from error


def _finished(
  model_dir: Path,
  architecture: Architecture | ResNet,
  recipe: Recipe,
  dataset: Dataset,
) -> model_files.SavedModel | None:
  """The network that was trained before; None where it is not, or is lost.

  Where what a card says of the training is not as it was written, the network
  is measured again.

  Raises:
    ValueError: another network of this name was trained, or with another
      recipe, or on other classes, or its card is no model's.
  """
  card = model_dir / model_files.CARD
  if not card.exists():
    return None
  try:
    saved = model_files.load(model_dir)
  except DamagedError as error:
    logging.warning("%s; made again from the training's checkpoints", error)
    return None
  entry = json_values.plain(saved.card.get("entry"))
  if saved.card.get("entry_sha256") != records.digest(_ENTRY, entry):
    logging.warning("%s: entry is not as it was written; made again", card)
    return None
  if "scores" not in entry:
    logging.warning("%s: of an earlier version; measured again", card)
    return None
  for name, wanted in (("architecture", architecture), ("recipe", recipe)):
    if entry[name] != json.loads(wanted.to_json()):
      raise ValueError(
        f"{card}: trained with another {name} than is asked for; legal: the "
        "same, or another work directory"
      )
  classes.check(str(card), saved, dataset)
  return saved


def _epochs_done(directory: Path, name: str) -> int:
  return checkpoints.newest(directory / "checkpoints" / name)
