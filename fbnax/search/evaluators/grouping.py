"""Which candidates share a program, and what of the space that program holds.

Under masks one program trains any candidates, at the price of the largest
network of the space; a network of its own costs its own price, and another
compilation. Where members of a population are trained one after the other, as
on a CPU, only compilation speaks for masks. So a round is cut into groups of
candidates of like size, each with a program for the part of the space that they
choose (`fbnax.spaces.hull`), where that saves more than compiling it takes: a
program for each candidate where trainings are long, masks for all where they
are short. The program of masks counts as there: all rounds share it, though
after a group's own it is read from the cache again.

The plan follows from the candidates and from what they are trained on alone, so
a search that is started again groups as it did before. What a candidate's
training yields is the same in every group, up to rounding.

Symbols: `n` candidates, `D` decisions, `P` members of a population.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.search.evaluators import Candidate
from fbnax.spaces.follow import decisions_of
from fbnax.spaces.hull import has_hulls
from fbnax.spaces.space import SearchSpace
from fbnax.spaces.tables import open_fields

# What is weighed, as measured on two cores by `tests.benchmarks.population`;
# masks cost what the larger network does. What candidates yield depends on
# neither.
PROGRAM = 40.0  # Seconds to compile a program.
SECOND = 2e9  # MACs of the forward pass that are trained in a second.


class ProgramGroup(NamedTuple):
  """Candidates of one resolution with a program of their own.

  Attributes:
    resolution: pixels.
    candidates: whose program it is.
    size: `P`; the last ones are repeated to fill it.
    holds: genotypes that its program is for, None for the whole space.
  """

  resolution: int
  candidates: tuple[Candidate, ...]
  size: int
  holds: tuple[tuple[int, ...], ...] | None = None

  def parts(self) -> Iterator[ProgramGroup]:
    """What is trained at a time."""
    for start in range(0, len(self.candidates), self.size):
      some = self.candidates[start : start + self.size]
      yield self._replace(candidates=some)


def alone(
  resolution: int, candidates: Sequence[Candidate], size: int
) -> ProgramGroup:
  """Candidates with a program for them and no others; `P` at most `size`."""
  parts = -(-len(candidates) // size)
  each = -(-len(candidates) // parts)
  holds = tuple(c.genotype for c in candidates)
  return ProgramGroup(resolution, tuple(candidates), each, holds)


Grouping = Callable[[SearchSpace, Sequence[Candidate], int], list[ProgramGroup]]


def by_masks(size: int) -> Grouping:
  """One program for all candidates of a resolution, of the whole space.

  Args:
    size: `P`.

  Returns:
    A plan of a space, candidates and epochs.
  """

  def plan(
    space: SearchSpace, candidates: Sequence[Candidate], epochs: int
  ) -> list[ProgramGroup]:
    return [
      ProgramGroup(side, tuple(alike), size)
      for side, alike in by_resolution(space, candidates)
    ]

  return plan


def by_size(size: int, num_classes: int, images: int) -> Grouping:
  """Groups whose programs and trainings are expected to end first.

  Of all ways to cut the candidates of a resolution, in the order of their
  MACs, into groups.

  Args:
    size: `P` at most.
    num_classes: outputs.
    images: of an epoch.

  Returns:
    A plan of a space, candidates and epochs; of a space without hulls that of
    `by_masks`.
  """

  def plan(
    space: SearchSpace, candidates: Sequence[Candidate], epochs: int
  ) -> list[ProgramGroup]:
    if not has_hulls(space):
      return by_masks(size)(space, candidates, epochs)
    all_groups = []
    for side, alike in by_resolution(space, candidates):
      masked, groups = _cut(space, alike, size, num_classes, images * epochs)
      if masked:
        all_groups.append(ProgramGroup(side, tuple(masked), size))
      all_groups += [alone(side, members, size) for members in groups]
    return all_groups

  return plan


def by_resolution(
  space: SearchSpace, candidates: Sequence[Candidate]
) -> Iterator[tuple[int, list[Candidate]]]:
  """Candidates in the order of their ids, by ascending resolution."""

  def resolution(candidate: Candidate) -> int:
    return space.architecture(np.asarray(candidate.genotype)).resolution

  ordered = sorted(candidates, key=lambda c: (resolution(c), c.id))
  for side, group in itertools.groupby(ordered, resolution):
    yield side, list(group)


def _cut(
  space: SearchSpace,
  alike: list[Candidate],
  size: int,
  num_classes: int,
  images: int,
) -> tuple[list[Candidate], list[list[Candidate]]]:
  """Candidates of one resolution that are left to masks, and the groups."""
  genotypes = np.asarray([c.genotype for c in alike], np.int32)
  macs = _macs(space, genotypes, num_classes)
  order = sorted(range(len(alike)), key=lambda i: (macs[i], alike[i].id))
  ordered = [alike[i] for i in order]
  grouped = _prices(space, genotypes[order], size, num_classes, images)
  masked = _masked_prices(space, genotypes, num_classes, images)
  left: list[Candidate] = []
  groups = []
  for start, stop in cheapest_cuts(np.minimum(grouped, masked)):
    members = ordered[start:stop]
    if masked[start, stop] <= grouped[start, stop]:
      left += members
    else:
      groups.append(members)
  # Populations under masks are filled up, which the sums above leave out.
  filled = -(-len(left) // size) * size
  if len(left) < filled:
    rows = np.asarray([c.genotype for c in left], np.int32)
    apart = _prices(space, rows, size, num_classes, images)
    cuts = cheapest_cuts(apart)
    if sum(apart[cut] for cut in cuts) < masked[0, 1] * filled:
      groups += [left[start:stop] for start, stop in cuts]
      left = []
  by_id = functools.partial(sorted, key=lambda c: c.id)
  return by_id(left), [by_id(members) for members in groups]


def _prices(
  space: SearchSpace,
  genotypes: np.ndarray,
  size: int,
  num_classes: int,
  images: int,
) -> np.ndarray:
  """Seconds of a group from one place to before another, `f64[n, n + 1]`.

  Infinite where the other place does not lie behind.
  """
  count = len(genotypes)
  about = set(decisions_of(*open_fields(space.table)))
  column = np.asarray([d.name in about for d in space.decisions])
  rows = np.where(column, genotypes, 0)
  starts, stops = np.triu_indices(count)
  # Of all members from `i` on up to each, the largest choices.
  tops = [np.maximum.accumulate(rows[i:], axis=0) for i in range(count)]
  macs = _macs(space, np.concatenate(tops), num_classes)
  members = stops + 1 - starts
  parts = -(-members // size)
  trained = -(-members // parts) * parts  # As `alone` has them, some repeated.
  work = macs * images * trained / SECOND
  prices = np.full((count, count + 1), np.inf)
  prices[starts, stops + 1] = PROGRAM + work
  return prices


def _masked_prices(
  space: SearchSpace, genotypes: np.ndarray, num_classes: int, images: int
) -> np.ndarray:
  """Likewise under masks over the whole space, whose program is there."""
  count = len(genotypes)
  resolution = decisions_of(space.table.resolution)
  kept = np.asarray([d.name in resolution for d in space.decisions])
  largest = np.where(kept, genotypes[0], np.asarray(space.choices) - 1)
  (macs,) = _macs(space, largest[None].astype(np.int32), num_classes)
  members = np.arange(count + 1)[None] - np.arange(count)[:, None]
  work = macs * images * members / SECOND
  return np.where(members > 0, work, np.inf)


def cheapest_cuts(prices: np.ndarray) -> list[tuple[int, int]]:
  """The way to cut a row of things into groups that costs the least.

  Args:
    prices: of a group from place `i` to before place `j`, `f64[n, n + 1]`.

  Returns:
    Both places of each group, in order.
  """
  count = len(prices)
  paid, before = np.zeros(count + 1), np.zeros(count + 1, int)
  for stop in range(1, count + 1):
    sums = paid[:stop] + prices[:stop, stop]
    before[stop] = int(sums.argmin())
    paid[stop] = sums[before[stop]]
  ends = [count]
  while ends[-1] > 0:
    ends.append(int(before[ends[-1]]))
  return list(itertools.pairwise(reversed(ends)))


def _macs(
  space: SearchSpace, genotypes: np.ndarray, num_classes: int
) -> np.ndarray:
  """MACs of genotypes, `f64[n]`; programs are compiled for powers of two."""
  count = len(genotypes)
  padded = 1 << (count - 1).bit_length()
  rows = np.concatenate(
    [genotypes, np.repeat(genotypes[:1], padded - count, 0)]
  )
  macs = costs.batch(space, jnp.asarray(rows), num_classes).macs
  return np.asarray(jax.device_get(macs), float)[:count]
