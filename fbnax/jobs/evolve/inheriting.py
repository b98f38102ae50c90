"""Trained networks for new budgets, of a run that started from weights.

The weights of the run's supernet serve every network of its space; BN's
statistics are computed on the run's training images. That takes seconds, and
fine-tuning is optional.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from fbnax.base import files
from fbnax.jobs.evolve.config import EvolveConfig
from fbnax.jobs.evolve.result import PredictedNetwork
from fbnax.jobs.runtime import classes, configs, inputs, parts
from fbnax.jobs.runtime.training import Teacher, train_network
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.spaces import SearchSpace
from fbnax.training import loop, model_files, recalibration, shared
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings


def given_weights(
  config: EvolveConfig,
  finished: dict[str, Any],
  space: SearchSpace,
  candidates: Sequence[PredictedNetwork],
  work: WorkDir,
  progress: Progress,
) -> list[PredictedNetwork]:
  """The candidates, the best of each budget with weights that it inherits.

  Args:
    config: of the job.
    finished: the run's result.
    space: the run's.
    candidates: the best of each budget first.
    work: where models are left.
    progress: where to show it.

  Raises:
    ValueError: the run's supernet or its images are not there any more, or are
      of other classes or another space by now; or its images come from code
      that the config does not name.
  """
  with work.phase("data"):
    run = _run_config(config, finished)
    dataset = inputs.dataset(run)
  where = f"{config.run}/members/{inputs.SUPERNET}"
  supernet = model_files.load(files.inside(config.run, where))
  classes.check(where, supernet, dataset)
  if supernet.module.architecture != space.architecture(shared.largest(space)):
    raise ValueError(
      f"{where} is not the largest network of the space of"
      f" {config.run}/{inputs.SUPERNET}/{inputs.SURROUNDINGS}; legal: the files"
      " of one run"
    )
  prepared = supernet.settings()
  normalization: dict[str, Any] = {"mean": prepared.mean, "std": prepared.std}

  def settings_at(side: int) -> Settings:
    return inputs.settings(
      run, dataset, side, epochs=max(config.epochs, 1), **normalization
    )

  feed = loop.place(dataset.train)
  start = functools.partial(
    recalibration.of_images,
    space,
    supernet.variables,
    settings_at,
    feed,
    run.shared.images,
    run.seed,
  )
  teacher = Teacher(
    inputs.SUPERNET, supernet.module, supernet.variables, prepared.resolution
  )
  budgets: list[Any] = []
  rows = []
  for candidate in candidates:
    if candidate.budget in budgets:
      rows.append(candidate)
      continue
    budgets.append(candidate.budget)
    architecture = space.architecture(candidate.genotype)
    with work.phase(f"train {candidate.name}"):
      member, _ = train_network(
        work.path,
        candidate.name,
        architecture,
        space.recipe(candidate.genotype).slowed(config.inherited_rate),
        settings_at(architecture.resolution),
        dataset,
        feed,
        None,
        teacher=teacher if config.epochs else None,
        seed=config.seed,
        checkpoint_every=1,
        progress=progress,
        start_from=functools.partial(start, candidate.genotype),
        epochs=config.epochs,
      )
    rows.append(
      dataclasses.replace(
        candidate,
        checkpoint=member.checkpoint,
        test_accuracy=member.test_accuracy,
        test_log_loss=member.test_log_loss,
      )
    )
  return rows


def _run_config(config: EvolveConfig, finished: dict[str, Any]) -> Any:
  """The run's config, for one device of this machine and this job's needs.

  Neither the evaluator nor the teacher of the run is used, which may be code of
  its user's.
  """
  started_with = {**finished["config"], "job": "nars", "evaluator": "shared"}
  if isinstance(started_with.get("training"), dict):
    started_with["training"] = {**started_with["training"], "teacher": ""}
  try:
    run = configs.typed(parts.of_run(config, started_with, config.run))
  except ValueError as error:
    raise ValueError(f"{config.run}: {error}") from error
  return dataclasses.replace(run, mesh=type(run.mesh)())
