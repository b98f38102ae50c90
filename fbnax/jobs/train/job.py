"""Job `train`: one network, any architecture with any recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fbnax.jobs.runtime import inputs, networks, pretrained
from fbnax.jobs.runtime.judging import MISTAKES
from fbnax.jobs.runtime.training import train_network
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.jobs.train.config import FinetuneConfig, TrainConfig
from fbnax.jobs.train.result import TrainResult
from fbnax.spaces import scaling
from fbnax.training import loop
from fbnax.training.progress import Progress


def run(config: TrainConfig, work: WorkDir, progress: Progress) -> TrainResult:
  """Trains `config.architecture` with `config.recipe`."""
  if isinstance(config, FinetuneConfig):
    config, line = pretrained.completed(config)
    if line:
      print(line)
  with work.phase("data"):
    dataset = inputs.dataset(config)
    train, validation = inputs.hold_out(config, dataset)
    facts = inputs.facts(dataset, train, validation)
  architecture = networks.read_architecture(config.architecture)
  if config.small_images:
    architecture = scaling.for_small_images(architecture)
  architecture = dataclasses.replace(
    networks.at_resolution(architecture, config.resolution),
    input_channels=dataset.channels,
  )
  recipe = networks.read_recipe(config)
  teacher = networks.read_teacher(config.teacher, "config.teacher", dataset)
  variables = None
  normalization: dict[str, Any] = {}
  if isinstance(config, FinetuneConfig):
    variables = networks.read_weights(
      config.weights, architecture, dataset, config.seed
    )
    normalization = inputs.normalization_of_weights(
      dataset, mean=config.mean, std=config.std
    )
  settings = inputs.settings(
    config, dataset, architecture.resolution, **normalization
  )
  with work.phase("training"):
    member, _ = train_network(
      work.path,
      Path(config.architecture).stem,
      architecture,
      recipe,
      settings,
      dataset,
      loop.place(train),
      loop.place(validation),
      teacher=teacher,
      start_from=variables,
      seed=config.seed,
      checkpoint_every=config.training.checkpoint_every,
      progress=progress,
      mistakes=MISTAKES,
    )
  return TrainResult(dataset=facts, members=(member,))


def lines(result: TrainResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  (member,) = result.members
  yield (
    f"test accuracy {member.test_accuracy:.4f}, "
    f"{member.macs:,} MACs, {member.params:,} parameters"
  )
