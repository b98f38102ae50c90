"""What a supernet's training and the search by its weights would take."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from fbnax.data import Dataset
from fbnax.jobs.nars import supernet, time_plan
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.supernet import PretrainedNetwork
from fbnax.jobs.runtime import dry_run, estimates
from fbnax.jobs.runtime.dry_run import PartEstimate
from fbnax.training import corners, step


def lines(
  config: NarsConfig,
  dataset: Dataset,
  network: PretrainedNetwork,
  train: int,
  validation: int,
  parts: list[PartEstimate],
) -> Generator[str, None, NarsConfig]:
  """What is printed; a step of the largest network is measured.

  Args:
    config: of the run.
    dataset: its images.
    network: that it starts from.
    train: images that the supernet is trained on.
    validation: images that candidates are measured on.
    parts: the estimates, to which these are added.

  Returns:
    The config, with the epochs that fit into its minutes.
  """
  classes, space = dataset.num_classes, network.space
  settings = supernet.training_settings(config, dataset, network)
  yield "measuring one step of the supernet's largest network …"
  measured = estimates.measure_network(
    network.architecture, space.recipe_table, settings, dataset
  )
  side = network.architecture.resolution
  yield dry_run.measured_line(
    f"the largest network at {side} pixels", measured, settings
  )
  boxes = corners.corners(space, classes)
  price = 1 + boxes[-1].macs / boxes[0].macs
  if between := [box.macs / boxes[0].macs for box in boxes[1:-1]]:
    price += config.shared.subnets * float(np.mean(between))
  steps = step.steps_per_epoch(train, settings)
  compilation = measured.start + len(boxes) * measured.compilation
  searched = time_plan.search_seconds(config, validation, measured.step)
  programs = time_plan.compiling_seconds(space, classes, measured.compilation)
  if config.minutes:
    pace = time_plan.Pace(
      spent=compilation,
      step=price * measured.step,
      largest=measured.step,
      steps=steps,
      member_steps=step.steps_per_epoch(len(dataset.train), settings),
      search=searched + programs,
    )
    config = time_plan.within(config, pace)
    yield (
      f"epochs that fit into {config.minutes:g} minutes: about"
      f" {config.shared.epochs} of the supernet, {config.training.epochs} of"
      " each member"
    )
  parts.append(
    PartEstimate(
      running=config.shared.epochs * steps * price * measured.step,
      compilation=compilation,
      memory=measured.memory,
      disk=2 * measured.state + measured.weights,
    )
  )
  yield dry_run.part_line(
    f"supernet, {len(boxes)} programs, a step of {price:.2g} of the largest"
    " network's",
    parts[-1],
  )
  parts.append(PartEstimate(running=searched, compilation=programs))
  yield dry_run.part_line("search by shared weights", parts[-1])
  return config
