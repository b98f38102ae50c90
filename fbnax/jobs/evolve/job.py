"""Job `evolve`: new budgets for a finished search, by its predictor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from fbnax import costs
from fbnax.base import files, json_values
from fbnax.base.cost_kinds import COST_KINDS, FURTHER
from fbnax.jobs.evolve.config import EvolveConfig
from fbnax.jobs.evolve.result import EvolveResult, PredictedNetwork
from fbnax.jobs.runtime import inputs, parts, run_results
from fbnax.jobs.runtime.families import PREDICTOR, best_first, member_names
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.report import schema
from fbnax.search import evolution
from fbnax.search.budgets import Budget, stacked
from fbnax.search.nars import predictor, predictor_files
from fbnax.spaces import Architecture, SearchSpace
from fbnax.training.progress import Progress

CANDIDATES = "candidates"


def run(
  config: EvolveConfig, work: WorkDir, progress: Progress
) -> EvolveResult:
  """Evolves the best architecture-recipe pairs for `config.budgets`.

  The space is that of the run; where it is the user's own, `config.space` names
  it again (see `fbnax.jobs.runtime.parts`).
  """
  del progress  # One program, of a few seconds.
  finished = run_results.read(config.run, "nars")
  trials = run_results.trials(finished)
  classes = finished["dataset"]["num_classes"]
  choice = inputs.NamedSpace.of_run(finished["config"])
  parts.of_run(config, dataclasses.asdict(choice), config.run)
  space = inputs.space(choice, finished["dataset"]["channels"])
  run_results.check_genotypes(finished, "trials", space, config.run)
  path = files.inside(config.run, f"{config.run}/{PREDICTOR}")
  model = predictor_files.load(path, space)
  budgets = inputs.budgets(config, space, classes)
  with work.phase("evolution"):
    evolved = evolution.evolve(
      jax.random.key(config.seed),
      predictor.scorer(model),
      space,
      stacked(budgets),
      first_best=best_first(trials),
      num_classes=classes,
      table=inputs.latency_table(config),
    )
  candidates = []
  names = member_names(space, budgets)
  for i, (name, budget) in enumerate(zip(names, budgets, strict=True)):
    for rank, j in enumerate(_distinct(space, evolved, i)[: config.top], 1):
      candidates.append(
        _candidate(
          config,
          f"{name}-{rank}",
          budget,
          space,
          np.asarray(evolved.genotypes[i, j]),
          float(evolved.scores[i, j]),
          classes,
        )
      )
  _write(work.path / CANDIDATES, candidates)
  return EvolveResult(run=config.run, candidates=tuple(candidates))


def lines(result: EvolveResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  for candidate in result.candidates:
    further = "".join(
      f"{COST_KINDS[name].show(cost)}, "
      for name in FURTHER
      if (cost := getattr(candidate, name)) is not None
    )
    yield (
      f"{candidate.name}: {candidate.macs:,} MACs, "
      f"{candidate.params:,} parameters, {further}"
      f"predicted {candidate.predicted:.4f}"
    )
  yield f"for configs/train.py: {folder / CANDIDATES}"


def _distinct(
  space: SearchSpace, evolved: evolution.Evolution, place: int
) -> list[int]:
  """Survivors under a budget, the best first, one for each network.

  Many survivors differ in a shade of the recipe.
  """
  best: dict[Architecture, int] = {}
  for j in np.flatnonzero(np.asarray(evolved.valid[place])).tolist():
    best.setdefault(space.architecture(evolved.genotypes[place, j]), j)
  return list(best.values())


def _candidate(
  config: EvolveConfig,
  name: str,
  budget: Budget,
  space: SearchSpace,
  genotype: np.ndarray,
  predicted: float,
  classes: int,
) -> PredictedNetwork:
  architecture = space.architecture(genotype)
  counted = costs.count(architecture, classes)
  return PredictedNetwork(
    name=name,
    budget=inputs.as_json(budget),
    predicted=predicted,
    macs=counted.macs,
    params=counted.params,
    genotype=tuple(genotype.tolist()),
    architecture=architecture,
    recipe=json.loads(space.recipe(genotype).to_json()),
    **inputs.further_costs(config, budget, architecture, classes),
  )


def _write(folder: Path, candidates: Sequence[PredictedNetwork]) -> None:
  """Files that `configs/train.py` takes."""
  folder.mkdir(exist_ok=True)
  for candidate in candidates:
    for part in ("architecture", "recipe"):
      document = schema.as_json(getattr(candidate, part))
      files.write_atomically(
        folder / f"{candidate.name}.{part}.json",
        json_values.to_json(document) + "\n",
      )
