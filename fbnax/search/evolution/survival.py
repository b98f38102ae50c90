"""Who survives a generation: the best, each once.

Symbols: `n` candidates, `P` parents, `K` survivors, `D` decisions.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.search.evolution.variation import Candidates


class Population(NamedTuple):
  """Candidates of a budget.

  Attributes:
    candidates: genotypes and costs, `[n]`.
    scores: `f32[n]`, -inf for those outside the budget or without a score.
  """

  candidates: Candidates
  scores: jax.Array


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
