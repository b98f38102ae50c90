"""The members of a family: chosen by evolution or by scaling, then trained.

Evolution finds one under each budget (stage 3 of Algorithm 1 of Wan 2022).
Beyond the range of the search, the smallest and the largest of them are scaled
(its section 4.4: FBNetV3 A, F and G), with their recipes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fbnax import costs, spaces
from fbnax.base.cost_kinds import COST_KINDS
from fbnax.data import Dataset
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.training import Teacher, train_network
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.search import evolution, nars
from fbnax.search.budgets import Budget, stacked
from fbnax.search.nars import predictor
from fbnax.search.trials import TrialStore
from fbnax.spaces import Architecture, Recipe, SearchSpace
from fbnax.training import loop
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings


@dataclasses.dataclass(frozen=True)
class Chosen:
  """A member before it is trained.

  Attributes:
    name: of the member.
    budget: that it keeps to.
    architecture: what to build.
    recipe: how to train it.
    genotype: `i32[D]`; None for a scaled one, which is no point of the space.
    predicted: accuracy that the predictor gives it; None for a scaled one.
    scaled_from: name of the member it was scaled from, None if evolved.
  """

  name: str
  budget: Budget
  architecture: Architecture
  recipe: Recipe
  genotype: np.ndarray | None = None
  predicted: float | None = None
  scaled_from: str | None = None


def evolve(
  config: Any,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  found: nars.NarsSearch,
  store: TrialStore,
) -> list[Chosen]:
  """The best predicted architecture and recipe under each budget.

  They are settled once: what is trained is known by the name of its budget,
  and a search that goes on elsewhere, where numbers round otherwise, might
  choose another network of that name.
  """
  picks = store.settled(
    "members",
    functools.partial(_best, config, space, classes, budgets, found),
  )
  names = member_names(space, budgets)
  chosen = []
  for name, budget, pick in zip(names, budgets, picks, strict=True):
    genotype = np.asarray(pick["genotype"])
    chosen.append(
      Chosen(
        name,
        budget,
        space.architecture(genotype),
        space.recipe(genotype),
        genotype,
        pick["predicted"],
      )
    )
  return chosen


def _best(
  config: Any,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  found: nars.NarsSearch,
) -> list[dict[str, Any]]:
  """Genotype and prediction of the best under each budget, for JSON."""
  result = evolution.evolve(
    jax.random.fold_in(jax.random.key(config.seed), 3),
    predictor.scorer(found.model, config.search.caution),
    space,
    stacked(budgets),
    first_best=best_first(found.entries()),
    num_classes=classes,
    table=inputs.latency_table(config),
  )
  genotypes = np.asarray(result.genotypes[:, 0])
  scores = predictor.predict(found.model, genotypes).score
  return [
    {"genotype": genotype.tolist(), "predicted": float(score)}
    for genotype, score in zip(genotypes, scores, strict=True)
  ]


def scaled(
  config: Any, evolved: Sequence[Chosen], space: SearchSpace, classes: int
) -> list[Chosen]:
  """Members for the budgets of `config.budgets.scaled`, in MACs.

  Raises:
    ValueError: a budget lies between those of the search, or beyond what
      scaling reaches.
  """
  made = []
  budgets = [Budget(macs=(0.0, float(x))) for x in config.budgets.scaled]
  names = member_names(space, budgets)
  for name, budget in zip(names, budgets, strict=True):
    limit = budget.macs[1]
    by_size = sorted(
      evolved, key=lambda c: costs.count(c.architecture, classes).macs
    )
    smallest, largest = (
      costs.count(c.architecture, classes).macs
      for c in (by_size[0], by_size[-1])
    )
    if smallest < limit < largest:
      raise ValueError(
        f"config.budgets.scaled has {limit:g} MACs, inside the family "
        f"({smallest:,} to {largest:,}): make it one of config.budgets.macs"
      )
    source = by_size[0] if limit <= smallest else by_size[-1]
    architecture, _ = spaces.scaled_to(
      source.architecture, limit, lambda a: costs.count(a, classes).macs
    )
    recipe = source.recipe
    if limit > largest:
      recipe = dataclasses.replace(
        recipe, stochastic_depth=config.budgets.scaled_stochastic_depth
      )
    made.append(
      Chosen(
        f"{name}-scaled",
        budget,
        architecture,
        recipe,
        scaled_from=source.name,
      )
    )
  return made


def best_first(trials: Sequence[dict[str, Any]]) -> np.ndarray:
  """Genotypes of the trials that did not fail, the most accurate first.

  Args:
    trials: entries of `result.json`.

  Returns:
    `i32[n, D]`.
  """
  good = [t for t in trials if t["label"] is not None]
  good.sort(key=lambda t: -t["label"])
  return np.asarray([t["genotype"] for t in good], np.int32)


def member_names(space: SearchSpace, budgets: Sequence[Budget]) -> list[str]:
  """A name for each of different budgets, with digits that tell them apart."""
  names: list[str] = []
  for digits in (3, 6, 17):
    names = [member_name(space, budget, digits) for budget in budgets]
    if len(set(names)) == len(names):
      break
  return names


def member_name(space: SearchSpace, budget: Budget, digits: int = 3) -> str:
  """`small-800k`; `small-800k-90kp-5ms-20ke` where all costs are limited."""
  parts = [space.name]
  for name, (_, limit) in budget.items():
    if math.isfinite(limit):
      parts.append(_short(limit, digits) + COST_KINDS[name].suffix)
  return "-".join(parts)


def _short(number: float, digits: int = 3) -> str:
  for size, letter in ((1e9, "g"), (1e6, "m"), (1e3, "k")):
    if number >= size:
      return f"{number / size:.{digits}g}{letter}"
  return f"{number:.{max(digits, 6)}g}"


def train(
  config: Any,
  work: WorkDir,
  dataset: Dataset,
  chosen: Sequence[Chosen],
  teacher: Teacher | None,
  progress: Progress,
) -> list[dict[str, Any]]:
  """Trains on all that is not the test set.

  The given teacher teaches all of them. Without one the largest member, which
  is trained first, teaches the others. With `config.head` of `nbdt` they come
  with their trees.
  """
  everything = loop.place(dataset.train)
  by_size = sorted(
    chosen, key=lambda c: costs.count(c.architecture).macs, reverse=True
  )
  entries = {}
  for member in by_size:
    settings = inputs.settings(config, dataset, member.architecture.resolution)

    def one(
      name: str,
      recipe: Recipe,
      settings: Settings,
      member: Chosen = member,
      teacher: Teacher | None = teacher,
      **more: Any,
    ) -> tuple[dict[str, Any], Teacher]:
      return train_network(
        work.path,
        name,
        member.architecture,
        recipe,
        settings,
        dataset,
        everything,
        None,
        teacher=teacher,
        seed=config.seed,
        checkpoint_every=config.training.checkpoint_every,
        progress=progress,
        **more,
      )

    with work.phase(f"train {member.name}"):
      if tree_settings.has_trees(config):
        entry, trained = tree_training.train_member(
          config.tree,
          config.seed,
          work.path,
          dataset,
          member.name,
          member.recipe,
          settings,
          one,
        )
      else:
        entry, trained = one(member.name, member.recipe, settings)
    teacher = teacher or trained
    genotype = member.genotype
    further = inputs.further_costs(
      config, member.budget, member.architecture, dataset.num_classes
    )
    entries[member.name] = entry | {
      **further,
      "budget": inputs.as_json(member.budget),
      "predicted": member.predicted,
      "genotype": None if genotype is None else genotype.tolist(),
      "scaled_from": member.scaled_from,
    }
  return [entries[c.name] for c in sorted(chosen, key=_limit)]


def _limit(member: Chosen) -> tuple[float, ...]:
  return tuple(high for _, high in member.budget.values())
