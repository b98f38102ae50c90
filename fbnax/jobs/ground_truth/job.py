"""Job `ground_truth`: differentiable search where the truth is known.

The search of the job `dnas` (`fbnax.search.dnas`) on NAS-Bench-201's
cells: five operations on six edges, real images, a supernet of smaller cells
than the benchmark's. What is derived is looked up in the table of all 15,625
trained cells once all searches have ended. Methods of this kind can fall to a
cell of skips; what shall keep the search from that are its safeguards, which
`VARIANTS` takes away, all of them or one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import config_dict

from fbnax import __version__, report
from fbnax.base import records
from fbnax.data import Dataset
from fbnax.jobs.benchmark.job import summary
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.models.nasbench201 import CellSupernet
from fbnax.search import dnas
from fbnax.search.benchmarks import tables
from fbnax.search.dnas import derivation
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan, SearchProblem
from fbnax.search.prices import Price
from fbnax.spaces import CellNetwork, SearchSpace
from fbnax.spaces.cell import EDGES, OPS, validate
from fbnax.training import loop
from fbnax.training.model import Model
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1
# What each variant changes in `search`. The safeguards: noise that anneals,
# epochs in which only the weights learn, a cost that is sought, and networks
# that are drawn and judged before one is taken. Without any it is DARTS.
_NO_NOISE = {"relaxation": "softmax", "temperature": 1.0, "annealing": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
  "safe": {},
  "bare": {
    **_NO_NOISE,
    "frozen_epochs": 0,
    "combination": "none",
    "derivation": "argmax",
  },
  "no_noise": _NO_NOISE,
  "no_warmup": {"frozen_epochs": 0},
  "no_cost": {"combination": "none"},
  "no_draws": {"derivation": "argmax"},
}
# What `Settings` needs besides; the supernet is trained without extras.
_TRAINING = {
  "epochs": 1,
  "schedule": "cosine",
  "decay": 0.963,
  "warmup_epochs": 0.0,
  "ema_decay": 0.0,
  "label_smoothing": 0.0,
  "distillation": 0.0,
}


def run(config: Any, workdir: str) -> None:
  """Runs every variant with every seed, or what is left of them."""
  _check(config)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    dataset = inputs.dataset(config)
    full = tables.space_of(config.table)
    space = small_space(config, full, dataset.channels)
    with open_progress() as progress:
      found = _searches(config, work, dataset, space, progress)
    tested = tables.test_accuracy(config.table, tables.genotypes(config.table))
    accuracies = tables.test_accuracy(
      config.table, np.asarray([f["genotype"] for f in found], np.int32)
    )
    for entry, accuracy in zip(found, accuracies, strict=True):
      cell = full.architecture(np.asarray(entry["genotype"]))
      entry |= {"test_accuracy": float(accuracy), "cell": cell.arch_str}
    compared = summary(found)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "ground_truth",
        "config": config.to_dict(),
        "space": {"name": full.name, "size": full.size, "rows": len(tested)},
        "best_test_accuracy": float(np.nanmax(tested)),
        "searches": found,
        "summary": compared,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for row in compared:
    print(
      f"{row['method']}: test accuracy {100 * row['mean']:.2f}% "
      f"({100 * row['smallest']:.2f} to {100 * row['largest']:.2f}, "
      f"{row['seeds']} seeds)"
    )
  print(
    f"the table: mean {100 * np.nanmean(tested):.2f}%, best "
    f"{100 * np.nanmax(tested):.2f}%; report: {page}"
  )


def small_space(config: Any, space: SearchSpace, channels: int) -> SearchSpace:
  """The space with cells of the supernet's size, which choose the same."""
  if not isinstance(space.table, CellNetwork):
    raise ValueError(
      f"config.table is of space {space.name!r}; legal: a table of "
      "'nasbench201'"
    )
  given = config.network
  table: Any = dataclasses.replace(
    space.table,
    channels=given.channels,
    cells=given.cells,
    resolution=given.resolution,
    input_channels=channels,
  )
  validate(dataclasses.replace(table, ops=OPS[:1] * len(EDGES)))
  return dataclasses.replace(space, table=table)


