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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fbnax.data import Dataset
from fbnax.jobs.ground_truth.config import (
  CellNetworkKeys,
  CellTraining,
  GroundTruthConfig,
)
from fbnax.jobs.ground_truth.result import GroundTruthResult
from fbnax.jobs.runtime import comparing, inputs
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models.nasbench201 import CellSupernet
from fbnax.report.schema import Rows, as_json
from fbnax.report.searches import SearchEnd
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
from fbnax.training.progress import Progress

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


def prepare(config: GroundTruthConfig) -> None:
  """Raises a ValueError where there is no such variant."""
  unknown = sorted(set(config.variants) - set(VARIANTS))
  if unknown or not config.variants:
    raise ValueError(
      f"config.variants has {unknown or None}; legal: {', '.join(VARIANTS)}"
    )


def run(
  config: GroundTruthConfig, work: WorkDir, progress: Progress
) -> GroundTruthResult:
  """Runs every variant with every seed, or what is left of them."""
  dataset = inputs.dataset(config)
  space = tables.space_of(config.table)
  cells = small_space(config.network, space, dataset.channels)
  with work.phase("searches"):
    searches = _searches(config, work, dataset, cells, progress)
  tested = tables.test_accuracy(config.table, tables.genotypes(config.table))
  searches = _tested(config.table, space, searches)
  print(
    f"the table: mean {100 * np.nanmean(tested):.2f}%, best "
    f"{100 * np.nanmax(tested):.2f}%"
  )
  return GroundTruthResult(
    space=Rows(space.name, space.size, len(tested)),
    best_test_accuracy=float(np.nanmax(tested)),
    searches=searches,
    summary=comparing.summary(searches),
  )


def lines(result: GroundTruthResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for row in result.summary:
    mean, smallest, largest = (
      f"{100 * (share or 0):.2f}"
      for share in (row.mean, row.smallest, row.largest)
    )
    yield (
      f"{row.method}: test accuracy {mean}% ({smallest} to {largest}, "
      f"{row.seeds} seeds)"
    )


def small_space(
  keys: CellNetworkKeys, space: SearchSpace, channels: int
) -> SearchSpace:
  """The space with cells of the supernet's size, which choose the same."""
  if not isinstance(space.table, CellNetwork):
    raise ValueError(
      f"config.table is of space {space.name!r}; legal: a table of "
      "'nasbench201'"
    )
  table: Any = dataclasses.replace(
    space.table,
    channels=keys.channels,
    cells=keys.cells,
    resolution=keys.resolution,
    input_channels=channels,
  )
  validate(dataclasses.replace(table, ops=OPS[:1] * len(EDGES)))
  return dataclasses.replace(space, table=table)


def task(
  config: GroundTruthConfig,
  variant: str,
  dataset: Dataset,
  space: SearchSpace,
  seed: int,
) -> tuple[SearchProblem, loop.Feed, loop.Feed]:
  """A search of a variant, and the images of its two kinds of steps."""
  keys = dataclasses.replace(config.search, **VARIANTS[variant])
  price = Price(space, dataset.num_classes, "macs")
  largest = price.exact(np.full(len(space.choices), _most(price)))
  target = keys.target_share * largest
  of_seed = dataclasses.replace(config, seed=seed)
  weights, theta = map(loop.place, inputs.hold_out(of_seed, dataset))
  settings = inputs.settings(
    CellTraining(), dataset, space.table.resolution, batch_size=keys.batch_size
  )
  table: Any = space.table
  module = CellSupernet(table, dataset.num_classes)
  penalty = Penalty(keys.combination, omega=keys.omega, reference=target)
  problem = dnas.problem(
    Model(module),
    settings,
    price,
    penalty,
    SearchPlan.of(keys),
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
  config: GroundTruthConfig,
  work: WorkDir,
  dataset: Dataset,
  space: SearchSpace,
  progress: Progress,
) -> tuple[SearchEnd, ...]:
  """All searches, each kept as it ends; none is looked up in the table."""

  def search(variant: str, seed: int) -> SearchEnd:
    name = f"{variant}-{seed}"

    def make() -> Any:
      with progress.phase(name, config.search.epochs) as advance:
        checkpointing = dnas.SearchCheckpointing(
          work.path / "checkpoints" / name
        )
        return as_json(
          _search(config, variant, seed, dataset, space, checkpointing, advance)
        )

    return SearchEnd(**work.kept(f"searches/{name}.json", make))

  return tuple(
    search(variant, config.seed + i)
    for variant in config.variants
    for i in range(config.seeds)
  )


def _search(
  config: GroundTruthConfig,
  variant: str,
  seed: int,
  dataset: Dataset,
  space: SearchSpace,
  checkpointing: dnas.SearchCheckpointing,
  advance: Any,
) -> SearchEnd:
  problem, weights, theta = task(config, variant, dataset, space, seed)
  keys = dataclasses.replace(config.search, **VARIANTS[variant])

  def on_epoch(row: dnas.SearchEpoch) -> None:
    advance(1, loss=row.loss, expected=problem.price.show(row.expected))

  searched = dnas.search(
    problem,
    dnas.start(problem, seed, dataset.channels, space.table.resolution),
    weights,
    theta,
    seed=seed,
    checkpointing=checkpointing,
    on_epoch=on_epoch,
  )
  sought = keys.combination == "target"
  target = problem.penalty.reference if sought else 0.0
  derived, *_ = derivation.derive(
    problem,
    searched.state.variables,
    searched.state.theta,
    derivation.batches(problem, theta),
    derivation=keys.derivation,
    samples=keys.samples,
    allowed=derivation.band(target, keys.tolerance),
    seed=seed,
  )
  last = searched.rows[-1]
  return SearchEnd(
    method=variant,
    seed=seed,
    genotype=derived.genotype,
    cost=derived.cost,
    target=target,
    most_likely=tuple(int(np.argmax(p)) for p in last.probabilities),
    entropy=float(np.mean(last.entropies)),
    validation_accuracy=derived.accuracy,
  )


def _tested(
  table: str, space: SearchSpace, searches: tuple[SearchEnd, ...]
) -> tuple[SearchEnd, ...]:
  """The searches with what the table says of the cells that they derived."""
  genotypes = np.asarray([search.genotype for search in searches], np.int32)
  accuracies = tables.test_accuracy(table, genotypes)
  return tuple(
    dataclasses.replace(
      search,
      test_accuracy=float(accuracy),
      cell=space.architecture(genotype).arch_str,
    )
    for search, genotype, accuracy in zip(
      searches, genotypes, accuracies, strict=True
    )
  )
