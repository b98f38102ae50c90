"""Children of a population: crossover and mutation under a budget.

The adaptive genetic algorithm of Srinivas & Patnaik 1994: a parent above the
average crosses and mutates the less the nearer it is to the best, others do so
at the full rate, and a population that has converged is disrupted again.

Symbols: `P` parents, `C` children, `D` decisions. Genotypes are transposed
here, `[D, C]`, so that a decision is one contiguous row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fbnax.costs.table import Context
from fbnax.search.budgets import Budget, Paid, paid, violation
from fbnax.spaces import SearchSpace

# A random word serves a gene: 1 bit crosses, 11 decide whether it mutates, 2
# how, 18 to what. Random bits are a large part of what a child costs.
_RATE_BITS = 11
_VALUE_BITS = 18


class Rates(NamedTuple):
  """How much children differ from their parents.

  Attributes:
    crossover: probability that a parent of at most average fitness is crossed
      with another; each gene then comes from either.
    mutation_best: expected number of mutated genes of the best parent's
      children, besides the one that always mutates.
    mutation_rest: the same for parents of at most average fitness.
  """

  crossover: float = 1.0
  mutation_best: float = 0.5
  mutation_rest: float = 3.0


class Candidates(NamedTuple):
  """Genotypes and their costs.

  Attributes:
    genotypes: `i32[..., D]`.
    costs: as `budgets.paid` tells them, `f32[...]` each.
    violation: how far the costs are outside the budget, `f32[...]`; 0 is valid.
  """

  genotypes: jax.Array
  costs: Paid
  violation: jax.Array

  def take(self, indices: jax.Array) -> Candidates:
    """Those at the indices of the first axis."""
    return jax.tree.map(lambda leaf: leaf[indices], self)


def disruption(fitness: jax.Array, valid: jax.Array) -> jax.Array:
  """(best - f) / (best - average), within 0 to 1, `f32[..., P]`.

  1 for candidates of at most average fitness, for invalid ones, and where all
  are equal. Times a rate it is the adaptive probability of Srinivas & Patnaik
  1994.
  """
  valid_fitness = jnp.where(valid, fitness, 0.0)
  best = jnp.where(valid, fitness, -jnp.inf).max(-1, keepdims=True)
  average = valid_fitness.sum(-1, keepdims=True) / jnp.maximum(
    valid.sum(-1, keepdims=True), 1
  )
  spread = best - average
  # Where all are equal, rounding of the average must not decide.
  equal = ~(spread > 1e-6 * jnp.abs(best))
  share = (best - valid_fitness) / jnp.where(equal, 1.0, spread)
  return jnp.where(equal | ~valid, 1.0, jnp.clip(share, 0.0, 1.0))


def breed(
  key: jax.Array,
  space: SearchSpace,
  budgets: Budget,
  parents: Candidates,
  fitness: jax.Array,
  *,
  children: int,
  context: Context,
  rates: Rates,
  further: tuple[str, ...] = (),
) -> Candidates:
  """`children` of each parent, within the budget if their parent is.

  A child is tried four times with the same random numbers, and the first
  within the budget is kept: crossed and mutated; mutated only; with a quarter
  of the mutations; and with the architecture of its parent, only the recipe
  mutated. If none is within, the nearest is kept.

  Args:
    key: typed key.
    space: the space.
    budgets: limits `f32[b]`.
    parents: canonical candidates, `[b, P]`.
    fitness: `f32[b, P]`, -inf for parents without one.
    children: number of children of each parent.
    context: what costs depend on beside the network.
    rates: how much children differ from their parents.
    further: costs beside MACs and parameters that are limited.

  Returns:
    Canonical candidates `[b, P * children]`. They may repeat each other.
  """
  count, population, _ = parents.genotypes.shape
  tries = _tries(key, space, parents.genotypes, fitness, children, rates)
  cost = jax.lax.map(
    lambda i: paid(space, tries[:, i].T, context, further),
    jnp.arange(tries.shape[1] - 1),
  )
  # The last try has its parent's architecture.
  cost = jax.tree.map(
    lambda new, old: jnp.concatenate(
      [new, jnp.repeat(old.reshape(-1), children)[None]]
    ),
    cost,
    parents.costs,
  )
  limits = jax.tree.map(
    lambda value: jnp.repeat(value, population * children), budgets
  )
  beyond = violation(limits, cost)
  which = jnp.zeros(beyond.shape[1], jnp.int32)
  least = beyond[0]
  for i in range(1, len(beyond)):
    which = jnp.where(beyond[i] < least, i, which)
    least = jnp.minimum(beyond[i], least)

  def pick(values: jax.Array) -> jax.Array:
    """The chosen try, `[tries, n]` to `[n]`."""
    kept = values[0]
    for i in range(1, len(values)):
      kept = jnp.where(which == i, values[i], kept)
    return kept

  genotypes = space.canonical(jax.lax.map(pick, tries).T)
  bred = Candidates(genotypes, jax.tree.map(pick, cost), least)
  return jax.tree.map(
    lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), bred
  )


def _tries(
  key: jax.Array,
  space: SearchSpace,
  parents: jax.Array,
  fitness: jax.Array,
  children: int,
  rates: Rates,
) -> jax.Array:
  """The four tries of each child, gene by gene, `i32[D, 4, b * P * children]`.

  Args:
    key: typed key.
    space: the space.
    parents: genotypes `i32[b, P, D]`.
    fitness: as of `breed`.
    children: number of children of each parent.
    rates: how much children differ from their parents.
  """
  count, population, decisions = parents.shape
  total = count * population * children
  # Loops, because XLA fuses whatever it can: in one expression random bits
  # would be computed anew for each try, and tries for each layer of the costs.
  halves = jax.lax.map(
    lambda key: jax.random.bits(key, (decisions // 2 + 2, total), jnp.uint32),
    jax.random.split(key),
  )
  words = halves.reshape(-1, total)[: decisions + 3]
  gene_words, (mate_words, cross_words, always_words) = (
    words[:decisions],
    words[decisions:],
  )
  first = jnp.repeat(jnp.arange(count) * population, population * children)
  mates = first + _below(mate_words, population)
  degree = disruption(fitness, ~jnp.isneginf(fitness)).reshape(-1)
  own_degree = jnp.repeat(degree, children)
  # The fitter of the two decides how likely they are to cross.
  chance = rates.crossover * jnp.minimum(own_degree, degree[mates])
  crosses = (cross_words >> 8) < chance * 2.0**24
  expected = rates.mutation_best + own_degree * (
    rates.mutation_rest - rates.mutation_best
  )
  threshold = (expected / decisions * 2.0**_RATE_BITS).astype(jnp.int32)
  always = _below(always_words, decisions)
  recipe_genes = [
    i for i, d in enumerate(space.decisions) if space.is_recipe(d)
  ]
  if recipe_genes:
    which = _below(always_words, len(recipe_genes))
    always_recipe = jnp.asarray(recipe_genes)[which]
  else:
    always_recipe = jnp.full(total, -1)
  always = jnp.stack([always, always, always, always_recipe])
  # Per try: the threshold times, and whether architecture genes take part.
  share = jnp.asarray([[4], [4], [1], [4]])
  bold = jnp.asarray([[True], [False], [False], [False]])
  free = jnp.asarray([[True], [True], [True], [False]])
  thresholds = threshold * share // 4

  def attempts(gene: Any) -> jax.Array:
    index, values, word, last, ordinal, is_recipe = gene
    origin = jnp.repeat(values, children)
    crossed = jnp.where(crosses & ((word & 1) == 1), values[mates], origin)
    base = jnp.where(bold, crossed, origin)
    drawn = ((word >> 1) & (2**_RATE_BITS - 1)).astype(jnp.int32)
    mutates = (drawn < thresholds) | (always == index)
    mutated = _mutate(word >> (1 + _RATE_BITS), base, last, ordinal)
    return jnp.where(mutates & (free | is_recipe), mutated, base)

  return jax.lax.map(
    attempts,
    (
      jnp.arange(decisions),
      parents.reshape(-1, decisions).T,
      gene_words,
      jnp.asarray(space.choices, jnp.int32) - 1,
      jnp.asarray([not d.categorical for d in space.decisions]),
      jnp.asarray([space.is_recipe(d) for d in space.decisions]),
    ),
  )


def _mutate(
  words: jax.Array, genes: jax.Array, last: jax.Array, ordinal: jax.Array
) -> jax.Array:
  """Other values for one decision.

  Half of the mutations of an ordinal gene step to the next value up or down;
  all others go to any other value alike. A gene with one value stays.

  Args:
    words: 20 random bits each, `u32[n]`.
    genes: indices, `i32[..., n]`.
    last: the highest index.
    ordinal: whether the decision is.
  """
  steps = ((words & 1) == 1) & ordinal
  rises = (genes == 0) | (((words & 2) == 2) & (genes != last))
  stepped = jnp.minimum(genes + jnp.where(rises, 1, -1), last)
  draws = ((words >> 2) * last.astype(jnp.uint32)) >> _VALUE_BITS
  jumped = genes + 1 + draws.astype(jnp.int32)
  jumped = jnp.where(jumped > last, jumped - last - 1, jumped)
  return jnp.where(steps, stepped, jumped)


def _below(words: jax.Array, count: int) -> jax.Array:
  """Numbers under `count`, at most 65,536, from random words, `i32`."""
  return (((words >> 16) * jnp.uint32(count)) >> 16).astype(jnp.int32)