def task(
  config: Any, variant: str, dataset: Dataset, space: SearchSpace, seed: int
) -> tuple[SearchProblem, loop.Feed, loop.Feed]:
  """A search of a variant, and the images of its two kinds of steps."""
  given = config_dict.ConfigDict(config.search.to_dict() | VARIANTS[variant])
  price = Price(space, dataset.num_classes, "macs")
  largest = price.exact(np.full(len(space.choices), _most(price)))
  target = given.target_share * largest
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    changed.seed = seed
    changed.training = _TRAINING
  weights, theta = map(loop.place, inputs.hold_out(changed, dataset))
  settings = inputs.settings(
    changed, dataset, space.table.resolution, batch_size=given.batch_size
  )
  table: Any = space.table
  module = CellSupernet(table, dataset.num_classes)
  penalty = Penalty(given.combination, omega=given.omega, reference=target)
  problem = dnas.problem(
    Model(module),
    settings,
    price,
    penalty,
    SearchPlan.of(given),
    weights,
    theta,
    looped=False,
  )
  return problem, weights, theta


def _most(price: Price) -> int:
  """The operation that costs most on every edge."""
  count = price.space.choices[0]
  same = [np.full(len(price.space.choices), i) for i in range(count)]
  return int(np.argmax([price.exact(g) for g in same]))


def _searches(
  config: Any,
  work: WorkDir,
  dataset: Dataset,
  space: SearchSpace,
  progress: Progress,
) -> list[dict[str, Any]]:
  """All searches that have not ended yet, each kept as it ends."""
  folder = work.path / "searches"
  folder.mkdir(exist_ok=True)
  pairs = [
    (variant, config.seed + i)
    for variant in config.variants
    for i in range(config.seeds)
  ]
  found = []
  epochs = config.search.epochs
  with work.phase("searches"):
    for variant, seed in pairs:
      name = f"{variant}-{seed}"
      end = folder / f"{name}.json"
      entry = records.read(end)
      if entry is None:
        with progress.phase(name, epochs) as advance:
          entry = _search(
            config,
            variant,
            seed,
            dataset,
            space,
            dnas.SearchCheckpointing(work.path / "checkpoints" / name),
            advance,
          )
        entry = records.write(end, entry)
      found.append(entry)
  return found


def _search(
  config: Any,
  variant: str,
  seed: int,
  dataset: Dataset,
  space: SearchSpace,
  checkpointing: dnas.SearchCheckpointing,
  advance: Any,
) -> dict[str, Any]:
  problem, weights, theta = task(config, variant, dataset, space, seed)
  given: Mapping[str, Any] = config.search.to_dict() | VARIANTS[variant]

  def on_epoch(row: dnas.SearchEpoch) -> None:
    advance(1, loss=row.loss, expected=problem.price.show(row.expected))

  found = dnas.search(
    problem,
    dnas.start(problem, seed, dataset.channels, space.table.resolution),
    weights,
    theta,
    seed=seed,
    checkpointing=checkpointing,
    on_epoch=on_epoch,
  )
  sought = given["combination"] == "target"
  target = problem.penalty.reference if sought else 0.0
  chosen, *_ = derivation.derive(
    problem,
    found.state.variables,
    found.state.theta,
    derivation.batches(problem, theta),
    derivation=given["derivation"],
    samples=given["samples"],
    allowed=derivation.band(target, given["tolerance"]),
    seed=seed,
  )
  last = found.rows[-1]
  return {
    "method": variant,
    "seed": seed,
    "genotype": list(chosen.genotype),
    "cost": chosen.cost,
    "target": target,
    "most_likely": [int(np.argmax(p)) for p in last.probabilities],
    "entropy": float(np.mean(last.entropies)),
    "validation_accuracy": chosen.accuracy,
  }


def _check(config: Any) -> None:
  unknown = sorted(set(config.variants) - set(VARIANTS))
  if unknown or not config.variants:
    raise ValueError(
      f"config.variants has {unknown or None}; legal: {', '.join(VARIANTS)}"
    )
  if config.seeds < 1:
    raise ValueError(f"config.seeds is {config.seeds!r}; legal: at least 1")
  share = config.search.target_share
  if not 0 < share <= 1:
    raise ValueError(
      f"config.search.target_share is {share!r}; legal: above 0, at most 1"
    )
