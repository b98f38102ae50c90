"""Job `nars`: from images and budgets to a family of trained networks.

Data, splits, space and budgets; the search (`fbnax.search.nars`);
evolution under each budget, and under many more for the front; training of the
members, the largest first, which teaches the others; one measurement on the
test set; the report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from fbnax.jobs.nars import (
  baselines,
  evaluating,
  front,
  members,
  supernet,
  time_plan,
)
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.pool import draw_for
from fbnax.jobs.nars.result import NarsResult
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime import proxy_scores as zero_cost_scores
from fbnax.jobs.runtime.families import PREDICTOR
from fbnax.jobs.runtime.networks import read_teacher
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.workdir import TRIALS, WorkDir
from fbnax.report import schema
from fbnax.report.front_schema import Front
from fbnax.search import nars
from fbnax.search.budgets import Budget, CostRange, cost_range
from fbnax.search.nars import predictor_files
from fbnax.search.nars.planning import NarsSizes
from fbnax.search.trials import TrialStore, open_store
from fbnax.spaces import SearchSpace
from fbnax.training.progress import Progress

# Where candidates are trained does not matter for what comes of them.
IGNORED = ("ray",)
prepare = evaluating.prepare


def run(config: NarsConfig, work: WorkDir, progress: Progress) -> NarsResult:
  """Searches, and trains the family."""
  with work.phase("data"):
    dataset = inputs.dataset(config)
    train, validation = members.search_split(config, dataset)
    facts = inputs.facts(dataset, train, validation)
  classes = dataset.num_classes
  pretrained = supernet.read(config, dataset)
  space = supernet.space_of(config, dataset, pretrained)
  budgets = inputs.budgets(config, space, classes)
  reachable = cost_range(space, classes)
  within: tuple[float, float] = reachable.macs
  if any(b.further() for b in budgets):
    drawn = draw_for(config, space, classes, budgets)
    within = drawn.macs_within(budgets) or within
  sizes = _sizes(config, budgets, within)
  # What is not legal is said before the search.
  tree_settings.has_trees(config)
  members.checked(config, dataset)
  teacher = read_teacher(
    config.training.teacher, "config.training.teacher", dataset
  )
  scored = zero_cost_scores.scored(
    config.search, "config.search", space, config.space, work
  )
  inheritance = None
  if pretrained is not None:
    with work.phase(supernet.NAME):
      config = time_plan.planned(
        config, work, dataset, pretrained, train, validation, teacher
      )
      inheritance = supernet.train(
        config, work, dataset, pretrained, train, validation, teacher, progress
      )
  with open_store(work.path / TRIALS) as store:
    with evaluating.opened(
      config, space, dataset, train, validation, inheritance
    ) as evaluate:
      search = nars.search(
        space,
        classes,
        evaluate,
        store,
        sizes,
        progress,
        work.phase,
        scored=scored,
      )
    predictor_files.save(work.path / PREDICTOR, search.model)
    trials = tuple(schema.TrialRow(**entry) for entry in search.entries())
    with work.phase("evolution"), progress.phase("evolution"):
      chosen, best = _evolved(
        config, space, classes, budgets, search, trials, store
      )
  jax.clear_caches()  # Programs of the search; see `train_network`.
  family, on_labels = members.train(
    config, work, dataset, chosen, teacher, progress, inheritance
  )
  return NarsResult(
    dataset=facts,
    space=_space(space, reachable),
    predictor=_predictor(search),
    early_stop=schema.EarlyStopping(**search.report["early_stop"]),
    signal=search.report["signal"],
    trials=trials,
    front=best,
    members=family,
    on_labels=on_labels,
    baselines=baselines.train(
      config, work, dataset, inheritance, teacher, chosen, progress
    ),
    supernet=inheritance.member if inheritance else None,
  )


def _evolved(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  search: nars.NarsSearch,
  trials: Sequence[schema.TrialRow],
  store: TrialStore,
) -> tuple[list[members.Chosen], Front | None]:
  """The members before they are trained, and the best for any budget."""
  chosen = members.evolve(
    config, space, classes, budgets, search.model, trials, store
  )
  best = front.of_search(
    config,
    space,
    classes,
    budgets,
    search.model,
    trials,
    np.asarray([c.genotype for c in chosen], np.int32),
    store,
    search.report["early_stop"]["epoch"],
  )
  return [*chosen, *members.scaled(config, chosen, space, classes)], best


def lines(result: NarsResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for member in result.members:
    yield (
      f"{member.name}: {member.macs:,} MACs, {member.params:,} "
      f"parameters, test accuracy {member.test_accuracy:.4f}"
    )


def _space(space: SearchSpace, reachable: CostRange) -> schema.Space:
  """The searched space in the result."""
  choices = tuple(
    schema.Choice(d.name, tuple(d.values), d.categorical, space.is_recipe(d))
    for d in space.decisions
  )
  return schema.Space(
    space.name, space.size, choices, reachable.macs, space.sgd_factor
  )


def _predictor(search: nars.NarsSearch) -> schema.PredictorChecks:
  """The predictor in the result."""
  parts = search.report["predictor"]
  return schema.PredictorChecks(
    {
      name: schema.Pretrained(**label)
      for name, label in parts["pretraining"].items()
    },
    tuple(schema.PredictorRound(**row) for row in parts["rounds"]),
  )


def _sizes(
  config: NarsConfig, budgets: Sequence[Budget], macs: tuple[float, float]
) -> NarsSizes:
  lows = [b.macs[0] for b in budgets if math.isfinite(b.macs[1])]
  highs = [b.macs[1] for b in budgets if math.isfinite(b.macs[1])]
  search = config.search
  return NarsSizes(
    pool=search.pool,
    rounds=search.rounds,
    candidates=search.candidates,
    epochs=search.epochs,
    correlation=search.correlation,
    macs=_macs(config, lows, highs, macs),
    predictors=search.predictors,
    seed=config.seed,
    bins=search.bins,
    first=search.first,
    exploration=search.exploration,
    signal=search.signal,
    ranks=search.ranks,
    huber=search.huber,
    learner=search.learner,
  )


def _macs(
  config: NarsConfig,
  lows: list[float],
  highs: list[float],
  macs: tuple[float, float],
) -> tuple[float, float]:
  """The range of MACs of the candidates."""
  limits = tuple(config.search.macs)
  if limits:
    if len(limits) != 2 or not limits[0] < limits[1]:
      raise ValueError(
        f"config.search.macs is {limits!r}; legal: lowest and highest, or () "
        "for the range of the budgets"
      )
    return float(limits[0]), float(limits[1])
  if highs:
    return min(lows), max(highs)
  return float(macs[0]), float(macs[1])
