"""Finished `nars` runs as a study reads them: members, trials, random pairs.

Symbols: `n` genotypes, `D` decisions.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from fbnax import costs
from fbnax.base.cost_kinds import ALWAYS, FURTHER
from fbnax.base.json_values import shown
from fbnax.jobs.runtime import configs, inputs, parts, run_results
from fbnax.jobs.runtime.sections import SearchDataKeys, TrainingKeys
from fbnax.jobs.study.config import StudyConfig
from fbnax.jobs.study.result import StudiedRun
from fbnax.report.schema import TrialRow
from fbnax.search import budgets as budgets_lib
from fbnax.search.budgets import Budget
from fbnax.spaces import Architecture, Recipe, SearchSpace

_BATCH = 4096  # Genotypes drawn at a time.
_BATCHES = 500  # Before a band is given up as too rare.


@dataclasses.dataclass(frozen=True)
class RunConfig:
  """What a study takes of a run's config: its data, space and training."""

  seed: int
  data: SearchDataKeys
  space: str
  fix: str
  architecture: str
  resolution: int
  recipe_file: str
  training: TrainingKeys
  teacher: str


@dataclasses.dataclass(frozen=True)
class FinishedMember:
  """A member of a finished run's family, as its `result.json` has it."""

  name: str
  architecture: Architecture
  recipe: Recipe
  teacher: str | None
  epochs: int
  macs: int
  budget: Budget
  is_scaled: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """A finished run of the job `nars`.

  Attributes:
    path: its work directory, as the config names it.
    started_with: its whole config, as its `result.json` has it.
    config: what matters of it here.
    facts: for the study's result.
    classes: number of classes.
    space: the space it searched.
    trials: what it trained in the search.
    members: those that are studied, the smallest first.
    family: all of them, the smallest first.
  """

  path: str
  started_with: Mapping[str, Any]
  config: RunConfig
  facts: StudiedRun
  classes: int
  space: SearchSpace
  trials: tuple[TrialRow, ...]
  members: tuple[FinishedMember, ...]
  family: tuple[FinishedMember, ...]


def read(config: StudyConfig, path: str) -> Run:
  """Reads a finished run, and chooses those of its members that are studied.

  Scaled members are none of them, as they are no points of the space.

  Args:
    config: the study's; `members` are names, or limits of budgets, none for
      all. It names again what is the user's own code
      (`fbnax.jobs.runtime.parts`).
    path: the run's work directory.

  Raises:
    ValueError: there is no finished run, no member of that name, or code that
      the config does not name; or the run started from weights.
  """
  result = run_results.read(path, "nars")
  if result["config"].get("weights"):
    raise ValueError(
      f"{path} has config.weights={shown(result['config']['weights'])}, whose"
      " members inherit weights that what a study trains would not have; legal:"
      " a run without weights"
    )
  run_results.check_family(result, path)
  run_config = _run_config(config, result["config"], path)
  family = sorted(
    (_member(entry) for entry in result["members"]), key=lambda m: m.macs
  )
  evolved = [m for m in family if not m.is_scaled]
  for item in config.members:
    if not any(_is(m, item) for m in evolved):
      legal = ", ".join(m.name for m in evolved)
      raise ValueError(
        f"config.members has {item!r}; {path} has {legal}, and their budgets"
      )
  members = [
    m
    for m in evolved
    if not config.members or any(_is(m, item) for item in config.members)
  ]
  data = result["dataset"]
  space = inputs.space(run_config, data["channels"])
  run_results.check_genotypes(result, "trials", space, path)
  return Run(
    path,
    result["config"],
    run_config,
    StudiedRun(
      name=path,
      dataset=data["name"],
      source=data["source"],
      train=data["train"] + data["validation"],
      test=data["test"],
    ),
    data["num_classes"],
    space,
    run_results.trials(result),
    tuple(members),
    tuple(family),
  )


def draw(
  key: jax.Array, space: SearchSpace, budget: Budget, count: int, classes: int
) -> np.ndarray:
  """Random genotypes whose exact costs meet a budget, by rejection.

  Args:
    key: random key.
    space: drawn from uniformly over the choices of each decision.
    budget: limits on MACs and parameters, included.
    count: how many, no two alike.
    classes: outputs of the classifier.

  Returns:
    `i32[count, D]`.

  Raises:
    ValueError: too few random networks meet the budget.
  """
  genotypes: dict[tuple[int, ...], None] = {}
  for i in range(_BATCHES):
    drawn = space.sample(jax.random.fold_in(key, i), _BATCH)
    excess = budgets_lib.violation(budget, costs.batch(space, drawn, classes))
    for genotype in np.asarray(drawn)[np.asarray(excess) == 0]:
      genotypes.setdefault(tuple(genotype.tolist()))
      if len(genotypes) == count:
        return np.asarray(list(genotypes), np.int32)
  raise ValueError(
    f"of {_BATCH * _BATCHES:,} random networks of space {space.name!r} only "
    f"{len(genotypes)} cost what budget {inputs.as_json(budget)} allows; "
    f"choose fewer than {count} pairs, or a run with a lower budgets.floor"
  )


def best_trial(run: Run, budget: Budget) -> np.ndarray | None:
  """Genotype of the most accurate trial in a budget, `i32[D]`; None if none."""
  trials = [(t.label, t.genotype) for t in run.trials if t.label is not None]
  for _, choices in sorted(trials, key=lambda trial: -trial[0]):
    genotype = np.asarray(choices, np.int32)
    counted = costs.count(run.space.architecture(genotype), run.classes)
    if all(
      low <= value <= high
      for value, (low, high) in zip(
        counted, (budget[name] for name in ALWAYS), strict=True
      )
    ):
      return genotype
  return None


def _run_config(
  config: StudyConfig, started_with: Mapping[str, Any], path: str
) -> RunConfig:
  """What a study takes of a run's config.

  Raises:
    ValueError: it has code that the study's config does not name, or a value
      that is not legal.
  """
  run_config = parts.of_run(config, {**started_with, "job": "nars"}, path)
  try:
    values = configs.typed(run_config)
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error
  return RunConfig(
    seed=values.seed,
    data=values.data,
    space=values.space,
    fix=values.fix,
    architecture=values.architecture,
    resolution=values.resolution,
    recipe_file=values.recipe_file,
    training=values.training,
    teacher=values.training.teacher,
  )


def _member(entry: dict[str, Any]) -> FinishedMember:
  limits = entry["budget"]
  further = [name for name in FURTHER if limits.get(name)]
  if further:
    raise ValueError(
      f"member {entry['name']!r} has a budget of {' and '.join(further)}, "
      "which random networks of a study would not keep to; legal: a run with "
      "budgets of macs and params alone"
    )
  return FinishedMember(
    entry["name"],
    Architecture.from_json(json.dumps(entry["architecture"])),
    Recipe.from_json(json.dumps(entry["recipe"])),
    entry["teacher"],
    entry["epochs"],
    entry["macs"],
    Budget(**{name: tuple(limits[name]) for name in ALWAYS if limits[name]}),
    entry.get("scaled_from") is not None,
  )


def _is(member: FinishedMember, item: str | float) -> bool:
  """Whether this is meant by a name, or by a limit of its budget."""
  try:
    return float(item) in [high for _, high in member.budget.values()]
  except ValueError:
    return item == member.name
