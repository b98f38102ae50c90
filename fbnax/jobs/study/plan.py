"""What a study is, as data: networks to train, and what is compared with what.

Every case is trained with the same seeds, so that a comparison can be made at
each of them.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from fbnax.spaces import Architecture, Recipe


@dataclasses.dataclass(frozen=True)
class Case:
  """One network to train with each of the seeds.

  Attributes:
    run: work directory of the run whose data and settings it is trained with.
    group: cases that are compared with each other.
    name: within the group.
    architecture: what to build.
    recipe: how to train it.
    teacher: the member of the run that teaches it, None for none.
    epochs: of its training.
    is_member: it is a member of the family as the run designed it.
    row: of the group's matrix, "" where there is none.
    column: likewise.
  """

  run: str
  group: str
  name: str
  architecture: Architecture
  recipe: Recipe
  teacher: str | None
  epochs: int
  is_member: bool = False
  row: str = ""
  column: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a study trains, and what it compares.

  Attributes:
    cases: in the order in which they are trained; those of one network stand
      together, since they share a compiled program.
    comparisons: differences that answer the study's question.
    notes: what the reader must know.
  """

  cases: tuple[Case, ...]
  comparisons: tuple[StudyComparison, ...]
  notes: tuple[str, ...] = ()


class CaseKey(NamedTuple):
  """Which case: its group, and its name within the group."""

  group: str
  name: str


@dataclasses.dataclass(frozen=True)
class Term:
  """A weight times the mean over cases."""

  weight: float
  keys: tuple[CaseKey, ...]


@dataclasses.dataclass(frozen=True)
class StudyComparison:
  """A difference: a sum of terms whose weights sum to zero.

  Attributes:
    group: whose cases are compared, "" for those of all groups.
    first: what is compared, in words.
    second: what it is compared with; both stand in `FIRST is better than
      SECOND`. "" where it is a difference's own change.
    terms: what is summed.
  """

  group: str
  first: str
  second: str
  terms: tuple[Term, ...]

  @property
  def name(self) -> str:
    """The difference in words."""
    return f"{self.first} minus {self.second}" if self.second else self.first
