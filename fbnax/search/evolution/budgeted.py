"""Evolution under budgets, scored by a predictor.

Stage 3 of Algorithm 1 of Wan 2022, with the population sizes of its section
4.6, for all budgets at once in one program.

Where this departs from the paper or fills it in. The first generation is cut to
the survivors before it breeds, so that all generations have one shape and one
program. Until a budget has a valid candidate, those nearest to it survive and
breed, so that a narrow budget is sought, not waited for. A budget has stopped
gaining after `patience` generations in a row without a gain: with the paper's
one, chance alone ends many searches a step early. A budget that has stopped
goes on with the others until all have, which costs nothing in one program.

For the first 20 generations the best of each parent and its own children
survives, and only then the best of all: the paper's rule alone makes the
population one family within a few generations, in whatever basin led first.

What it finds is a local optimum, and another key finds another: to spend more
time on a budget, give it several times in the batch rather than more patience.

Symbols: `b` budgets, `P` parents, `K` survivors, `n` candidates, `D` decisions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.costs import LatencyTable
from fbnax.costs.table import Context
from fbnax.search import budgets as budgets_lib
from fbnax.search import prices
from fbnax.search.budgets import Budget, Paid, paid, violation
from fbnax.search.evolution.variation import Candidates, Rates, breed
from fbnax.search.prices import price_of
from fbnax.spaces import SearchSpace

LARGEST_GENERATION = 2**14  # So that 18 bits of a word are left for a hash.
POOL = 8192  # Random genotypes among which each budget finds its first ones.


class Evolution(NamedTuple):
  """What evolution found, for each budget the best first.

  Attributes:
    genotypes: canonical, all of a budget distinct, `i32[b, K, D]`.
    scores: predicted scores, `f32[b, K]`; -inf where not valid.
    costs: MACs and parameters, and any other cost that a budget limits,
      `f32[b, K]` each.
    valid: within the budget, `bool[b, K]`. The first of each budget always is.
    generations: generations until the budget stopped gaining, `i32[b]`.
    evaluated: valid candidates that were scored, `i32[b]`: in each generation
      those that differ from each other and from the parents.
  """

  genotypes: jax.Array
  scores: jax.Array
  costs: Paid
  valid: jax.Array
  generations: jax.Array
  evaluated: jax.Array


class Population(NamedTuple):
  """Candidates of a budget.

  Attributes:
    candidates: genotypes and costs, `[n]`.
    scores: `f32[n]`, -inf for those outside the budget or without a score.
  """

  candidates: Candidates
  scores: jax.Array


class _State(NamedTuple):
  key: jax.Array
  population: Population
  generation: jax.Array
  best: jax.Array
  without_gain: jax.Array
  stopped_at: jax.Array
  evaluated: jax.Array


def evolve(
  key: jax.Array,
  predict: Callable[[jax.Array], jax.Array],
  space: SearchSpace,
  budgets: Budget,
  *,
  first_best: Any = None,
  num_best: int = 50,
  num_random: int = 50,
  children: int = 24,
  survivors: int = 40,
  tolerance: float = 1e-6,
  generations_apart: int = 20,
  patience: int = 3,
  max_generations: int = 200,
  num_classes: int = 1000,
  rates: Rates = Rates(),  # noqa: B008 - a tuple of numbers.
  table: LatencyTable | None = None,
) -> Evolution:
  """Evolves the genotypes with the highest scores within each budget.

  Args:
    key: typed key.
    predict: from genotypes `i32[n, D]` to scores `f32[n]`, larger is better;
      it is compiled. A `jax.tree_util.Partial` of a function and a model, as
      `nars.scoring.scorer` gives, compiles once for all models.
    space: the space.
    budgets: one budget or a batch of `b`.
    first_best: measured trials, the best first, `i32[m, D]`; those within a
      budget start its first generation.
    num_best: at most so many of these, `p` in the paper.
    num_random: random ones in the first generation, `q` in the paper.
    children: number of children of each candidate.
    survivors: `K`.
    tolerance: a smaller increase of the best score is no gain.
    generations_apart: generations in which each parent's family keeps a place;
      0 is the paper's rule.
    patience: generations in a row without a gain until a budget has stopped;
      1 is the paper's rule.
    max_generations: the most generations.
    num_classes: outputs of the classifier; it counts in the costs.
    rates: how much children differ from their parents.
    table: tells latencies; needed, and used, where a budget limits them.

  Returns:
    The survivors of each budget.

  Raises:
    ValueError: a number is not positive, `first_best` has a wrong shape, a
      budget holds no genotype (the range that does is given), or limits a
      latency without a table.
  """
  sizes = {
    "num_random": num_random,
    "children": children,
    "survivors": survivors,
    "patience": patience,
    "max_generations": max_generations,
  }
  for name, size in sizes.items():
    if size < 1:
      raise ValueError(f"{name} is {size}; legal: at least 1")
  if survivors * (children + 1) > LARGEST_GENERATION:
    raise ValueError(
      f"survivors={survivors} with children={children} each are too many; "
      f"legal: survivors * (children + 1) up to {LARGEST_GENERATION}"
    )
  limits = budgets_lib.batched(budgets)
  prices.check_budgets(limits, space, num_classes, table)
  further = limits.further()
  context = budgets_lib.context_of(further, num_classes, table)
  extremes = [budgets_lib.cost_range(space, num_classes).genotypes]
  for name in further:
    ends = prices.ends(price_of(name, space, context))
    extremes.append(jnp.asarray(ends))
  decisions = len(space.decisions)
  trials = jnp.zeros((0, decisions), jnp.int32)
  if first_best is not None and num_best > 0:
    trials = jnp.asarray(first_best, jnp.int32)
    if trials.ndim != 2 or trials.shape[1] != decisions:
      raise ValueError(
        f"first_best has shape {trials.shape}; wanted [m, {decisions}]"
      )
  num_best = min(num_best, len(trials))
  if num_random > POOL or num_best + num_random < survivors:
    raise ValueError(
      f"num_random is {num_random}, beside {num_best} measured trials; legal: "
      f"at most {POOL}, and with them at least survivors={survivors}"
    )
  if not isinstance(predict, jax.tree_util.Partial):
    predict = jax.tree_util.Partial(predict)
  result = _evolve(
    key,
    predict,
    limits,
    trials,
    jnp.concatenate(extremes),
    tolerance,
    rates,
    generations_apart,
    space=space,
    num_best=num_best,
    num_random=num_random,
    children=children,
    survivors=survivors,
    patience=patience,
    max_generations=max_generations,
    context=context,
    further=further,
  )
  missed = np.flatnonzero(~np.asarray(result.valid[:, 0]))
  if len(missed):
    i = missed[0]
    reachable = budgets_lib.cost_range(space, num_classes)
    near = ", ".join(
      f"{name} {float(cost[i, 0]):,.6g}"
      for name, cost in result.costs._asdict().items()
    )
    raise ValueError(
      f"budget {i} ({jax.tree.map(lambda v: float(v[i]), limits)}) holds no "
      f"genotype that {max_generations} generations could find; the nearest "
      f"has {near}, and space "
      f"{space.name!r} reaches {reachable.macs} MACs and {reachable.params} "
      "parameters"
    )
  return result


def survive(
  old: Population,
  new: Population,
  by_family: jax.Array,
  survivors: int,
) -> tuple[Population, jax.Array]:
  """The survivors, best first, and how many of the new ones count.

  Args:
    old: the parents, `n = P`.
    new: the children of each parent in turn.
    by_family: whether the best of each parent and its children survives,
      `bool[]`, otherwise the best of all.
    survivors: `K`.
  """
  both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), old, new)
  repeated = repeats(both.candidates.genotypes)
  scores = jnp.where(repeated, -jnp.inf, both.scores)
  usable = ~jnp.isneginf(scores)
  parents = len(old.scores)
  # Invalid ones rank behind all valid ones, the nearest first; a repeat last.
  behind = -1e30 * (1.0 + both.candidates.violation)
  rank = jnp.where(usable, scores, behind)
  rank = jnp.where(repeated, -jnp.inf, rank)
  families = jnp.concatenate(
    [rank[:parents, None], rank[parents:].reshape(parents, -1)], axis=1
  )
  own_best = families == families.max(axis=1, keepdims=True)
  within = jnp.concatenate([own_best[:, 0], own_best[:, 1:].reshape(-1)])
  # An infinite rank cannot be lowered further, and is not usable either.
  rank = jnp.where(by_family & ~within, -jnp.inf, rank)
  best = jax.lax.top_k(rank, survivors)[1]
  kept = Population(both.candidates.take(best), scores[best])
  return kept, usable[parents:].sum(dtype=jnp.int32)


def repeats(genotypes: jax.Array) -> jax.Array:
  """Whether an earlier row is equal, `i32[n, D]` to `bool[n]`.

  Hash and row number share a word, because sorting single words is several
  times as fast as sorting pairs. Equal rows have equal hashes, so no repeat
  escapes; different rows may share a hash (with the paper's sizes one in
  10,000 candidates), and the later is then lost as if it were a repeat.
  """
  count, decisions = genotypes.shape
  bits = max(1, (count - 1).bit_length())
  # Odd multiples of the golden ratio (Knuth's multiplicative hashing).
  odd = np.cumsum(np.full(decisions, 0x9E3779B9, np.uint32), dtype=np.uint32)
  mixed = (genotypes.astype(jnp.uint32) + 1) * jnp.asarray(odd | 1)
  mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x2C1B3C6D)
  hashes = (mixed ^ (mixed >> 13)).sum(axis=1, dtype=jnp.uint32)
  low = np.uint32(2**bits - 1)
  ordered = jnp.sort((hashes & ~low) | jnp.arange(count, dtype=jnp.uint32))
  same = (ordered[1:] >> bits) == (ordered[:-1] >> bits)
  rows = (ordered & low).astype(jnp.int32)
  return jnp.zeros(count, bool).at[rows[1:]].set(same)


@functools.partial(
  jax.jit,
  static_argnames=(
    "space",
    "num_best",
    "num_random",
    "children",
    "survivors",
    "patience",
    "max_generations",
    "context",
    "further",
  ),
)
def _evolve(
  key: jax.Array,
  predict: Callable[[jax.Array], jax.Array],
  limits: Budget,
  trials: jax.Array,
  extremes: jax.Array,
  tolerance: jax.Array,
  rates: Rates,
  generations_apart: jax.Array,
  *,
  space: SearchSpace,
  num_best: int,
  num_random: int,
  children: int,
  survivors: int,
  patience: int,
  max_generations: int,
  context: Context,
  further: tuple[str, ...],
) -> Evolution:
  """All budgets at once."""
  pool_key, generations_key = jax.random.split(key)
  pool = jnp.concatenate([space.sample(pool_key, POOL), extremes])

  select = jax.vmap(
    functools.partial(survive, survivors=survivors), (0, 0, None)
  )

  def generation(state: _State) -> _State:
    next_key, key = jax.random.split(state.key)
    old = state.population
    bred = breed(
      key,
      space,
      limits,
      old.candidates,
      old.scores,
      children=children,
      context=context,
      rates=rates,
      further=further,
    )
    apart = state.generation < generations_apart
    population, new = select(old, _scored(predict, bred), apart)
    best = population.scores[:, 0]
    # From none valid to the first is a gain; a search for one goes on.
    gains = (best - state.best > tolerance) | jnp.isneginf(best) | apart
    running = state.without_gain < patience
    return _State(
      next_key,
      population,
      state.generation + 1,
      best,
      jnp.where(gains, 0, state.without_gain + 1),
      jnp.where(running, state.generation + 1, state.stopped_at),
      state.evaluated + new,
    )

  # One program counts both: the formulas take long to compile.
  everything = jnp.concatenate([trials, pool])
  paid_costs = paid(space, everything, context, further)
  first = _nearest(
    everything, len(trials), paid_costs, limits, num_best, num_random
  )
  # A first generation is its own parent, without children.
  start = _scored(predict, first)
  none = jax.tree.map(lambda leaf: leaf[:, :0], start)
  start, _ = select(start, none, jnp.asarray(False))
  zeros = jnp.zeros(len(first.violation), jnp.int32)
  state = _State(
    generations_key,
    start,
    jnp.zeros((), jnp.int32),
    start.scores[:, 0],
    zeros,
    zeros,
    zeros,
  )
  state = jax.lax.while_loop(
    lambda s: (
      (s.without_gain < patience).any() & (s.generation < max_generations)
    ),
    generation,
    state,
  )
  candidates = state.population.candidates
  return Evolution(
    candidates.genotypes,
    state.population.scores,
    candidates.costs,
    ~jnp.isneginf(state.population.scores),
    state.stopped_at,
    state.evaluated,
  )


def _nearest(
  genotypes: jax.Array,
  num_trials: int,
  paid_costs: Paid,
  limits: Budget,
  num_best: int,
  num_random: int,
) -> Candidates:
  """For each budget the trials and the others that are nearest to it.

  Args:
    genotypes: `i32[n, D]`, the trials first.
    num_trials: how many of them are trials.
    paid_costs: of each, `f32[n]`.
    limits: `f32[b]`.
    num_best: trials for each budget.
    num_random: others for each budget.
  """
  outside = jax.vmap(lambda budget: violation(budget, paid_costs))(limits)
  # Equal ones keep their order: that of the trials, or a random one.
  chosen = jax.lax.top_k(-outside[:, num_trials:], num_random)[1] + num_trials
  if num_best:
    best = jax.lax.top_k(-outside[:, :num_trials], num_best)[1]
    chosen = jnp.concatenate([best, chosen], axis=1)
  return Candidates(
    genotypes[chosen],
    jax.tree.map(lambda cost: cost[chosen], paid_costs),
    jnp.take_along_axis(outside, chosen, axis=1),
  )


def _scored(
  predict: Callable[[jax.Array], jax.Array], candidates: Candidates
) -> Population:
  """With scores `f32[b, n]`, -inf if outside the budget or without a score."""
  flat = candidates.genotypes.reshape(-1, candidates.genotypes.shape[-1])
  scores = predict(flat).astype(jnp.float32).reshape(candidates.violation.shape)
  usable = (candidates.violation == 0) & ~jnp.isnan(scores)
  return Population(candidates, jnp.where(usable, scores, -jnp.inf))
