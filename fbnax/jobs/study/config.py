"""Keys of the job study."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class OwnTeacherKeys:
  """The teacher of runs of your own code."""

  teacher: str = key(
    "", "the teacher, where the runs' is a part of your own: named again"
  )


@dataclasses.dataclass(frozen=True)
class StudyConfig:
  """A controlled comparison after finished searches."""

  job: str = key("study", sections.JOB)
  study: str = key("random", "which one: the name after the colon")
  seed: int = key(0, "first of the trainings' seeds; of the random pairs")
  runs: tuple[str, ...] = key(
    ("runs/digits",), "directories of finished searches"
  )
  members: tuple[str | int | float, ...] = key(
    (),
    "their names or budgets; none for all, in `averaging` for the largest that"
    " has a teacher",
  )
  seeds: int = key(3, "trainings of each network", least=1)
  epochs: int = key(
    0, "of a training; 0 for as long as the members", "epochs", least=0
  )
  space: str = key("", sections.OWN_SPACE)
  data: sections.OwnDataKeys = section(sections.OwnDataKeys)
  training: OwnTeacherKeys = section(OwnTeacherKeys)


@dataclasses.dataclass(frozen=True)
class RandomStudyConfig(StudyConfig):
  """Members against random pairs of architecture and recipe."""

  pairs: int = key(8, "of architecture and recipe for each member", least=1)
