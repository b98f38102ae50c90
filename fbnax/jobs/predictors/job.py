"""Job `predictors`: what pretraining on free labels saves in labels.

On the rows of a table, or on the trials of a finished `nars` run: error and
rank correlation of the accuracy predictor with and without pretraining, of
ridge regression and of a Gaussian process, against the number of labels.
Figure 4.4 (e) of Wan 2022. With the scores of a finished `zero_cost` run, which
may be of any networks of the space, those that are held out too, there is one
more: the predictor pretrained on costs and on these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import __version__, costs, report
from fbnax.base import records
from fbnax.jobs.runtime import inputs, parts, run_results
from fbnax.jobs.runtime import proxy_scores as zero_cost_scores
from fbnax.jobs.runtime.workdir import open_workdir
from fbnax.search.benchmarks import tables
from fbnax.search.nars import learning_curves
from fbnax.search.nars.free_labels import Scored, appended
from fbnax.search.nars.learning_curves import Learner
from fbnax.search.nars.pretraining import (
  COSTS,
  PretrainedEncoder,
  ProxyMetrics,
  pretrain,
)
from fbnax.spaces import SearchSpace
from fbnax.training.progress import open_progress

SCHEMA_VERSION = 1
LEARNERS = ("pretrained", "from scratch", "ridge", "gaussian process")
WITH_PROXIES = "pretrained on proxies"


def run(config: Any, workdir: str) -> None:
  """Scores every learner, or those that are left."""
  for key, least in (("seeds", 1), ("held_out", 2), ("predictors", 1)):
    if config[key] < least:
      raise ValueError(
        f"config.{key} is {config[key]!r}; legal: at least {least}"
      )
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    space, genotypes, labels, classes = _labelled(config)
    counts = _counts(config, len(labels))
    # The space of `config.run`, which is none of the user's own.
    scored = zero_cost_scores.scored(config, "config", space, "", work)
    learners = LEARNERS if scored is None else (*LEARNERS, WITH_PROXIES)
    scores = records.open_rows(
      work.path / "scores.jsonl", lambda key, _: isinstance(key, tuple)
    )
    learned = _Learned(work.path / "pretraining.json")
    total = len(counts) * len(learners) * config.seeds
    found: list[dict[str, Any]] = []
    with (
      open_progress() as progress,
      work.phase("scores"),
      progress.phase("scores", total) as advance,
    ):
      for seed in range(config.seed, config.seed + config.seeds):
        make = _learners(
          config, space, classes, scored, learned, seed, max(counts)
        )
        for count in counts:
          for name in learners:
            place = (name, count, seed)
            if place not in scores.values:
              score = learning_curves.score(
                make(name), seed, genotypes, labels, count, config.held_out
              )
              scores.add({place: score._asdict()})
            found.append(
              {"learner": name, "labels": count, "seed": seed}
              | scores.values[place]
            )
            advance(1, labels=count, seed=seed)
    curves = _curves(found, counts, learners)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "predictors",
        "config": config.to_dict(),
        "space": {"name": space.name, "size": space.size, "rows": len(labels)},
        "label_deviation": float(np.std(labels)),
        "scores": found,
        "proxies": None if scored is None else learned.facts(scored),
        "curves": curves,
        "saved": saved(curves),
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for curve in curves:
    print(
      f"{curve['learner']}: "
      + ", ".join(
        f"{c} labels {e:.3g} ({k:.3f})"
        for c, e, k in zip(
          curve["labels"], curve["rmse"], curve["kendall"], strict=True
        )
      )
    )
  print(f"error (Kendall's rank correlation) above; report: {page}")


def saved(curves: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """How many labels others need for the error of the pretrained predictor.

  Args:
    curves: of `result.json`.

  Returns:
    For each other learner and each count the labels it needs, divided by that
    count; None where no count it was given is enough.
  """
  by_name = {c["learner"]: c for c in curves}
  ours = by_name["pretrained"]
  rows = []
  for name, theirs in by_name.items():
    if name == "pretrained":
      continue
    factors = []
    for count, error in zip(ours["labels"], ours["rmse"], strict=True):
      needed = learning_curves.labels_needed(
        theirs["labels"], theirs["rmse"], error
      )
      factors.append(needed / count if np.isfinite(needed) else None)
    rows.append({"learner": name, "labels": ours["labels"], "factors": factors})
  return rows


class _Learned:
  """How well the proxies were learned, by seed, kept in a file."""

  def __init__(self, path: Path) -> None:
    self.path = path
    self.found: dict[str, dict[str, float]] = records.read(path) or {}

  def add(self, seed: int, metrics: dict[str, ProxyMetrics]) -> None:
    self.found[str(seed)] = {n: m.spearman for n, m in metrics.items()}
    records.write(self.path, self.found)

  def facts(self, scored: Scored) -> dict[str, Any]:
    """Networks, and the mean rank correlation of each free label."""
    found = list(self.found.values())
    return {
      "networks": len(scored.genotypes),
      "spearman": {
        name: float(np.mean([seed[name] for seed in found]))
        for name in (*COSTS, *scored.scores)
      },
    }


def _labelled(
  config: Any,
) -> tuple[SearchSpace, np.ndarray, np.ndarray, int]:
  """Space, genotypes, accuracies in percent, and classes."""
  if bool(config.table) == bool(config.run):
    raise ValueError(
      f"config.table is {config.table!r} and config.run {config.run!r}; "
      "legal: one of them"
    )
  if config.table:
    genotypes = tables.genotypes(config.table)
    accuracies = tables.test_accuracy(config.table, genotypes)
    classes = config.num_classes
    return tables.space_of(config.table), genotypes, 100 * accuracies, classes
  finished = run_results.read(config.run, "nars")
  given = inputs.SpaceChoice.of_run(finished["config"])
  if parts.is_part(given.space):
    raise ValueError(
      f"{config.run} has config.space={given.space!r}: code of its user's, "
      "which is not run because a directory says so; legal: a run of a space "
      "of fbnax.spaces"
    )
  space = inputs.space(given, finished["dataset"]["channels"])
  if not space.num_architecture_features:
    raise ValueError(
      f"{config.run} searched recipes alone, so that costs teach nothing; "
      "legal: a run that searched architectures"
    )
  run_results.check_genotypes(finished, "trials", space, config.run)
  trials = [t for t in finished["trials"] if t["label"] is not None]
  return (
    space,
    np.asarray([t["genotype"] for t in trials], np.int32),
    100 * np.asarray([t["label"] for t in trials]),
    finished["dataset"]["num_classes"],
  )


def _counts(config: Any, rows: int) -> list[int]:
  counts = sorted(set(config.labels))
  most = rows - config.held_out
  if most < 2:
    raise ValueError(
      f"config.held_out is {config.held_out}; legal: at most {rows - 2}, so "
      f"that two of the {rows} rows are left to learn from"
    )
  if not counts or counts[0] < 2 or counts[-1] > most:
    raise ValueError(
      f"config.labels is {tuple(config.labels)!r}; legal: from 2 to {most}, "
      f"the {rows} rows without config.held_out"
    )
  return counts


def _learners(
  config: Any,
  space: SearchSpace,
  classes: int,
  scored: Scored | None,
  learned: _Learned,
  seed: int,
  most: int,
) -> Callable[[str], Learner]:
  """Makes the learner of a name; pretrains once a seed, and only if asked."""
  cache: dict[str, PretrainedEncoder] = {}
  pretrain_key, fit_key = jax.random.split(jax.random.key(seed))

  def make(name: str) -> Learner:
    if name == "ridge":
      return learning_curves.ridge(space)
    if name == "gaussian process":
      return learning_curves.gaussian_process(space)
    if name in ("pretrained", WITH_PROXIES) and name not in cache:
      more = scored if name == WITH_PROXIES else None
      pool, extra = appended(space.sobol(config.pool, seed), more)
      pool_costs = costs.batch(space, jnp.asarray(pool), classes)
      cache[name], metrics = pretrain(
        pretrain_key, space, pool, pool_costs, extra
      )
      if more is not None:
        learned.add(seed, metrics)
    return learning_curves.neural(
      fit_key,
      space,
      cache.get(name),
      members=config.predictors,
      capacity=most,
    )

  return make


def _curves(
  scores: Sequence[dict[str, Any]],
  counts: Sequence[int],
  learners: Sequence[str] = LEARNERS,
) -> list[dict[str, Any]]:
  """Mean and sample deviation over the seeds, by learner and count."""
  curves = []
  for name in learners:
    of_name = [s for s in scores if s["learner"] == name]
    curve: dict[str, Any] = {"learner": name, "labels": list(counts)}
    for key in ("rmse", "kendall"):
      values = [[s[key] for s in of_name if s["labels"] == c] for c in counts]
      curve[key] = [float(np.mean(v)) for v in values]
      curve[f"{key}_deviation"] = [
        float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in values
      ]
    curves.append(curve)
  return curves
