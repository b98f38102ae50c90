"""Choosing the label expression for a region of the front.

AutoBuild's authors write their expressions by hand and name their choice as the
open problem (Mills et al. 2024, sections 5.1 and 7.7). Here a label of the
family

  accuracy - w log(cost)

is chosen: networks that maximise it lie where the front, over the logarithm of
the cost, has the slope w. A larger w moves them towards cheaper networks, so
the w for a wanted cost is found by bisection.

Two places are looked at. The labelled networks that the label ranks highest
say where it points among what is known. But a construction goes beyond them:
additive models of accuracy and cost say where the best network under the label
is, stage by stage, which is where the modules will lie. The second is taken.

Symbols: `n` networks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.search.autobuild import additive, modules
from fbnax.spaces import SearchSpace

STEPS = 40  # Of the bisection.
RANGE = 8.0


class LabelChoice(NamedTuple):
  """A chosen expression.

  Attributes:
    expression: of the columns' names.
    weight: `w`.
    cost: where the additive models say that its best network is.
    reached: whether that is within a tenth of what was wanted; it is not where
      the front has no such slope.
  """

  expression: str
  weight: float
  cost: float
  reached: bool


def choose(
  space: SearchSpace,
  genotypes: np.ndarray,
  accuracy: np.ndarray,
  cost: np.ndarray,
  target: float,
  *,
  accuracy_name: str = "acc",
  cost_name: str = "cost",
) -> LabelChoice:
  """The expression whose best networks cost what is wanted.

  Args:
    space: the space.
    genotypes: labelled networks, `i32[n, D]`.
    accuracy: of each, `[n]`.
    cost: of each, above 0, `[n]`.
    target: the cost around which networks are sought.
    accuracy_name: the column of accuracy in the expression.
    cost_name: the column of cost in it.

  Raises:
    ValueError: a cost is not above 0, or what is wanted is outside the costs of
      the labelled networks.
  """
  cost = np.asarray(cost, np.float64)
  wrong = np.flatnonzero(~(cost > 0))
  if len(wrong):
    raise ValueError(
      f"{cost_name} is {cost[wrong[0]]} in row {wrong[0]}; legal: above 0"
    )
  if not cost.min() <= target <= cost.max():
    raise ValueError(
      f"the wanted {cost_name} is {target!r}; legal: from {cost.min():g} to "
      f"{cost.max():g}, where there are labelled networks"
    )
  of_accuracy = additive.fit(space, genotypes, accuracy)
  of_cost = additive.fit(space, genotypes, np.log(cost))
  options = _options(space, of_accuracy, of_cost)
  spread = float(np.std(accuracy)) / max(float(np.std(np.log(cost))), 1e-12)
  low, high = -RANGE, RANGE  # Powers of two, times the ratio of the spreads.
  costs: dict[float, float] = {}
  for _ in range(STEPS):
    middle = (low + high) / 2
    weight = spread * 2**middle
    best = [logs[np.argmax(a - weight * logs)] for a, logs in options]
    costs[weight] = math.exp(sum(best) + float(of_cost.mean))
    if costs[weight] > target:
      low = middle
    else:
      high = middle
  weight = min(costs, key=lambda w: abs(math.log(costs[w] / target)))
  shown = float(f"{weight:.4g}")
  return LabelChoice(
    f"{accuracy_name} - {shown!r} * log({cost_name})",
    shown,
    costs[weight],
    abs(costs[weight] / target - 1) < 0.1,
  )


def _options(
  space: SearchSpace,
  of_accuracy: additive.Additive,
  of_cost: additive.Additive,
) -> list[tuple[np.ndarray, np.ndarray]]:
  """What parts of a network add: accuracies and logarithms of costs.

  A part is a stage, with its modules, or a decision that is no stage's, with
  its values: each adds what it adds whatever the others are.
  """
  widths = space.choices
  parts: list[tuple[tuple[int, ...], np.ndarray]] = [
    (stage.decisions, stage.modules) for stage in modules.stages(space)
  ]
  taken = {place for places, _ in parts for place in places}
  parts += [
    ((place,), np.arange(count)[:, None])
    for place, count in enumerate(widths)
    if place not in taken
  ]
  options = []
  for places, choices in parts:
    genotypes = modules.placed(space, places, choices)
    of_part = np.repeat(np.isin(np.arange(len(widths)), places), widths)
    design = np.asarray(additive.columns(space, jnp.asarray(genotypes)))[
      :, of_part
    ]
    of_both = [
      design @ np.asarray(model.weights, np.float64)[of_part]
      for model in (of_accuracy, of_cost)
    ]
    options.append((of_both[0], of_both[1]))
  return options
