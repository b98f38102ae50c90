"""Job `train`: one network, any architecture with any recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from fbnax import __version__, report
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.networks import (
  at_resolution,
  read_architecture,
  read_recipe,
  read_teacher,
  read_weights,
)
from fbnax.jobs.runtime.training import train_network
from fbnax.jobs.runtime.workdir import open_workdir
from fbnax.training import loop
from fbnax.training.progress import open_progress

SCHEMA_VERSION = 1


def run(config: Any, workdir: str) -> None:
  """Trains `config.architecture` with `config.recipe`; writes the report."""
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with work.phase("data"):
      dataset = inputs.dataset(config)
      train, validation = inputs.hold_out(config, dataset)
      facts = inputs.facts(dataset, train, validation)
    architecture = dataclasses.replace(
      at_resolution(read_architecture(config.architecture), config.resolution),
      input_channels=dataset.channels,
    )
    recipe = read_recipe(config)
    teacher = read_teacher(config.teacher, "config.teacher", dataset)
    variables = read_weights(config, architecture, dataset)
    settings = inputs.settings(
      config,
      dataset,
      architecture.resolution,
      **inputs.given_normalization(config, dataset),
    )
    with open_progress() as progress, work.phase("training"):
      entry, _ = train_network(
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
      )
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "train",
        "config": config.to_dict(),
        "dataset": facts,
        "members": [entry],
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  print(
    f"test accuracy {entry['test_accuracy']:.4f}, "
    f"{entry['macs']:,} MACs, {entry['params']:,} parameters; report: {page}"
  )
