"""What the job `nars` leaves: a search, and a family of networks."""

from __future__ import annotations

import dataclasses

from fbnax.report.front_schema import Front
from fbnax.report.schema import MemberRow, Numbers, Result, left_out


@dataclasses.dataclass(frozen=True)
class FamilyMember(MemberRow):
  """A member of the family, with what the search knew of it.

  One that was scaled from another is no point of the space: it has neither a
  genotype nor a prediction.
  """

  budget: dict[str, Numbers | None] = dataclasses.field(default_factory=dict)
  predicted: float | None = None
  genotype: tuple[int, ...] | None = None
  scaled_from: str | None = None


@dataclasses.dataclass(frozen=True)
class BaselineRow(MemberRow):
  """What a user would do otherwise under the budget of a member, `beside`."""

  kind: str = ""
  beside: str = ""


@dataclasses.dataclass(frozen=True)
class NarsResult(Result):
  """A search and the family that came of it.

  Where it started from a pretrained network, `supernet` is that, trained with
  all its smaller ones, and `baselines` are what a user would do otherwise.
  `on_labels` is the largest member as it was trained on labels to teach all.
  """

  members: tuple[FamilyMember, ...] = ()
  supernet: MemberRow | None = left_out()
  on_labels: MemberRow | None = left_out()
  baselines: tuple[BaselineRow, ...] = left_out(tuple)
  front: Front | None = left_out()

  def check(self) -> None:
    """Raises a ValueError where parts do not fit each other."""
    super().check()
    if self.front is not None:
      self.front.check()
