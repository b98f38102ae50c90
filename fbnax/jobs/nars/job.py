"""Job `nars`: from images and budgets to a family of trained networks.

Data, splits, space and budgets; the search (`fbnax.search.nars`);
evolution under each budget; training of the members, the largest first, which
teaches the others; one measurement on the test set; the report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax

from fbnax import __version__, report
from fbnax.jobs.nars import evaluating, members
from fbnax.jobs.nars.pool import draw_for
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime import proxy_scores as zero_cost_scores
from fbnax.jobs.runtime.networks import read_teacher
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.workdir import TRIALS, WorkDir, open_workdir
from fbnax.search import nars
from fbnax.search.budgets import Budget, cost_range
from fbnax.search.nars import predictor_files
from fbnax.search.nars.planning import NarsSizes
from fbnax.search.trials import open_store
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1
PREDICTOR = "predictor.npz"
# Where candidates are trained does not matter for what comes of them.
_IGNORED = ("ray",)


def run(config: Any, workdir: str) -> None:
  """Runs the job, or what is left of it, in the work directory."""
  evaluating.prepare(config)
  with open_workdir(workdir, config.to_dict(), _IGNORED) as work:
    if work.is_done():
      return
    with open_progress() as progress:
      result = design(config, work, progress)
    work.write_result(result)
    page = report.write(work.path)
  for member in result["members"]:
    print(
      f"{member['name']}: {member['macs']:,} MACs, {member['params']:,} "
      f"parameters, test accuracy {member['test_accuracy']:.4f}"
    )
  print(f"report: {page}")


def design(config: Any, work: WorkDir, progress: Progress) -> dict[str, Any]:
  """All of the job but the report; returns `result.json`."""
  with work.phase("data"):
    dataset = inputs.dataset(config)
    train, validation = inputs.hold_out(config, dataset)
    facts = inputs.facts(dataset, train, validation)
  classes = dataset.num_classes
  space = inputs.space(config, dataset.channels)
  budgets = inputs.budgets(config, space, classes)
  reachable = cost_range(space, classes)
  within: tuple[float, float] = reachable.macs
  if any(b.further() for b in budgets):
    drawn = draw_for(config, space, classes, budgets)
    within = drawn.macs_within(budgets) or within
  options = _options(config, budgets, within)
  # What is not legal is said before the search.
  _check_numbers(config)
  tree_settings.has_trees(config)
  inputs.settings(config, dataset, 1)
  teacher = read_teacher(
    config.training.teacher, "config.training.teacher", dataset
  )
  scored = zero_cost_scores.scored(
    config.search, "config.search", space, config.space, work
  )
  with open_store(work.path / TRIALS) as store:
    with evaluating.opened(
      config, space, dataset, train, validation
    ) as evaluate:
      found = nars.search(
        space,
        classes,
        evaluate,
        store,
        options,
        progress,
        work.phase,
        scored=scored,
      )
    predictor_files.save(work.path / PREDICTOR, found.model)
    with work.phase("evolution"), progress.phase("evolution"):
      chosen = members.evolve(config, space, classes, budgets, found, store)
      chosen += members.scaled(config, chosen, space, classes)
  jax.clear_caches()  # Programs of the search; see `train_network`.
  entries = members.train(config, work, dataset, chosen, teacher, progress)
  return {
    "schema_version": SCHEMA_VERSION,
    "fbnax_version": __version__,
    "job": "nars",
    "config": config.to_dict(),
    "dataset": facts,
    "space": {
      "name": space.name,
      "size": space.size,
      "decisions": [
        {
          "name": d.name,
          "values": list(d.values),
          "categorical": d.categorical,
          "recipe": space.is_recipe(d),
        }
        for d in space.decisions
      ],
      "macs_range": list(reachable.macs),
      "sgd_factor": space.sgd_factor,
    },
    **found.report,
    "trials": found.entries(),
    "members": entries,
    "times": work.spent(),
  }


def _check_numbers(config: Any) -> None:
  """Refuses what would be refused in the middle of the search, or after it."""
  depth = config.budgets.scaled_stochastic_depth
  checks = {
    "search.population": (config.search.population >= 1, "at least 1"),
    "ray.attempts": (config.ray.attempts >= 1, "at least 1"),
    "ray.workers": (config.ray.workers >= 0, "at least 0"),
    "budgets.scaled_stochastic_depth": (0 <= depth < 1, "at least 0, below 1"),
  }
  for name, (legal, wanted) in checks.items():
    if not legal:
      section, key = name.split(".")
      raise ValueError(
        f"config.{name} is {config[section][key]!r}; legal: {wanted}"
      )


def _options(
  config: Any, budgets: Sequence[Budget], macs: tuple[float, float]
) -> NarsSizes:
  lows = [b.macs[0] for b in budgets if math.isfinite(b.macs[1])]
  highs = [b.macs[1] for b in budgets if math.isfinite(b.macs[1])]
  return NarsSizes(
    pool=config.search.pool,
    rounds=config.search.rounds,
    candidates=config.search.candidates,
    epochs=config.search.epochs,
    correlation=config.search.correlation,
    macs=_macs(config, lows, highs, macs),
    predictors=config.search.predictors,
    seed=config.seed,
    bins=config.search.bins,
    first=config.search.first,
    exploration=config.search.exploration,
    signal=config.search.signal,
    ranks=config.search.ranks,
  )


def _macs(
  config: Any, lows: list[float], highs: list[float], macs: tuple[float, float]
) -> tuple[float, float]:
  """The range of MACs of the candidates."""
  given = tuple(config.search.macs)
  if given:
    if len(given) != 2 or not given[0] < given[1]:
      raise ValueError(
        f"config.search.macs is {given!r}; legal: lowest and highest, or () "
        "for the range of the budgets"
      )
    return float(given[0]), float(given[1])
  if highs:
    return min(lows), max(highs)
  return float(macs[0]), float(macs[1])
