"""Job `zero_cost`: scores of networks that have not been trained.

Networks of a space, or of a table of trained ones, are scored on one batch of
images, by one compiled program where that sees what the network is. What was
scored is in `scores.jsonl`, a line for each network with its scores, its place
in an order that only the seed decides, and a digest (`fbnax.base.records`); a
run that was stopped goes on from it, and one that has ended goes on with a
larger sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models
from fbnax.base import records
from fbnax.data import Dataset
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.jobs.zero_cost import networks as networks_lib
from fbnax.jobs.zero_cost import summary
from fbnax.jobs.zero_cost.config import ZeroCostConfig
from fbnax.jobs.zero_cost.networks import Networks
from fbnax.jobs.zero_cost.result import (
  ScoredBatch,
  ScoredNetwork,
  ZeroCostResult,
)
from fbnax.proxies import PROXIES, Scorer, check_batch, score
from fbnax.report.schema import Rows
from fbnax.search.benchmarks import tables
from fbnax.training.progress import Progress

IGNORED = ("sample",)
SCORES = "scores.jsonl"


def run(
  config: ZeroCostConfig, work: WorkDir, progress: Progress
) -> ZeroCostResult:
  """Scores the networks, or those that are left."""
  _check_proxies(config.proxies)
  dataset = inputs.dataset(config)
  networks = networks_lib.networks(config, dataset)
  with work.phase("scores"):
    scores, images = _scores(config, networks, dataset, work, progress)
  with work.phase("correlations"):
    scores |= networks_lib.counts(networks, dataset.num_classes)
    accuracies = None
    if config.table:
      accuracies = tables.test_accuracy(config.table, networks.genotypes)
    correlations = summary.summarize(
      scores,
      accuracies,
      best=config.best,
      draws=config.bootstrap,
      seed=config.seed,
    )
  return ZeroCostResult(
    dataset=ScoredBatch(dataset.name, dataset.source, images),
    space=Rows(networks.space.name, networks.space.size),
    networks=tuple(
      ScoredNetwork(
        genotype=tuple(genotype.tolist()),
        accuracy=None if accuracies is None else float(accuracies[i]),
        scores={name: float(column[i]) for name, column in scores.items()},
      )
      for i, genotype in enumerate(networks.genotypes)
    ),
    summary=correlations,
  )


def is_done(config: ZeroCostConfig, work: WorkDir) -> bool:
  """A run that has ended goes on where a larger sample is asked for."""
  result = work.result()
  wanted = networks_lib.networks(config, inputs.dataset(config))
  return result is not None and len(result["networks"]) >= len(wanted.genotypes)


def lines(result: ZeroCostResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for row in result.summary.proxies:
    if row.spearman is not None:
      yield (
        f"{row.name}: Spearman {row.spearman:.3f} "
        f"({row.low:.3f} to {row.high:.3f})"
      )
  yield f"{len(result.networks)} networks scored"


def _check_proxies(names: tuple[str, ...]) -> None:
  legal = [n for n in PROXIES if n not in summary.COUNTS]
  unknown = [n for n in names if n not in legal]
  if unknown or not names or len(set(names)) < len(names):
    raise ValueError(
      f"config.proxies is {names!r}; legal: some of {', '.join(legal)}, each "
      "once (MACs and parameters are counted anyway)"
    )


def _scores(
  config: ZeroCostConfig,
  networks: Networks,
  dataset: Dataset,
  work: WorkDir,
  progress: Progress,
) -> tuple[dict[str, np.ndarray], int]:
  """The scores by proxy, `f64[n]` each (-inf ranks last), of so many images."""
  images, labels = networks_lib.batch(config, dataset, networks.resolution)
  check_batch(images, labels, dataset.num_classes)
  names, total = config.proxies, len(networks.genotypes)
  rows = records.open_rows(
    work.path / SCORES,
    lambda key, row: isinstance(key, int) and len(row) == len(names),
  )
  left = [i for i in range(total) if i not in rows.values]
  if left:
    key, init_key = jax.random.split(jax.random.key(config.seed))
    shared = networks_lib.masked(networks, names)
    scorer = Scorer(shared, networks.network) if shared else None
    with progress.phase("initial weights"):
      draw = networks_lib.initial(networks, images.shape[-1])
      variables = draw(init_key)
    with progress.phase("scores", total, total - len(left)) as advance:
      for start in range(0, len(left), config.chunk):
        new = {}
        for place in left[start : start + config.chunk]:
          genotype = jnp.asarray(networks.genotypes[place])
          if config.redraw:
            variables = draw(jax.random.fold_in(init_key, place))
          scored = {}
          if scorer is not None:
            choice = models.one_hot(networks.space, genotype)
            scored = scorer(variables, images, labels, key, choice)
          if len(scored) < len(names):
            module, own = networks_lib.own(networks, genotype, variables)
            rest = [n for n in names if n not in scored]
            scored |= score(rest, module, own, images, labels, key)
          new[place] = [scored[name] for name in names]
          advance(1)
        rows.add(new)
  # A record has null for what ranks last.
  columns = np.asarray(
    [
      [-math.inf if v is None else v for v in rows.values[i]]
      for i in range(total)
    ],
    np.float64,
  ).T
  return dict(zip(names, columns, strict=True)), len(images)
