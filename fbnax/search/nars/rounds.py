"""Constrained iterative optimization: stages 1 and 2 of NARS.

Algorithm 1 of Wan 2022: a Sobol pool, a predictor pretrained on what costs
nothing, and rounds of candidates that are chosen by their predicted score
within bins of the MAC range, evaluated, and learned from.

All that is decided (plans, the early-stop epoch) and all trials are in the
store, and all random numbers follow from the seed, so a search that was
stopped goes on as if it had not been.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.search.evaluators import Candidate, Evaluator, Outcome
from fbnax.search.nars import posterior, predictor
from fbnax.search.nars.free_labels import Scored, appended
from fbnax.search.nars.planning import (
  NarsSizes,
  candidate_pool,
  plan_key,
  plan_round,
)
from fbnax.search.nars.pretraining import COSTS, ProxyMetrics, pretrain
from fbnax.search.nars.selection import early_stop_epoch
from fbnax.search.trials import Trial, TrialStore
from fbnax.spaces.space import SearchSpace
from fbnax.training.progress import Progress


@dataclasses.dataclass(frozen=True)
class NarsSearch:
  """What a search has found.

  Attributes:
    trials: all of them, by id.
    model: the predictor, fitted to the trials.
    labels: of each trial, what the predictor learned; NaN where it failed.
    report: `predictor` and `early_stop` of `result.json`.
  """

  trials: list[Trial]
  model: Any
  labels: np.ndarray
  report: dict[str, Any]

  def entries(self) -> list[dict[str, Any]]:
    """The trials as `result.json` has them."""
    entries = []
    for trial, label in zip(self.trials, self.labels, strict=True):
      entry = dataclasses.asdict(trial)
      entry["recipe"] = json.loads(trial.recipe or "null")
      # What the predictor learned: the signal at the early-stop epoch.
      entry["label"] = float(label) if math.isfinite(label) else None
      del entry["architecture"], entry["seed"]
      entries.append(entry)
    return entries


def search(
  space: SearchSpace,
  num_classes: int,
  evaluate: Evaluator,
  store: TrialStore,
  options: NarsSizes,
  progress: Progress,
  timed: Callable[[str], AbstractContextManager[None]],
  *,
  pool: Any = None,
  scored: Scored | None = None,
  check: bool = True,
) -> NarsSearch:
  """Runs the search, or what is left of it.

  Args:
    space: the space.
    num_classes: outputs of the classifier, for the costs.
    evaluate: turns candidates into accuracies.
    store: trials and decisions; those that are there are not made again.
    options: sizes.
    progress: where to show it.
    timed: gives a context that adds to the time of a phase of that name.
    pool: genotypes to choose candidates from, `i32[p, D]`; None for
      `options.pool` Sobol points, or all of a space that has no more.
    scored: scores of untrained networks, which the predictor is pretrained on
      beside the costs. They need not be of the pool, and no candidates come of
      them.
    check: cross-validate the predictor after each round, for the report.

  Returns:
    Trials and predictor.

  Raises:
    ValueError: the pool holds too few candidates in the range of MACs.
  """
  pretrain_key, fit_key = jax.random.split(jax.random.key(options.seed))
  with timed("pretraining"), progress.phase("predictor pretraining"):
    pool = candidate_pool(space, options) if pool is None else jnp.asarray(pool)
    pool_costs = costs.batch(space, pool, num_classes)
    pretrained = None
    proxies: dict[str, ProxyMetrics] = {}
    # Where recipes alone are searched there is nothing to learn from costs.
    if space.num_architecture_features:
      genotypes, extra = appended(pool, scored)
      known_costs = pool_costs
      if scored is not None:
        known_costs = costs.batch(space, jnp.asarray(genotypes), num_classes)
      pretrained, proxies = pretrain(
        pretrain_key, space, genotypes, known_costs, extra
      )
  rounds = []
  model = process = None
  for number in range(1, options.rounds + 1):
    plan = store.settled(
      plan_key(number),
      functools.partial(
        plan_round,
        options,
        number,
        model,
        pool,
        pool_costs,
        store.all(),
        process,
      ),
    )
    stop = store.decisions().get("early_stop")
    epochs = options.epochs if stop is None else stop["epoch"]
    with timed(f"round {number}"):
      _run(
        space,
        num_classes,
        evaluate,
        store,
        options,
        progress,
        number,
        plan,
        epochs,
      )
    # A restarted search has later trials too; it learns from them later.
    trials = [t for t in store.all() if t.round <= number]
    if stop is None:
      early = functools.partial(_early_stop, trials, options)
      stop = store.settled("early_stop", early)
    with timed("predictor"), progress.phase(f"predictor after round {number}"):
      labels = labels_at(trials, stop["epoch"], options.signal)
      key = jax.random.fold_in(fit_key, number)
      model, checked = _learn(
        key, space, pretrained, trials, labels, options, check
      )
      if checked is not None:
        rounds.append({"round": number, **checked})
      if options.learner != "predictor" and number < options.rounds:
        measured = [t.genotype for t in trials]
        process = posterior.fit(space, measured, labels, num_classes)
  report = {
    "signal": options.signal,
    "predictor": {"pretraining": _pretraining(proxies), "rounds": rounds},
    "early_stop": stop,
  }
  return NarsSearch(trials, model, labels, report)


def _learn(
  key: jax.Array,
  space: SearchSpace,
  pretrained: Any,
  trials: Sequence[Trial],
  labels: np.ndarray,
  options: NarsSizes,
  check: bool,
) -> tuple[Any, dict[str, Any] | None]:
  """Fits the predictor to trials; with `check` also cross-validates it.

  Args:
    key: typed key.
    space: the space.
    pretrained: the predictor that has learned costs, None for none.
    trials: n of them.
    labels: `f64[n]`, not finite where a trial failed.
    options: sizes.
    check: whether to cross-validate.

  Returns:
    The predictor, and what the report says of its predictions.

  Raises:
    ValueError: fewer than two trials have a label.
  """
  if np.isfinite(labels).sum() < 2:
    raise ValueError(
      f"{np.isfinite(labels).sum()} of {len(trials)} trials could be "
      f"evaluated, too few to learn from; the first: {trials[0].error}"
    )
  genotypes = jnp.asarray([t.genotype for t in trials], jnp.int32)
  # What failed is as good as the worst that did not.
  learned = np.where(np.isfinite(labels), labels, np.nanmin(labels))
  # As many as there can be, so that later rounds compile nothing.
  sizes = predictor.HeadSettings(
    capacity=options.total, ranks=options.ranks, huber=options.huber
  )
  examples = (space, pretrained, genotypes, learned)
  model = predictor.fit(
    key, *examples, members=options.predictors, settings=sizes
  )
  if not check:
    return model, None
  checked = predictor.cross_validate(
    key, *examples, folds=min(8, len(learned)), settings=sizes
  )
  return model, {
    "labels": len(learned),
    "spearman": checked.spearman,
    "kendall": checked.kendall,
    "predicted": checked.predicted,
    "measured": checked.labels,
  }


def _pretraining(proxies: dict[str, ProxyMetrics]) -> dict[str, Any]:
  return {
    name: {
      "rmse_log" if name in COSTS else "rmse": metrics.rmse,
      "kendall": metrics.kendall,
      "spearman": metrics.spearman,
      "predicted": metrics.predicted,
      "true": metrics.truth,
      "normal_scores": name not in COSTS,
    }
    for name, metrics in proxies.items()
  }


def signals(trials: Sequence[Trial], signal: str) -> list[np.ndarray]:
  """What candidates are ranked by, after each epoch of each trial.

  Args:
    trials: any.
    signal: see `NarsSizes`.

  Returns:
    `f64[epochs]` for each trial, NaN where it failed.

  Raises:
    ValueError: likelihoods are asked for, and the evaluator gave no losses.
  """
  curves = []
  for trial in trials:
    values = trial.curve if signal == "accuracy" else trial.losses
    if trial.status == "done" and not values:
      raise ValueError(
        f"search.signal is {signal!r}, but the evaluator gave trial {trial.id} "
        "no losses; legal: accuracy, or an evaluator that fills Outcome.losses"
      )
    curve = np.asarray([np.nan if v is None else v for v in values], np.float64)
    if signal == "likelihood":
      curve = np.exp(-curve)
    curves.append(curve if trial.status == "done" else np.full(1, np.nan))
  return curves


def labels_at(
  trials: Sequence[Trial], epoch: int, signal: str = "accuracy"
) -> np.ndarray:
  """The signal of each trial after an epoch, NaN where it failed, `f64[n]`."""
  curves = signals(trials, signal)
  return np.asarray([c[min(epoch, len(c)) - 1] for c in curves], np.float64)


def _run(
  space: SearchSpace,
  num_classes: int,
  evaluate: Evaluator,
  store: TrialStore,
  options: NarsSizes,
  progress: Progress,
  number: int,
  plan: Sequence[dict[str, Any]],
  epochs: int,
) -> None:
  """Evaluates what of a round's plan has not been, recording as it ends."""
  planned = {p["id"]: p for p in plan}
  ended = {t.id for t in store.all()} & set(planned)
  if len(ended) == len(planned):
    return
  candidates = [
    Candidate(i, tuple(p["genotype"]), _seed(options, i))
    for i, p in planned.items()
  ]
  total, done = (epochs * count for count in (len(planned), len(ended)))
  with progress.phase(f"round {number}", total, done) as advance:
    for outcomes in evaluate(candidates, epochs, advance, ended):
      new = [
        _trial(space, num_classes, number, planned[o.id], o, options)
        for o in outcomes
        if o.id not in ended
      ]
      signals(new, options.signal)  # Refuses what cannot be ranked, at once.
      store.record(new)


