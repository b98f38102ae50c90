"""Job `evolve`: new budgets for a finished search, by its predictor.

Or by its front, the networks that the search has chosen for many budgets and
that its report shows.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fbnax import costs
from fbnax.base import files, json_values
from fbnax.base.cost_kinds import COST_KINDS, FURTHER
from fbnax.costs.table import Context, cost
from fbnax.jobs.evolve import inheriting
from fbnax.jobs.evolve.config import EvolveConfig
from fbnax.jobs.evolve.result import EvolveResult, PredictedNetwork
from fbnax.jobs.runtime import inputs, parts, run_results
from fbnax.jobs.runtime.families import PREDICTOR, best_first, member_names
from fbnax.jobs.runtime.workdir import RESULT, WorkDir
from fbnax.report import reading, schema
from fbnax.report.front_schema import Front, FrontNetwork
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
  finished = run_results.read(config.run, "nars")
  trials = run_results.trials(finished)
  classes = finished["dataset"]["num_classes"]
  choice = inputs.NamedSpace.of_run(finished["config"], config.run)
  parts.of_run(config, dataclasses.asdict(choice), config.run)
  space = inputs.space(choice, finished["dataset"]["channels"])
  run_results.check_genotypes(finished, "trials", space, config.run)
  budgets = inputs.budgets(config, space, classes)
  if config.front:
    chosen = _of_front(config, finished, space, budgets, classes)
  else:
    with work.phase("evolution"):
      chosen = _evolved(config, trials, space, budgets, classes)
  names = member_names(space, budgets)
  candidates = [
    _candidate(config, f"{name}-{rank}", budget, space, *pick, classes)
    for name, budget, picks in zip(names, budgets, chosen, strict=True)
    for rank, pick in enumerate(picks[: config.top], 1)
  ]
  if finished["config"].get("weights"):
    candidates = inheriting.given_weights(
      config, finished, space, candidates, work, progress
    )
  _write(work.path / CANDIDATES, candidates)
  return EvolveResult(run=config.run, candidates=tuple(candidates))


def _evolved(
  config: EvolveConfig,
  trials: Sequence[schema.TrialRow],
  space: SearchSpace,
  budgets: Sequence[Budget],
  classes: int,
) -> list[list[tuple[np.ndarray, float]]]:
  """The best networks under each budget: genotype and prediction."""
  path = files.inside(config.run, f"{config.run}/{PREDICTOR}")
  model = predictor_files.load(path, space)
  evolved = evolution.evolve(
    jax.random.key(config.seed),
    predictor.scorer(model),
    space,
    stacked(budgets),
    first_best=best_first(trials),
    num_classes=classes,
    table=inputs.latency_table(config),
    **vars(config.evolution),
  )
  return [
    [
      (np.asarray(evolved.genotypes[i, j]), float(evolved.scores[i, j]))
      for j in _distinct(space, evolved, i)
    ]
    for i in range(len(budgets))
  ]


def _of_front(
  config: EvolveConfig,
  finished: dict[str, Any],
  space: SearchSpace,
  budgets: Sequence[Budget],
  classes: int,
) -> list[list[tuple[np.ndarray, float]]]:
  """The best network of the run's front under each budget, and its prediction.

  Raises:
    ValueError: the run has no front, or its front has no network that meets a
      budget.
  """
  where = str(Path(config.run) / RESULT)
  if finished.get("front") is None:
    raise ValueError(
      f"{where} has no front; legal: config.front=False, or a run that "
      "searched architectures, by this version or a later one"
    )
  try:
    front = reading.parse(Front, finished["front"])
    front.check()
  except ValueError as error:
    raise ValueError(f"{where}: front: {error}") from error
  rows = [{"genotype": list(n.genotype)} for n in front.networks]
  run_results.check_genotypes({"front": rows}, "front", space, config.run)
  context = Context(classes, inputs.latency_table(config))
  chosen = []
  for budget in budgets:
    met = [
      network
      for network in _networks_for(front, budget)
      if _meets(space, network, budget, context)
    ]
    if not met:
      limits = ", ".join(
        f"{low:g} to {COST_KINDS[name].show(high)}"
        for name, (low, high) in budget.items()
        if math.isfinite(high)
      )
      raise ValueError(
        f"config.budgets has {limits}, which none of the "
        f"{len(front.networks)} networks of the front of {where} costs; legal: "
        "config.front=False, or what one of them costs"
      )
    chosen.append([(np.asarray(met[-1].genotype), met[-1].predicted or 0.0)])
  return chosen


def _networks_for(front: Front, budget: Budget) -> list[FrontNetwork]:
  """Those that a budget may get, the better the later.

  For a limit on one cost the networks of its budgets, as a report shows them.
  """
  limited = [name for name in budget if budget.limits(name)]
  for line in front.lines:
    if [line.cost] == limited:
      return [front.networks[stop.network] for stop in line.stops]
  return sorted(front.networks, key=lambda network: network.score or 0.0)


def _meets(
  space: SearchSpace, network: FrontNetwork, budget: Budget, context: Context
) -> bool:
  architecture = space.architecture(np.asarray(network.genotype))
  return all(
    low <= cost(name).exact(architecture, context) <= high
    for name, (low, high) in budget.items()
    if budget.limits(name)
  )


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
    if candidate.checkpoint is not None:
      yield (
        f"  trained: {folder / candidate.checkpoint}, test accuracy"
        f" {candidate.test_accuracy:.4f}"
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
  further: dict[str, Any] = inputs.further_costs(
    config, budget, architecture, classes
  )
  return PredictedNetwork(
    name=name,
    budget=inputs.as_json(budget),
    predicted=predicted,
    macs=counted.macs,
    params=counted.params,
    genotype=tuple(genotype.tolist()),
    architecture=architecture,
    recipe=json.loads(space.recipe(genotype).to_json()),
    **further,
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
