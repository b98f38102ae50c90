"""Job `predictors`: what pretraining on free labels saves in labels.

On the rows of a table, or on the trials of a finished `nars` run: error and
rank correlation of the accuracy predictor with and without pretraining, of
ridge regression and of a Gaussian process, against the number of labels.
Figure 4.4 (e) of Wan 2022. With the scores of a finished `zero_cost` run, which
may be of any networks of the space, those that are held out too, there is one
more: the predictor pretrained on costs and on these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.base import records
from fbnax.jobs.predictors.config import PredictorsConfig
from fbnax.jobs.predictors.result import (
  LearnedProxies,
  LearnerCurve,
  LearnerScore,
  PredictorsResult,
  SavedLabels,
)
from fbnax.jobs.runtime import inputs, parts, proxy_scores, run_results
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.report.schema import Rows
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
from fbnax.training.progress import Progress

LEARNERS = ("pretrained", "from scratch", "ridge", "gaussian process")
WITH_PROXIES = "pretrained on proxies"


class LabelledRows(NamedTuple):
  """Networks with accuracies.

  Attributes:
    space: of the networks.
    genotypes: `i32[n, D]`.
    labels: accuracies in percent, `f64[n]`.
    classes: of the networks, for their costs.
  """

  space: SearchSpace
  genotypes: np.ndarray
  labels: np.ndarray
  classes: int


def run(
  config: PredictorsConfig, work: WorkDir, progress: Progress
) -> PredictorsResult:
  """Scores every learner, or those that are left."""
  rows = _labelled(config)
  counts = _counts(config, len(rows.labels))
  # The space of `config.run`, which is none of the user's own.
  proxies = proxy_scores.scored(config, "config", rows.space, "", work)
  learned = _Learned(work.path / "pretraining.json")
  scores = _scores(config, rows, counts, proxies, learned, work, progress)
  curves = learner_curves(scores, counts)
  return PredictorsResult(
    space=Rows(rows.space.name, rows.space.size, len(rows.labels)),
    label_deviation=float(np.std(rows.labels)),
    scores=scores,
    proxies=None if proxies is None else learned.facts(proxies),
    curves=curves,
    saved=saved(curves),
  )


def lines(result: PredictorsResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for curve in result.curves:
    yield f"{curve.learner}: " + ", ".join(
      f"{count} labels {error:.3g} ({order:.3f})"
      for count, error, order in zip(
        curve.labels, curve.rmse, curve.kendall, strict=True
      )
    )
  yield "error (Kendall's rank correlation) above"


def _scores(
  config: PredictorsConfig,
  rows: LabelledRows,
  counts: Sequence[int],
  proxies: Scored | None,
  learned: _Learned,
  work: WorkDir,
  progress: Progress,
) -> tuple[LearnerScore, ...]:
  """Every learner with every count of labels and every seed."""
  names = LEARNERS if proxies is None else (*LEARNERS, WITH_PROXIES)
  kept = records.open_rows(
    work.path / "scores.jsonl", lambda key, _: isinstance(key, tuple)
  )
  total = len(counts) * len(names) * config.seeds
  scores = []
  with (
    work.phase("scores"),
    progress.phase("scores", total) as advance,
  ):
    for seed in range(config.seed, config.seed + config.seeds):
      make = _learners(config, rows, proxies, learned, seed, max(counts))
      for count in counts:
        for name in names:
          place = (name, count, seed)
          if place not in kept.values:
            score = learning_curves.score(
              make(name),
              seed,
              rows.genotypes,
              rows.labels,
              count,
              config.held_out,
            )
            kept.add({place: score._asdict()})
          scores.append(LearnerScore(*place, **kept.values[place]))
          advance(1, labels=count, seed=seed)
  return tuple(scores)


def saved(curves: Sequence[LearnerCurve]) -> tuple[SavedLabels, ...]:
  """How many labels others need for the error of the pretrained predictor.

  Args:
    curves: of all learners.

  Returns:
    For each other learner and each count the labels it needs, divided by that
    count; None where no count it was given is enough.
  """
  counts = curves[0].labels
  errors = {c.learner: [e for e in c.rmse if e is not None] for c in curves}
  ours = errors.pop("pretrained")
  rows = []
  for learner, theirs in errors.items():
    needed = [
      learning_curves.labels_needed(counts, theirs, error) for error in ours
    ]
    factors = (
      n / count if np.isfinite(n) else None
      for n, count in zip(needed, counts, strict=True)
    )
    rows.append(SavedLabels(learner, counts, tuple(factors)))
  return tuple(rows)


def learner_curves(
  scores: Sequence[LearnerScore], counts: Sequence[int]
) -> tuple[LearnerCurve, ...]:
  """Mean and sample deviation over the seeds, by learner and count."""
  curves = []
  for name in dict.fromkeys(score.learner for score in scores):
    of_name = [s for s in scores if s.learner == name]
    lists: dict[str, Any] = {}
    for key in ("rmse", "kendall"):
      values = [
        [getattr(s, key) for s in of_name if s.labels == count]
        for count in counts
      ]
      lists[key] = tuple(float(np.mean(v)) for v in values)
      lists[f"{key}_deviation"] = tuple(
        float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in values
      )
    curves.append(LearnerCurve(name, tuple(counts), **lists))
  return tuple(curves)


class _Learned:
  """How well the proxies were learned, by seed, kept in a file."""

  def __init__(self, path: Path) -> None:
    self.path = path
    self.by_seed: dict[str, dict[str, float]] = records.read(path) or {}

  def add(self, seed: int, metrics: dict[str, ProxyMetrics]) -> None:
    self.by_seed[str(seed)] = {n: m.spearman for n, m in metrics.items()}
    records.write(self.path, self.by_seed)

  def facts(self, proxies: Scored) -> LearnedProxies:
    """Networks, and the mean rank correlation of each free label."""
    return LearnedProxies(
      networks=len(proxies.genotypes),
      spearman={
        name: float(np.mean([seed[name] for seed in self.by_seed.values()]))
        for name in (*COSTS, *proxies.scores)
      },
    )


def _labelled(config: PredictorsConfig) -> LabelledRows:
  """The rows of the table, or the trials of the run."""
  if bool(config.table) == bool(config.run):
    raise ValueError(
      f"config.table is {config.table!r} and config.run {config.run!r}; "
      "legal: one of them"
    )
  if config.table:
    genotypes = tables.genotypes(config.table)
    return LabelledRows(
      tables.space_of(config.table),
      genotypes,
      100 * tables.test_accuracy(config.table, genotypes),
      config.num_classes,
    )
  finished = run_results.read(config.run, "nars")
  choice = inputs.NamedSpace.of_run(finished["config"], config.run)
  if parts.is_part(choice.space):
    raise ValueError(
      f"{config.run} has config.space={choice.space!r}: code of its user's, "
      "which is not run because a directory says so; legal: a run of a space "
      "of fbnax.spaces"
    )
  space = inputs.space(choice, finished["dataset"]["channels"])
  if not space.num_architecture_features:
    raise ValueError(
      f"{config.run} searched recipes alone, so that costs teach nothing; "
      "legal: a run that searched architectures"
    )
  run_results.check_genotypes(finished, "trials", space, config.run)
  trials = [t for t in run_results.trials(finished) if t.label is not None]
  return LabelledRows(
    space,
    np.asarray([t.genotype for t in trials], np.int32),
    100 * np.asarray([t.label for t in trials]),
    finished["dataset"]["num_classes"],
  )


def _counts(config: PredictorsConfig, rows: int) -> list[int]:
  counts = sorted(set(config.labels))
  most = rows - config.held_out
  if most < 2:
    raise ValueError(
      f"config.held_out is {config.held_out}; legal: at most {rows - 2}, so "
      f"that two of the {rows} rows are left to learn from"
    )
  if not counts or counts[0] < 2 or counts[-1] > most:
    raise ValueError(
      f"config.labels is {config.labels!r}; legal: from 2 to {most}, "
      f"the {rows} rows without config.held_out"
    )
  return counts


def _learners(
  config: PredictorsConfig,
  rows: LabelledRows,
  proxies: Scored | None,
  learned: _Learned,
  seed: int,
  most: int,
) -> Callable[[str], Learner]:
  """Makes the learner of a name; pretrains once a seed, and only if asked."""
  cache: dict[str, PretrainedEncoder] = {}
  space = rows.space
  pretrain_key, fit_key = jax.random.split(jax.random.key(seed))

  def make(name: str) -> Learner:
    if name == "ridge":
      return learning_curves.ridge(space)
    if name == "gaussian process":
      return learning_curves.gaussian_process(space)
    if name in ("pretrained", WITH_PROXIES) and name not in cache:
      more = proxies if name == WITH_PROXIES else None
      pool, extra = appended(space.sobol(config.pool, seed), more)
      pool_costs = costs.batch(space, jnp.asarray(pool), rows.classes)
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
