"""Job `dnas`: from images and a target cost to a trained network.

Data, split in two; the search (`fbnax.search.dnas`); one network derived
from it; this network and random ones of the same cost trained from scratch,
without masks; one measurement of each on the test set; the report.
"""

from __future__ import annotations

import json
from typing import Any

import jax

from fbnax import __version__, report
from fbnax.base import files
from fbnax.jobs.dnas import compare as dnas_compare
from fbnax.jobs.dnas import memory as dnas_memory
from fbnax.jobs.dnas import search as dnas_search
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.networks import read_recipe
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1
ARCHITECTURE = "architecture.json"


def run(config: Any, workdir: str) -> None:
  """Runs the job, or what is left of it, in the work directory."""
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with open_progress() as progress:
      result = design(config, work, progress)
    work.write_result(result)
    page = report.write(work.path)
  for words in result["verdicts"]:
    print(words)
  for member in result["members"]:
    print(
      f"{member['name']}: {member['macs']:,} MACs, {member['params']:,} "
      f"parameters, test accuracy {member['test_accuracy']:.4f}"
    )
  print(f"architecture: {work.path / ARCHITECTURE}")
  print(f"report: {page}")


def design(config: Any, work: WorkDir, progress: Progress) -> dict[str, Any]:
  """All of the job but the report; returns `result.json`."""
  with work.phase("data"):
    dataset = inputs.dataset(config)
    recipe = read_recipe(config)
    space = dnas_search.space(config, dataset.channels, recipe)
    task = dnas_search.task(config, dataset, space)
    comparison = dnas_compare.options(config)
    dnas_memory.check(config.memory_options)
  found = dnas_search.run(config, task, work, progress)
  derived = found["candidates"][0]
  architecture = space.architecture(derived["genotype"])
  files.write_atomically(
    work.path / ARCHITECTURE, architecture.to_json() + "\n"
  )
  with work.phase("memory"):
    memory = dnas_memory.measure(config.memory_options, work.path)
  jax.clear_caches()  # Programs of the search; see `train_network`.
  with work.phase("random networks"):
    random = dnas_compare.random_networks(
      config, task.price, derived["genotype"], derived["cost"]
    )
  entries = dnas_compare.train(
    config,
    comparison,
    task,
    work,
    dataset,
    recipe,
    derived,
    random,
    progress,
  )
  return {
    "schema_version": SCHEMA_VERSION,
    "fbnax_version": __version__,
    "job": "dnas",
    "config": config.to_dict(),
    "dataset": task.facts,
    "space": {
      "name": space.name,
      "size": space.size,
      "decisions": [
        {
          "name": d.name,
          "values": list(d.values),
          "categorical": d.categorical,
        }
        for d in space.decisions
      ],
    },
    "cost": {
      "kind": task.price.kind,
      "unit": task.price.unit,
      "range": list(task.range),
      "target": config.search.target,
      "tolerance": config.search.tolerance,
    },
    "frozen_epochs": config.search.frozen_epochs,
    "rows": found["rows"],
    "candidates": found["candidates"],
    "derived": {
      **derived,
      "architecture": json.loads(architecture.to_json()),
    },
    "verdicts": dnas_compare.verdicts(config, task, found, random),
    "skips": dnas_compare.skips(space, derived["genotype"], random),
    "memory": memory,
    "members": entries,
    "comparison": dnas_compare.compare(entries),
    "times": work.spent(),
  }
