"""Job `zero_cost`: scores of networks that have not been trained.

Networks of a space, or of a table of trained ones, are scored on one batch of
images by one compiled program. What was scored is in `scores.jsonl`, a line for
each network with its scores, its place in an order that only the seed decides,
and a digest (`fbnax.base.records`); a run that was stopped goes on from it, and
one that has ended goes on with a larger sample.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import config_dict

from fbnax import __version__, models, report
from fbnax.base import records
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime import proxy_networks as networks_lib
from fbnax.jobs.runtime.proxy_networks import Networks
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.jobs.zero_cost import summary as zero_cost_summary
from fbnax.proxies import PROXIES, Scorer, check_batch
from fbnax.search.benchmarks import tables
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1
SCORES = "scores.jsonl"


def run(config: Any, workdir: str) -> None:
  """Scores the networks, or those that are left."""
  config = config_dict.ConfigDict(inputs.SPACE_DEFAULTS | dict(config.items()))
  dataset = inputs.dataset(config)
  found = networks_lib.networks(config, dataset)
  names = _names(config)
  images, labels = networks_lib.batch(config, dataset, found.resolution)
  check_batch(images, labels, dataset.num_classes)
  given = config.to_dict()
  # As configs of earlier versions are, whose runs thus go on.
  for key, default in inputs.SPACE_DEFAULTS.items():
    if given[key] == default:
      del given[key]
  with open_workdir(workdir, given, ignore=("sample",)) as work:
    done = work.result()
    if done is not None and len(done["networks"]) >= len(found.genotypes):
      return
    with open_progress() as progress, work.phase("scores"):
      scores = _scores(config, found, names, images, labels, work, progress)
    with work.phase("correlations"):
      scores |= networks_lib.counts(found, dataset.num_classes)
      accuracies = None
      if config.table:
        accuracies = tables.test_accuracy(config.table, found.genotypes)
      summary = zero_cost_summary.summarize(
        scores,
        accuracies,
        best=config.best,
        draws=config.bootstrap,
        seed=config.seed,
      )
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "zero_cost",
        "config": given,
        "dataset": {
          "name": dataset.name,
          "source": dataset.source,
          "images": len(images),
        },
        "space": {"name": found.space.name, "size": found.space.size},
        "networks": [
          {
            "genotype": genotype.tolist(),
            "accuracy": None if accuracies is None else float(accuracies[i]),
            "scores": {name: float(v[i]) for name, v in scores.items()},
          }
          for i, genotype in enumerate(found.genotypes)
        ],
        "sees_masked": networks_lib.sees_masked(found, names),
        "summary": summary,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for row in summary["proxies"]:
    if row["spearman"] is not None:
      print(
        f"{row['name']}: Spearman {row['spearman']:.3f} "
        f"({row['low']:.3f} to {row['high']:.3f})"
      )
  print(f"{len(found.genotypes)} networks scored; report: {page}")


def _names(config: Any) -> tuple[str, ...]:
  names = tuple(config.proxies)
  legal = [n for n in PROXIES if PROXIES[n].of_choice]
  unknown = [n for n in names if n not in legal]
  if unknown or not names or len(set(names)) < len(names):
    raise ValueError(
      f"config.proxies is {names!r}; legal: some of {', '.join(legal)}, each "
      "once (MACs and parameters are counted anyway)"
    )
  for key in ("channels", "per_stage"):
    if config.cells[key] < 1:
      raise ValueError(
        f"config.cells.{key} is {config.cells[key]!r}; legal: at least 1"
      )
  for key, least in (("chunk", 1), ("bootstrap", 0)):
    if config[key] < least:
      raise ValueError(
        f"config.{key} is {config[key]!r}; legal: at least {least}"
      )
  if not 0 < config.best <= 1:
    raise ValueError(f"config.best is {config.best!r}; legal: above 0, up to 1")
  return names


def _scores(
  config: Any,
  found: Networks,
  names: tuple[str, ...],
  images: jax.Array,
  labels: jax.Array,
  work: WorkDir,
  progress: Progress,
) -> dict[str, np.ndarray]:
  """The scores by proxy, `f64[n]` each; -inf ranks last."""
  total = len(found.genotypes)
  rows = records.open_rows(
    work.path / SCORES,
    lambda key, row: isinstance(key, int) and len(row) == len(names),
  )
  left = [i for i in range(total) if i not in rows.values]
  if left:
    key, init_key = jax.random.split(jax.random.key(config.seed))
    scorer = Scorer(names, found.network)
    with progress.phase("initial weights"):
      variables = networks_lib.initial(found, init_key, images.shape[-1])
    with progress.phase("scores", total, total - len(left)) as advance:
      for start in range(0, len(left), config.chunk):
        new = {}
        for place in left[start : start + config.chunk]:
          genotype = jnp.asarray(found.genotypes[place])
          choice = models.one_hot(found.space, genotype)
          scored = scorer(variables, images, labels, key, choice)
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
  return dict(zip(names, columns, strict=True))
