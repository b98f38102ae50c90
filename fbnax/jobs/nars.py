"""Job `nars`: from images and budgets to a family of trained networks.

Data, splits, space and budgets; the search (`fbnax.search.nars`); evolution
under each budget; training of the members, the largest first, which teaches the
others; one measurement on the test set; the report.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fbnax import __version__, costs, data, report
from fbnax.data import Dataset
from fbnax.jobs import inputs
from fbnax.jobs.training import Teacher, train_network
from fbnax.jobs.workdir import WorkDir, open_workdir
from fbnax.search import evolution, nars, predictor, predictor_files
from fbnax.search.budgets import Budget, cost_range, stacked
from fbnax.search.evaluators import by_training
from fbnax.search.trials import TrialStore, open_store
from fbnax.spaces import SearchSpace
from fbnax.training import loop
from fbnax.training.progress import Progress, open_progress
from fbnax.training.recipes import Settings

SCHEMA_VERSION = 1
PREDICTOR = "predictor.npz"


def run(config: Any, workdir: str) -> None:
  """Runs the job, or what is left of it, in the work directory."""
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with (
      open_progress() as progress,
      open_store(work.path / "trials.sqlite") as store,
    ):
      result = design(config, work, store, progress)
    work.write_result(result)
    page = report.write(work.path)
  for member in result["members"]:
    print(
      f"{member['name']}: {member['macs']:,} MACs, {member['params']:,} "
      f"parameters, test accuracy {member['test_accuracy']:.4f}"
    )
  print(f"report: {page}")


def design(
  config: Any, work: WorkDir, store: TrialStore, progress: Progress
) -> dict[str, Any]:
  """All of the job but the report; returns `result.json`."""
  with work.phase("data"):
    dataset = inputs.dataset(config)
    train, validation = data.hold_out(
      dataset.train, config.data.validation_fraction, seed=config.seed
    )
    facts = inputs.facts(dataset, train, validation)
  classes = dataset.num_classes
  space = inputs.space(config, dataset.channels)
  budgets = inputs.budgets(config, space, classes)
  reachable = cost_range(space, classes)
  options = _options(config, budgets, reachable.macs)
  evaluate = by_training(
    space,
    classes,
    dataset.channels,
    lambda side: _search_settings(config, dataset, side),
    loop.place(train),
    loop.place(validation),
    config.search.population,
  )
  found = nars.search(
    space, classes, evaluate, store, options, progress, work.phase
  )
  predictor_files.save(work.path / PREDICTOR, found.model)
  with work.phase("evolution"), progress.phase("evolution"):
    chosen = evolve(config.seed, space, classes, budgets, found)
  jax.clear_caches()  # Programs of the search; see `train_network`.
  entries = _train_members(config, work, dataset, space, chosen, progress)
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
    "trials": _labelled(found),
    "members": entries,
    "times": {"phases": work.times(), "total": sum(work.times().values())},
  }


@dataclasses.dataclass(frozen=True)
class Chosen:
  """The genotype of a member, before it is trained."""

  name: str
  budget: Budget
  genotype: np.ndarray
  predicted: float


def evolve(
  seed: int,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  found: nars.Search,
) -> list[Chosen]:
  """The best predicted genotype of each budget."""
  result = evolution.evolve(
    jax.random.fold_in(jax.random.key(seed), 3),
    predictor.scorer(found.model),
    space,
    stacked(budgets),
    first_best=best_first(_labelled(found)),
    num_classes=classes,
  )
  return [
    Chosen(
      member_name(space, budget),
      budget,
      np.asarray(result.genotypes[i, 0]),
      float(result.scores[i, 0]),
    )
    for i, budget in enumerate(budgets)
  ]


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


def member_name(space: SearchSpace, budget: Budget) -> str:
  """`small-800k`, or `small-800k-90kp` where parameters are limited too."""
  parts = [space.name]
  for limit, unit in ((budget.macs[1], ""), (budget.params[1], "p")):
    if math.isfinite(limit):
      parts.append(_short(limit) + unit)
  return "-".join(parts)


def _short(number: float) -> str:
  for size, letter in ((1e9, "g"), (1e6, "m"), (1e3, "k")):
    if number >= size:
      return f"{number / size:.3g}{letter}"
  return f"{number:g}"


def _options(
  config: Any, budgets: Sequence[Budget], macs: tuple[int, int]
) -> nars.Options:
  lows = [b.macs[0] for b in budgets if math.isfinite(b.macs[1])]
  highs = [b.macs[1] for b in budgets if math.isfinite(b.macs[1])]
  return nars.Options(
    pool=config.search.pool,
    rounds=config.search.rounds,
    candidates=config.search.candidates,
    epochs=config.search.epochs,
    correlation=config.search.correlation,
    macs=(min(lows), max(highs)) if highs else (float(macs[0]), float(macs[1])),
    predictors=config.search.predictors,
    seed=config.seed,
  )


def _search_settings(config: Any, dataset: Dataset, side: int) -> Settings:
  return inputs.settings(
    config,
    dataset,
    side,
    epochs=config.search.epochs,
    schedule="exponential",
    decay=config.training.search_decay,
    warmup_epochs=0.0,
  )


def _train_members(
  config: Any,
  work: WorkDir,
  dataset: Dataset,
  space: SearchSpace,
  chosen: Sequence[Chosen],
  progress: Progress,
) -> list[dict[str, Any]]:
  """Trains on all that is not the test set; the largest member teaches."""
  everything = loop.place(dataset.train)
  by_size = sorted(
    chosen,
    key=lambda c: costs.count(space.architecture(c.genotype)).macs,
    reverse=True,
  )
  teacher: Teacher | None = None
  entries = {}
  for member in by_size:
    architecture = space.architecture(member.genotype)
    with work.phase(f"train {member.name}"):
      entry, trained = train_network(
        work.path,
        member.name,
        architecture,
        space.recipe(member.genotype),
        inputs.settings(config, dataset, architecture.resolution),
        dataset,
        everything,
        None,
        teacher=teacher,
        seed=config.seed,
        checkpoint_every=config.training.checkpoint_every,
        progress=progress,
      )
    teacher = teacher or trained
    entries[member.name] = entry | {
      "budget": inputs.as_json(member.budget),
      "predicted": member.predicted,
      "genotype": member.genotype.tolist(),
    }
  return [entries[c.name] for c in chosen]


def _labelled(found: nars.Search) -> list[dict[str, Any]]:
  """The trials as `result.json` has them."""
  entries = []
  for trial, label in zip(found.trials, found.labels, strict=True):
    entry = dataclasses.asdict(trial)
    entry["recipe"] = json.loads(trial.recipe or "null")
    # What the predictor learned: accuracy at the early-stop epoch.
    entry["label"] = float(label) if math.isfinite(label) else None
    del entry["architecture"], entry["seed"]
    entries.append(entry)
  return entries


def read_run(path: str | Path) -> dict[str, Any]:
  """The `result.json` of a finished run of this job.

  Raises:
    ValueError: there is none; the file is named.
  """
  file = Path(path) / "result.json"
  try:
    result = json.loads(file.read_text("utf-8"))
  except FileNotFoundError:
    raise ValueError(f"{path} holds no finished run: no {file}") from None
  except ValueError as error:
    raise ValueError(f"{file} is damaged: {error}") from error
  if result.get("job") != "nars":
    raise ValueError(f"{file} is of job {result.get('job')!r}; legal: 'nars'")
  return result
