"""Candidates: what is to be evaluated."""

from __future__ import annotations

from typing import NamedTuple


class Candidate(NamedTuple):
  """What is to be evaluated.

  Attributes:
    id: of the trial.
    genotype: `int[D]`.
    seed: of its training.
  """

  id: int
  genotype: tuple[int, ...]
  seed: int
