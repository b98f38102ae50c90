"""What a search evaluates: its sizes, its pool, the plan of each round.

Stage 2 of Algorithm 1 of Wan 2022, and the settings of its section 4.6.

Symbols: `p` genotypes of the pool, `D` decisions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.proxies import normal_scores
from fbnax.search.nars import predictor
from fbnax.search.nars.posterior import Posterior
from fbnax.search.nars.selection import select_by_bins
from fbnax.search.trials import Trial
from fbnax.spaces.space import SearchSpace

SIGNALS = ("accuracy", "likelihood")
LEARNERS = ("predictor", "posterior", "both")


@dataclasses.dataclass(frozen=True)
class NarsSizes:
  """The sizes of a search; the paper's are in parentheses.

  Attributes:
    pool: Sobol points the candidates come from (20,000).
    rounds: `T` (5).
    candidates: evaluated in each round, `m` (48).
    epochs: training of the first round's candidates (150).
    correlation: of an epoch's ranking with the last's, from which on the later
      rounds stop there (0.92).
    macs: range of the candidates (400 to 800 M).
    predictors: size of the ensemble (1).
    seed: of everything random.
    bins: of the range of MACs, from each of which as many candidates are
      taken; 0 for as many as candidates, the paper's. 1 seeks the most accurate
      whatever they cost.
    first: candidates of the first round, which are random; 0 for as many as in
      the others, the paper's.
    exploration: standard deviations of the ensemble that are added to its mean
      where candidates are chosen; 0 in the paper.
    signal: what candidates are ranked by. `accuracy` is the paper's;
      `likelihood`, the geometric mean of the probabilities that the right
      classes get (e to the minus log-loss), still tells candidates apart where
      nearly all images are classified right or few are held out.
    ranks: the predictor learns ranks of accuracies instead of accuracies (see
      `predictor`).
    huber: where the predictor's loss has its corner (see `predictor`).
    learner: whose scores choose candidates: the `predictor`'s, as in the paper,
      a Gaussian process's (`posterior`, which knows how noisy measurements
      are), or the mean of `both` as normal scores.
  """

  pool: int
  rounds: int
  candidates: int
  epochs: int
  correlation: float
  macs: tuple[float, float]
  predictors: int
  seed: int
  bins: int = 0
  first: int = 0
  exploration: float = 0.0
  signal: str = "accuracy"
  ranks: bool = False
  huber: str = "deviation"
  learner: str = "predictor"

  @property
  def total(self) -> int:
    """Candidates of all rounds."""
    return self.in_round(1) + (self.rounds - 1) * self.candidates

  def in_round(self, number: int) -> int:
    """Candidates of a round, counted from 1."""
    return self.first if number == 1 and self.first else self.candidates

  def __post_init__(self) -> None:
    """Refuses sizes that no search has."""
    for name in ("pool", "rounds", "candidates", "epochs", "predictors"):
      if getattr(self, name) < 1:
        raise ValueError(
          f"search.{name} is {getattr(self, name)!r}; legal: at least 1"
        )
    if self.signal not in SIGNALS:
      raise ValueError(
        f"search.signal is {self.signal!r}; legal: {', '.join(SIGNALS)}"
      )
    if self.learner not in LEARNERS:
      raise ValueError(
        f"search.learner is {self.learner!r}; legal: {', '.join(LEARNERS)}"
      )
    if self.first < 0 or self.exploration < 0:
      raise ValueError(
        f"search.first is {self.first!r} and search.exploration "
        f"{self.exploration!r}; legal: at least 0"
      )
    if self.pool < 100:
      raise ValueError(f"search.pool is {self.pool}; legal: at least 100")
    if not 0 <= self.bins <= self.candidates:
      raise ValueError(
        f"search.bins is {self.bins!r}; legal: 0 to {self.candidates}, "
        "search.candidates"
      )
    if not 0 <= self.correlation <= 1:
      raise ValueError(
        f"search.correlation is {self.correlation!r}; legal: from 0 to 1"
      )


def candidate_pool(space: SearchSpace, options: NarsSizes) -> jax.Array:
  """Sobol points, or the whole space if it has no more genotypes than that."""
  if space.size > options.pool:
    return space.sobol(options.pool, options.seed)
  grid = np.indices(space.choices).reshape(len(space.choices), -1).T
  canonical = np.asarray(space.canonical(jnp.asarray(grid, jnp.int32)))
  return jnp.asarray(np.unique(canonical, axis=0))


def plan_key(number: int) -> str:
  """Under which the store keeps the plan of a round."""
  return f"plan/round {number}"


def plan_round(
  options: NarsSizes,
  number: int,
  model: Any,
  pool: jax.Array,
  pool_costs: costs.Costs,
  trials: Sequence[Trial],
  process: Posterior | None = None,
) -> list[dict[str, Any]]:
  """The candidates of a round: the best predicted ones of each bin of MACs.

  Args:
    options: sizes.
    number: of the round, from 1.
    model: the fitted predictor, None in the first round.
    pool: `i32[p, D]`.
    pool_costs: `f32[p]` each.
    trials: so far; what was evaluated is not planned again.
    process: the Gaussian process, where `options.learner` asks for it.

  Returns:
    `id`, `genotype` and `predicted` accuracy of each, as JSON.
  """
  low, high = options.macs
  high = min(high, float(np.max(pool_costs.macs)))
  count = options.in_round(number)
  bins = options.bins or count
  if np.ptp(pool_costs.macs) == 0:  # One architecture: nothing to divide.
    low, high, bins = low - 1.0, high + 1.0, 1
  genotypes = np.asarray(pool)
  if model is None:
    # Nothing is known yet: a random one of each bin.
    scores = np.random.default_rng(options.seed).random(len(genotypes))
    predicted = scores
  else:
    scores, predicted = _scores(options, model, pool, process)
  seen = {t.genotype for t in trials}
  repeated = np.zeros(len(genotypes), bool)
  for i, genotype in enumerate(map(tuple, genotypes.tolist())):
    repeated[i] = genotype in seen
    seen.add(genotype)
  chosen = select_by_bins(
    pool_costs.macs,
    scores,
    low,
    high,
    min(bins, count),
    count=count,
    excluded=repeated,
  )
  first = (
    0
    if number == 1
    else options.total - (options.rounds - number + 1) * options.candidates
  )
  return [
    {
      "id": first + i,
      "genotype": genotypes[index].tolist(),
      "predicted": None if model is None else float(predicted[index]),
    }
    for i, index in enumerate(chosen)
  ]


def _scores(
  options: NarsSizes, model: Any, pool: jax.Array, process: Posterior | None
) -> tuple[np.ndarray, np.ndarray]:
  """What candidates are chosen by, and the predictor's part of it, `f64[p]`."""
  by_predictor = predictor.predict(model, pool)
  optimistic = np.asarray(
    by_predictor.score + options.exploration * by_predictor.deviation,
    np.float64,
  )
  if process is None:
    return optimistic, optimistic
  scores = process.improvement(pool)
  if options.learner == "both":
    scores = normal_scores(scores) + normal_scores(optimistic)
  return scores, optimistic
