"""Efficiency-aware rewards: accuracy and cost as one number.

What a search is to maximise where a network shall be accurate and cheap: as
many as there are ways to trade. Each is a function of accuracy and cost, and
`rewarded` makes one of any evaluator.

Symbols: `a` accuracy, a share; `c` cost (ms, MACs, …); `t` the cost sought.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from fbnax.search.evaluators import Candidate, Evaluator, Outcome


class Reward(Protocol):
  """A reward of accuracies and costs, arrays of one shape."""

  def __call__(self, accuracy: Any, cost: Any) -> Any:
    """The larger the better."""


def indicator(target: float) -> Reward:
  """`a` where `c <= t`, else 0: all that costs more is worth nothing."""
  _check_target(target)
  return lambda accuracy, cost: np.where(
    np.asarray(cost) <= target, accuracy, 0.0
  )


def ratio_power(
  target: float, exponent: float = -0.07, below: float | None = None
) -> Reward:
  """`a (c / t) ** w` (Tan et al. 2019, "MnasNet", equation 2).

  Args:
    target: `t`.
    exponent: `w` where `c > t`; -0.07 says that twice the cost is worth 5% of
      accuracy. Very small ones, such as -1 with `below` 0, are the paper's
      hard constraint.
    below: `w` where `c <= t`; None is the same.

  Raises:
    ValueError: the target is not above 0, or an exponent is: then cost would be
      worth something.
  """
  _check_target(target)
  lower = exponent if below is None else below
  for name, value in (("exponent", exponent), ("below", lower)):
    if not value <= 0:
      raise ValueError(f"{name} is {value!r}; legal: at most 0")

  def reward(accuracy: Any, cost: Any) -> Any:
    ratio = np.asarray(cost) / target
    return accuracy * ratio ** np.where(ratio > 1, exponent, lower)

  return reward


def weighted_sum(target: float, weight: float = 0.5) -> Reward:
  """`w a + (1 - w) (t - c) / t` (Hsu et al. 2018, "MONAS").

  The saving is divided by the target, so that it is a share as accuracy is.

  Args:
    target: `t`.
    weight: `w`, of accuracy.

  Raises:
    ValueError: the target is not above 0, or the weight no share.
  """
  _check_target(target)
  if not 0 <= weight <= 1:
    raise ValueError(f"weight is {weight!r}; legal: from 0 to 1")
  return lambda accuracy, cost: (
    weight * accuracy + (1 - weight) * (target - np.asarray(cost)) / target
  )


REWARDS: dict[str, Callable[..., Reward]] = {
  "indicator": indicator,
  "ratio_power": ratio_power,
  "weighted_sum": weighted_sum,
}


def rewarded(
  evaluate: Evaluator, cost: Callable[[np.ndarray], np.ndarray], reward: Reward
) -> Evaluator:
  """An evaluator whose curves are rewards instead of accuracies.

  Searches that maximise accuracy (`benchmarks.baselines`) then maximise the
  reward; what is no number any more where accuracies must be shares (the job
  `nars`) is refused there.

  Args:
    evaluate: gives accuracies.
    cost: of genotypes `i32[n, D]`, `f64[n]`.
    reward: of both.
  """

  def evaluate_reward(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    genotypes = np.asarray([c.genotype for c in candidates], np.int32)
    values = np.asarray(cost(genotypes), np.float64) if len(genotypes) else ()
    costs = {c.id: v for c, v in zip(candidates, values, strict=True)}
    for outcomes in evaluate(candidates, epochs, progress, ended):
      yield [
        outcome
        if outcome.error
        else outcome._replace(
          curve=tuple(
            float(v)
            for v in reward(np.asarray(outcome.curve), costs[outcome.id])
          )
        )
        for outcome in outcomes
      ]

  return evaluate_reward


def _check_target(target: float) -> None:
  if not target > 0:
    raise ValueError(f"target is {target!r}; legal: above 0")
