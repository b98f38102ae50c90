"""What the rounds of a search compile and train, for an estimate.

Symbols: `n` points of a pool, `D` decisions, `P` candidates of a population.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fbnax import costs
from fbnax.data import Dataset
from fbnax.jobs.nars import evaluating
from fbnax.jobs.nars.config import NarsConfig
from fbnax.search.evaluators import Candidate
from fbnax.search.evaluators.grouping import ProgramGroup
from fbnax.spaces import SearchSpace
from fbnax.spaces.hull import hull


class Load(NamedTuple):
  """Of one resolution.

  Attributes:
    programs: that are compiled.
    populations: trainings of `P` candidates at the price of masks over the
      whole space.
  """

  programs: int = 0
  populations: float = 0.0


def of_rounds(
  config: NarsConfig,
  space: SearchSpace,
  drawn: np.ndarray,
  dataset: Dataset,
  images: int,
  rounds: Sequence[int],
) -> dict[int, Load]:
  """Loads by resolution, as if all rounds drew their candidates from a pool.

  Args:
    config: of the run.
    space: the space.
    drawn: `i32[n, D]`, points that candidates may be.
    dataset: for its classes.
    images: of an epoch.
    rounds: candidates of each.
  """
  found: dict[int, Load] = {}
  masked = set()
  plan = evaluating.plan(config, dataset, images)
  rng = np.random.default_rng(0)
  for count in rounds:
    rows = drawn[rng.choice(len(drawn), count, replace=count > len(drawn))]
    candidates = [
      Candidate(i, tuple(row.tolist()), i) for i, row in enumerate(rows)
    ]
    for group in plan(space, candidates, config.search.epochs):
      before = found.get(group.resolution, Load())
      new = not (group.holds is None and group.resolution in masked)
      if group.holds is None:
        masked.add(group.resolution)
      found[group.resolution] = Load(
        before.programs + new,
        before.populations
        + _members(group)
        / config.search.population
        * _price(space, group, dataset.num_classes),
      )
  return dict(sorted(found.items()))


def _members(group: ProgramGroup) -> int:
  """Candidates that are trained, with those that fill a part."""
  return group.size * -(-len(group.candidates) // group.size)


def _price(space: SearchSpace, group: ProgramGroup, num_classes: int) -> float:
  """Of a step, as a share of that of the whole space under masks."""
  if group.holds is None:
    return 1.0
  part, inside = hull(space, group.holds)
  largest = part.architecture(inside.max(0))
  whole = space.architecture(np.asarray(space.choices) - 1)
  share = (
    costs.count(largest, num_classes).macs
    / costs.count(whole, num_classes).macs
  )
  return share * (whole.resolution / largest.resolution) ** 2
