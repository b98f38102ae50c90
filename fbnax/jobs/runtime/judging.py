"""What a network's logits say of it beyond accuracy, as a result has it.

A threshold and a temperature are chosen on images that were not trained on and
are none of the test's; where a job has none, both are None and probabilities
stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from fbnax.data import AnySplit, Dataset
from fbnax.jobs.runtime import pictures
from fbnax.report import schema
from fbnax.training import loop, scores
from fbnax.training.model_files import Calibration, SavedModel
from fbnax.training.recipes import Settings
from fbnax.training.step import Metrics, Model

MISTAKES = 12  # That a report shows.
_LARGEST_CONFUSION = 50  # Classes.


class Said(NamedTuple):
  """What a network said of the images of a split.

  Attributes:
    logits: `f32[N, K]`.
    labels: `i32[N]`.
  """

  logits: np.ndarray
  labels: np.ndarray


class Verdict(NamedTuple):
  """What a trained network is worth.

  Attributes:
    metrics: means over the test images.
    scores: what else is measured on them.
    calibration: of its card.
    mistakes: pictures of test images.
  """

  metrics: Metrics
  scores: schema.Scores
  calibration: Calibration
  mistakes: tuple[schema.Mistake, ...]

  def as_facts(self) -> dict[str, Any]:
    """What a `schema.MemberRow` says of it."""
    return {
      "test_accuracy": float(self.metrics.accuracy),
      "test_log_loss": float(self.metrics.loss),
      "scores": self.scores,
      "mistakes": self.mistakes,
    }


def judge(
  module: nn.Module,
  settings: Settings,
  variables: Any,
  dataset: Dataset,
  held: loop.Feed | None,
  most: int,
) -> Verdict:
  """Shows a network the test images once, and what was held out.

  Args:
    module: the network.
    settings: how images are prepared for it.
    variables: of the module.
    dataset: whose test images they are.
    held: images that were not trained on, if any.
    most: mistakes to show, where the data's pictures may be seen.

  Raises:
    DivergedError: the test log-loss is not finite.
  """
  names = dataset.class_names
  metrics, said = show(module, settings, variables, loop.place(dataset.test))
  if not np.isfinite(metrics.loss):
    raise loop.DivergedError("diverged: the test log-loss is not finite")
  said_of_held = None
  if held is not None:
    _, said_of_held = show(module, settings, variables, held)
  calibration = calibrated(said_of_held, names, dataset.train.labels)
  if not dataset.pictures:
    most = 0
  return Verdict(
    metrics,
    judged(said, names, calibration),
    calibration,
    mistakes(said, dataset.test, names, calibration, most),
  )


def show(
  module: nn.Module, settings: Settings, variables: Any, images: loop.Feed
) -> tuple[Metrics, Said]:
  """What a network says of images, and what that is worth on average."""
  found = loop.measure_logits(Model(module), settings, variables, images)
  return found.metrics, Said(found.logits, np.asarray(images.labels))


def of_card(saved: SavedModel, dataset: Dataset) -> Calibration:
  """The calibration of a finished model; of two classes one is positive."""
  calibration = saved.calibration
  if calibration.positive is not None:
    return calibration
  labels = dataset.train.labels
  positive = calibrated(None, saved.class_names, labels).positive
  return calibration._replace(positive=positive)


def calibrated(
  held: Said | None, class_names: Sequence[str], train_labels: np.ndarray
) -> Calibration:
  """Temperature and threshold by which held-out images are judged best.

  Args:
    held: of images that were not trained on; None without any.
    class_names: of the `K` classes.
    train_labels: by which the positive one of two classes is the rarer.
  """
  positive = None
  if len(class_names) == 2:
    positive = class_names[scores.rarer(train_labels)]
  if held is None:
    return Calibration(positive)
  temperature = scores.best_temperature(*held)
  threshold = None
  if positive is not None:
    k = class_names.index(positive)
    shares = scores.probability_of(held.logits, k, temperature)
    threshold = scores.best_threshold(shares, held.labels == k)
  return Calibration(positive, temperature, threshold, len(held.labels))


def judged(
  said: Said, class_names: Sequence[str], calibration: Calibration
) -> schema.Scores:
  """All that is measured of a network on test images.

  Args:
    said: of the test images.
    class_names: of the `K` classes.
    calibration: of the network.
  """
  logits, labels = said
  counts = scores.confusion(labels, logits.argmax(1), len(class_names))
  of_f1, place = counts, None
  if calibration.positive is not None:
    place = class_names.index(calibration.positive)
  if place is not None and calibration.threshold is not None:
    shares = scores.probability_of(logits, place, calibration.by)
    called = shares >= calibration.threshold
    predicted = np.where(called, place, 1 - place)
    of_f1 = scores.confusion(labels, predicted, len(class_names))
  loss = None
  if calibration.temperature is not None:
    loss = scores.log_loss(logits, labels, calibration.temperature)
  shown = len(class_names) <= _LARGEST_CONFUSION
  return schema.Scores(
    balanced_accuracy=scores.balanced_accuracy(counts),
    area_under_curve=scores.area_under_curve(logits, labels),
    f1=scores.f1(of_f1, place),
    positive=calibration.positive,
    threshold=calibration.threshold,
    temperature=calibration.temperature,
    calibrated_log_loss=loss,
    calibration_images=calibration.images,
    confusion=tuple(map(tuple, counts.tolist())) if shown else (),
  )


def mistakes(
  said: Said,
  split: AnySplit,
  class_names: Sequence[str],
  calibration: Calibration,
  most: int = MISTAKES,
) -> tuple[schema.Mistake, ...]:
  """The images of which a network is surest that they are of another class.

  Args:
    said: of the split.
    split: in whose order they are.
    class_names: of the classes.
    calibration: of the network, for the probabilities.
    most: how many, the surest first.
  """
  predicted = said.logits.argmax(1)
  wrong = np.flatnonzero(predicted != said.labels)
  if not len(wrong) or not most:
    return ()
  each = [
    scores.probability_of(said.logits[[i]], predicted[i], calibration.by)[0]
    for i in wrong
  ]
  surest = np.argsort(-np.asarray(each), kind="stable")[:most]
  return tuple(
    schema.Mistake(
      picture=pictures.address(split.read(int(wrong[i]))),
      index=int(wrong[i]),
      name=None if split.names is None else str(split.names[wrong[i]]),
      label=class_names[said.labels[wrong[i]]],
      predicted=class_names[predicted[wrong[i]]],
      probability=float(each[i]),
    )
    for i in surest
  )