def _seed(options: NarsSizes, trial: int) -> int:
  """A seed of each trial's own, `uint32`."""
  return (options.seed * 1_000_003 + trial) % 2**32


def _trial(
  space: SearchSpace,
  num_classes: int,
  number: int,
  planned: dict[str, Any],
  outcome: Outcome,
  options: NarsSizes,
) -> Trial:
  genotype = tuple(planned["genotype"])
  architecture = space.architecture(np.asarray(genotype))
  counted = costs.count(architecture, num_classes)
  error = outcome.error
  if error is None and not (outcome.curve and np.isfinite(outcome.curve).all()):
    error = "diverged: an accuracy is not finite, or there is none"
  failed = error is not None
  return Trial(
    id=outcome.id,
    round=number,
    genotype=genotype,
    macs=counted.macs,
    params=counted.params,
    predicted=planned["predicted"],
    curve=outcome.curve,
    accuracy=None if failed else outcome.curve[-1],
    log_loss=None if failed else outcome.log_loss,
    epochs=len(outcome.curve),
    seconds=outcome.seconds,
    status="failed" if failed else "done",
    error=error,
    recipe=space.recipe(np.asarray(genotype)).to_json(),
    architecture=architecture.to_json(),
    seed=_seed(options, outcome.id),
    losses=outcome.losses,
  )


def _early_stop(trials: Sequence[Trial], options: NarsSizes) -> dict[str, Any]:
  """The epoch at which later rounds stop, as JSON."""
  done = [t for t in trials if t.status == "done"]
  curves = np.asarray(signals(done, options.signal), np.float64)
  curves = curves.reshape(-1, options.epochs)
  stop = early_stop_epoch(curves, options.correlation)
  return {
    "threshold": options.correlation,
    "epoch": stop.epoch,
    "max_epochs": options.epochs,
    "correlations": stop.correlations.tolist(),
  }
