"""Job `evolve`: new budgets for a finished search, by its predictor."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np

from fbnax import __version__, costs
from fbnax.base import files, json_values
from fbnax.base.cost_kinds import COST_KINDS, FURTHER
from fbnax.jobs.nars.job import PREDICTOR
from fbnax.jobs.nars.members import best_first, member_names
from fbnax.jobs.runtime import inputs, parts, run_results
from fbnax.jobs.runtime.workdir import open_workdir
from fbnax.search import evolution
from fbnax.search.budgets import stacked
from fbnax.search.nars import predictor, predictor_files
from fbnax.spaces import Architecture

SCHEMA_VERSION = 1


def run(config: Any, workdir: str) -> None:
  """Evolves the best architecture-recipe pairs for `config.budgets`.

  The space is that of the run; where it is the user's own, `config.space` names
  it again (see `fbnax.jobs.runtime.parts`).
  """
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    finished = run_results.read(config.run, "nars")
    classes = finished["dataset"]["num_classes"]
    channels = finished["dataset"]["channels"]
    space = inputs.space(_config_of(config, finished), channels)
    run_results.check_genotypes(finished, "trials", space, config.run)
    path = files.inside(config.run, f"{config.run}/{PREDICTOR}")
    model = predictor_files.load(path, space)
    budgets = inputs.budgets(config, space, classes)
    with work.phase("evolution"):
      found = evolution.evolve(
        jax.random.key(config.seed),
        predictor.scorer(model),
        space,
        stacked(budgets),
        first_best=best_first(finished["trials"]),
        num_classes=classes,
        table=inputs.latency_table(config),
      )
    candidates = []
    names = member_names(space, budgets)
    for i, (name, budget) in enumerate(zip(names, budgets, strict=True)):
      best: dict[Architecture, int] = {}
      for j in np.flatnonzero(np.asarray(found.valid[i])).tolist():
        # Many survivors differ in a shade of the recipe: one for each network.
        best.setdefault(space.architecture(found.genotypes[i, j]), j)
      for rank, (architecture, j) in enumerate(best.items(), start=1):
        if rank > config.top:
          break
        genotype = np.asarray(found.genotypes[i, j])
        counted = costs.count(architecture, classes)
        candidates.append(
          {
            "name": f"{name}-{rank}",
            "budget": inputs.as_json(budget),
            "predicted": float(found.scores[i, j]),
            "macs": counted.macs,
            "params": counted.params,
            **inputs.further_costs(config, budget, architecture, classes),
            "genotype": genotype.tolist(),
            "architecture": json.loads(architecture.to_json()),
            "recipe": json.loads(space.recipe(genotype).to_json()),
          }
        )
    folder = work.path / "candidates"
    folder.mkdir(exist_ok=True)
    for candidate in candidates:
      for part in ("architecture", "recipe"):
        files.write_atomically(
          folder / f"{candidate['name']}.{part}.json",
          json_values.to_json(candidate[part]) + "\n",
        )
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "evolve",
        "config": config.to_dict(),
        "run": str(config.run),
        "candidates": candidates,
        "times": work.spent(),
      }
    )
  for candidate in candidates:
    print(
      f"{candidate['name']}: {candidate['macs']:,} MACs, "
      f"{candidate['params']:,} parameters, {_further(candidate)}"
      f"predicted {candidate['predicted']:.4f}"
    )
  print(f"for configs/train.py: {folder}")


def _further(candidate: dict[str, Any]) -> str:
  """What else its budget limits, for a line of the output."""
  return "".join(
    f"{COST_KINDS[name].show(candidate[name])}, "
    for name in FURTHER
    if name in candidate
  )


def _config_of(config: Any, finished: dict[str, Any]) -> Any:
  """What of the run's config makes its space; no more of it is asked for."""
  choice = inputs.SpaceChoice.of_run(finished["config"])
  return parts.of_run(config, dataclasses.asdict(choice), str(config.run))
