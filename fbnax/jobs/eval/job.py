"""Job `eval`: log-loss and accuracy of a finished model."""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnax import __version__, costs
from fbnax.jobs.runtime import classes, inputs
from fbnax.jobs.runtime.workdir import open_workdir
from fbnax.training import loop, model_files
from fbnax.training.step import Model

SCHEMA_VERSION = 1


def run(config: Any, workdir: str) -> None:
  """Measures `config.model` on a split of `config.data`."""
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    if not config.model:
      raise ValueError("config.model is empty; give a model's directory")
    if config.split not in ("train", "test"):
      raise ValueError(
        f"config.split is {config.split!r}; legal: 'train' or 'test'"
      )
    saved = model_files.load(config.model)
    dataset = inputs.dataset(config, saved.bits)
    module = saved.module
    classes.check(config.model, saved, dataset)
    split = dataset.test if config.split == "test" else dataset.train
    if config.split == "test":
      for line in inputs.absences(dataset):
        print(line)
    with work.phase("evaluation"):
      measured = loop.measure(
        Model(module),
        saved.settings(config.batch_size),
        saved.variables,
        None,
        loop.place(split),
      )
    if not np.isfinite(measured.loss):
      raise ValueError(
        f"{config.model} gives log-loss {float(measured.loss)} on"
        f" {dataset.source}; legal: a model whose logits are finite"
      )
    counted = costs.count(module.architecture, module.num_classes)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "eval",
        "config": config.to_dict(),
        "model": config.model,
        "split": config.split,
        "images": len(split),
        "accuracy": float(measured.accuracy),
        "log_loss": float(measured.loss),
        "macs": counted.macs,
        "params": counted.params,
        "times": work.spent(),
      }
    )
  print(
    f"{config.model} on {len(split)} {config.split} images: "
    f"accuracy {float(measured.accuracy):.4f}, "
    f"log-loss {float(measured.loss):.4f}"
  )
