"""What the training of one network would take."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from fbnax import costs
from fbnax.jobs.runtime import (
  dry_run,
  estimates,
  inputs,
  networks,
  pretrained,
)
from fbnax.jobs.train.config import FinetuneConfig, TrainConfig


def estimate(config: TrainConfig) -> Iterator[str]:
  """What is printed, line by line; a step is measured."""
  if isinstance(config, FinetuneConfig):
    config, line = pretrained.completed(config)
    if line:
      yield line
  images = dry_run.SplitDataset.of(config)
  yield from images.lines()
  dataset, train = images.dataset, images.train
  architecture = dataclasses.replace(
    networks.at_resolution(
      networks.read_architecture(config.architecture), config.resolution
    ),
    input_channels=dataset.channels,
  )
  counted = costs.count(architecture, dataset.num_classes)
  settings = inputs.settings(config, dataset, architecture.resolution)
  yield (
    f"network: {config.architecture} at {architecture.resolution} pixels, "
    f"{counted.macs:,} MACs, {counted.params:,} parameters"
  )
  yield (
    f"1 training of {settings.epochs} epochs: {settings.epochs * train:,}"
    " images in all"
  )
  recipe = networks.read_recipe(config)
  yield "measuring one step (nothing is left of it) …"
  measured = estimates.measure_network(architecture, recipe, settings, dataset)
  yield dry_run.measured_line("the network", measured, settings)
  if config.teacher:
    yield "  the teacher's own work is not in the estimate"
  part = dry_run.training(measured, settings, train, images.validation)
  yield dry_run.part_line("training", part)
  yield from dry_run.total([part], dataset)
