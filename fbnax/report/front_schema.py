"""The front of a search in a result: the best network for each budget.

A search trains the members of a few budgets. What it would choose for others is
known as well once its predictor is fitted, and is kept for the report's reader.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fbnax.base import cost_kinds
from fbnax.report.schema import Numbers, check_share, left_out
from fbnax.spaces import Architecture


@dataclasses.dataclass(frozen=True)
@cost_kinds.fields(cost_kinds.FURTHER, "float | None", lambda _: left_out())
class FrontNetwork:
  """A network of the front, which need not be trained.

  Every other cost that the search limits is a field too.

  Attributes:
    genotype: in the searched space.
    macs: multiply-accumulates.
    params: parameters.
    predicted: what the predictor's members say on average, in the units of what
      candidates were ranked by.
    deviation: their standard deviation.
    score: what the search chooses by: the one less its caution times the other.
    accuracy: the prediction as accuracy of a candidate on validation images;
      None where it cannot be told.
    accuracy_range: the same of the prediction less and plus its deviation.
    architecture: what to build.
    recipe: how to train it.
  """

  genotype: tuple[int, ...] = ()
  macs: float | None = None
  params: float | None = None
  predicted: float | None = None
  deviation: float | None = None
  score: float | None = None
  accuracy: float | None = None
  accuracy_range: Numbers | None = None
  architecture: Architecture | None = None
  recipe: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FrontStop:
  """One budget: its limit, the place of its network, and the network's name.

  The name is the one that `configs/evolve.py` gives to the network.
  """

  limit: float | None = None
  network: int = 0
  name: str = ""


@dataclasses.dataclass(frozen=True)
class FrontLine:
  """The budgets of one cost, a key of `COST_KINDS`, the smallest first."""

  cost: str = ""
  stops: tuple[FrontStop, ...] = ()


@dataclasses.dataclass(frozen=True)
class Front:
  """The best networks that a search knows, for budgets of each cost.

  A larger budget never has a network of a lower score or prediction.

  Attributes:
    networks: each once, whatever budgets it is the best of.
    lines: one for each cost.
    epochs: training of the candidates whose accuracy is predicted.
    training: keys of `configs/train.py` for a training like the members', where
      they are not as they are by default.
  """

  networks: tuple[FrontNetwork, ...] = ()
  lines: tuple[FrontLine, ...] = ()
  epochs: int | None = None
  training: dict[str, Any] = dataclasses.field(default_factory=dict)

  def check(self) -> None:
    """Raises a ValueError where parts do not fit each other."""
    for i, network in enumerate(self.networks):
      where = f"front.networks[{i}]"
      check_share(f"{where}.accuracy", network.accuracy)
      ends = network.accuracy_range
      if ends is not None and len(ends) != 2:
        raise ValueError(
          f"{where}.accuracy_range must be [low, high], found {list(ends)}"
        )
      for end in ends or ():
        check_share(f"{where}.accuracy_range", end)
    for i, line in enumerate(self.lines):
      where = f"front.lines[{i}]"
      if line.cost not in cost_kinds.COST_KINDS:
        raise ValueError(
          f"{where}.cost must be one of {', '.join(cost_kinds.COST_KINDS)}, "
          f"found {line.cost!r}"
        )
      for j, stop in enumerate(line.stops):
        if not 0 <= stop.network < len(self.networks):
          raise ValueError(
            f"{where}.stops[{j}].network must be one of the "
            f"{len(self.networks)} networks, found {stop.network}"
          )
        for words, value in (
          (f"{where}.stops[{j}].limit", stop.limit),
          (
            f"front.networks[{stop.network}].{line.cost}",
            getattr(self.networks[stop.network], line.cost),
          ),
        ):
          if value is None or value <= 0:
            raise ValueError(f"{words} must be a number above 0, found {value}")
