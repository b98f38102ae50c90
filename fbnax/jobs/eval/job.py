"""Job `eval`: log-loss and accuracy of a finished model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fbnax import costs
from fbnax.jobs.eval.config import EvalConfig
from fbnax.jobs.eval.result import EvalResult
from fbnax.jobs.runtime import classes, inputs, judging
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.training import loop, model_files
from fbnax.training.progress import Progress


def run(config: EvalConfig, work: WorkDir, progress: Progress) -> EvalResult:
  """Measures `config.model` on a split of `config.data`."""
  del progress  # One pass over the images.
  if not config.model:
    raise ValueError("config.model is empty; give a model's directory")
  saved = model_files.load(config.model)
  dataset = inputs.dataset(config, saved.bits)
  classes.check(config.model, saved, dataset)
  images = dataset.train
  if config.split == "test":
    images = dataset.test
    for line in inputs.absences(dataset):
      print(line)
  with work.phase("evaluation"):
    measured, said = judging.show(
      saved.module,
      saved.settings(config.batch_size),
      saved.variables,
      loop.place(images),
    )
  if not np.isfinite(measured.loss):
    raise ValueError(
      f"{config.model} gives log-loss {float(measured.loss)} on"
      f" {dataset.source}; legal: a model whose logits are finite"
    )
  module = saved.module
  counted = costs.count(module.architecture, module.num_classes)
  names = saved.class_names
  calibration = judging.of_card(saved, dataset)
  most = judging.MISTAKES if dataset.pictures else 0
  return EvalResult(
    model=config.model,
    split=config.split,
    images=len(images),
    accuracy=float(measured.accuracy),
    log_loss=float(measured.loss),
    class_names=names,
    scores=judging.judged(said, names, calibration),
    mistakes=judging.mistakes(said, images, names, calibration, most),
    macs=counted.macs,
    params=counted.params,
  )


def lines(result: EvalResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  yield (
    f"{result.model} on {result.images} {result.split} images: "
    f"accuracy {result.accuracy:.4f}, log-loss {result.log_loss:.4f}"
  )
  scores = result.scores
  if scores.area_under_curve is not None:
    yield (
      f"balanced accuracy {scores.balanced_accuracy:.4f}, area under the ROC "
      f"curve {scores.area_under_curve:.4f}, F1 {scores.f1:.4f}"
    )
