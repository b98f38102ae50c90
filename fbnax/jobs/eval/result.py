"""The schema of `result.json` (version 1) of the job `eval`."""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import (
  JobResult,
  Mistake,
  Scores,
  check_scores,
  check_share,
)


@dataclasses.dataclass(frozen=True)
class EvalResult(JobResult):
  """How well a finished model does on a split of a data set.

  Attributes:
    model: its directory.
    split: the split.
    images: in it.
    accuracy: a fraction of 1.
    log_loss: in nats.
    class_names: of the model.
    scores: beyond accuracy; threshold and temperature are those of the model's
      card.
    mistakes: images that it takes for another class.
    macs: of the model.
    params: of the model.
  """

  model: str = ""
  split: str = ""
  images: int | None = None
  accuracy: float | None = None
  log_loss: float | None = None
  class_names: tuple[str, ...] = ()
  scores: Scores = dataclasses.field(default_factory=Scores)
  mistakes: tuple[Mistake, ...] = ()
  macs: int | None = None
  params: int | None = None

  def check(self) -> None:
    """Raises a ValueError where a value is none that can be measured."""
    check_share("accuracy", self.accuracy)
    check_scores("", self.scores, self.mistakes)
