"""The schema of `result.json` (version 1) of the job `evolve`."""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.base import cost_kinds
from fbnax.report.schema import JobResult, Numbers, left_out
from fbnax.spaces import Architecture


@dataclasses.dataclass(frozen=True)
@cost_kinds.fields(cost_kinds.FURTHER, "float | None", lambda _: left_out())
class PredictedNetwork:
  """A network under a budget.

  Every other cost that its budget limits is a field too. One that inherits
  weights has a model's directory and what it does on the test images.
  """

  name: str = ""
  budget: dict[str, Numbers | None] = dataclasses.field(default_factory=dict)
  predicted: float | None = None
  macs: int | None = None
  params: int | None = None
  genotype: tuple[int, ...] = ()
  architecture: Architecture | None = None
  recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
  checkpoint: str | None = left_out()
  test_accuracy: float | None = left_out()
  test_log_loss: float | None = left_out()


@dataclasses.dataclass(frozen=True)
class EvolveResult(JobResult):
  """The best predicted networks of a finished search under new budgets."""

  run: str = ""
  candidates: tuple[PredictedNetwork, ...] = ()
