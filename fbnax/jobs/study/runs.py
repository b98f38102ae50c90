"""Finished `nars` runs as a study reads them: members, trials, random pairs.

Symbols: `n` genotypes, `D` decisions.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np

from fbnax import costs
from fbnax.base.cost_kinds import ALWAYS, FURTHER
from fbnax.jobs.runtime import inputs, parts, run_results
from fbnax.search import budgets as budgets_lib
from fbnax.search.budgets import Budget
from fbnax.spaces import Architecture, Recipe, SearchSpace
from fbnax.training.recipes import Settings

_BATCH = 4096  # Genotypes drawn at a time.
_BATCHES = 500  # Before a band is given up as too rare.
# Of a run's config: its data, its space; `training` besides.
_KEYS = (
  "seed",
  "data",
  "space",
  "fix",
  "architecture",
  "resolution",
  "recipe_file",
)


@dataclasses.dataclass(frozen=True)
class Member:
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
    config: what it was started with, as far as it matters here.
    result: its `result.json`.
    space: the space it searched.
    members: those that are studied, the smallest first.
    family: all of them, the smallest first.
  """

  path: str
  config: Any
  result: dict[str, Any]
  space: SearchSpace
  members: tuple[Member, ...]
  family: tuple[Member, ...]

  @property
  def classes(self) -> int:
    """Number of classes."""
    return int(self.result["dataset"]["num_classes"])


def read(config: Any, path: str) -> Run:
  """Reads a finished run, and chooses those of its members that are studied.

  Scaled members are none of them, as they are no points of the space.

  Args:
    config: the study's; `members` are names, or limits of budgets, none for
      all. It names again what is the user's own code
      (`fbnax.jobs.runtime.parts`).
    path: the run's work directory.

  Raises:
    ValueError: there is no finished run, no member of that name, or code that
      the config does not name.
  """
  result = run_results.read(path, "nars")
  run_results.check_family(result, path)
  run_config = parts.of_run(config, _completed(result["config"]), path)
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
  space = inputs.space(run_config, result["dataset"]["channels"])
  run_results.check_genotypes(result, "trials", space, path)
  return Run(
    path,
    run_config,
    result,
    space,
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
  found: dict[tuple[int, ...], None] = {}
  for i in range(_BATCHES):
    drawn = space.sample(jax.random.fold_in(key, i), _BATCH)
    excess = budgets_lib.violation(budget, costs.batch(space, drawn, classes))
    for genotype in np.asarray(drawn)[np.asarray(excess) == 0]:
      found.setdefault(tuple(genotype.tolist()))
      if len(found) == count:
        return np.asarray(list(found), np.int32)
  raise ValueError(
    f"of {_BATCH * _BATCHES:,} random networks of space {space.name!r} only "
    f"{len(found)} cost what budget {inputs.as_json(budget)} allows; choose "
    f"fewer than {count} pairs, or a run with a lower budgets.floor"
  )


def best_trial(run: Run, budget: Budget) -> np.ndarray | None:
  """Genotype of the most accurate trial in a budget, `i32[D]`; None if none."""
  trials = [t for t in run.result["trials"] if t["label"] is not None]
  for trial in sorted(trials, key=lambda t: -t["label"]):
    genotype = np.asarray(trial["genotype"], np.int32)
    found = costs.count(run.space.architecture(genotype), run.classes)
    if all(
      low <= value <= high
      for value, (low, high) in zip(
        found, (budget[n] for n in ALWAYS), strict=True
      )
    ):
      return genotype
  return None


def _completed(config: dict[str, Any]) -> dict[str, Any]:
  """What a study needs of a run's config, with the keys added since it ran.

  Their defaults are what was done before there were such keys.
  """
  training = {
    field.name: field.default
    for field in dataclasses.fields(Settings)
    if field.default is not dataclasses.MISSING
  }
  return {
    **dataclasses.asdict(inputs.SpaceChoice("")),
    **{key: config[key] for key in config if key in _KEYS},
    "training": {"teacher": "", **training, **config["training"]},
  }


def _member(entry: dict[str, Any]) -> Member:
  limits = entry["budget"]
  further = [name for name in FURTHER if limits.get(name)]
  if further:
    raise ValueError(
      f"member {entry['name']!r} has a budget of {' and '.join(further)}, "
      "which random networks of a study would not keep to; legal: a run with "
      "budgets of macs and params alone"
    )
  return Member(
    entry["name"],
    Architecture.from_json(json.dumps(entry["architecture"])),
    Recipe.from_json(json.dumps(entry["recipe"])),
    entry["teacher"],
    entry["epochs"],
    entry["macs"],
    Budget(**{name: tuple(limits[name]) for name in ALWAYS if limits[name]}),
    entry.get("scaled_from") is not None,
  )


def _is(member: Member, wanted: Any) -> bool:
  """Whether this is meant by a name, or by a limit of its budget."""
  try:
    return float(wanted) in [high for _, high in member.budget.values()]
  except (TypeError, ValueError):
    return bool(wanted == member.name)
