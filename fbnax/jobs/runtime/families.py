"""What jobs with searched networks share: names of members, trials in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from fbnax.base.cost_kinds import COST_KINDS
from fbnax.report.schema import TrialRow
from fbnax.search.budgets import Budget
from fbnax.spaces import SearchSpace

PREDICTOR = "predictor.npz"


def best_first(trials: Iterable[TrialRow]) -> np.ndarray:
  """Genotypes of the trials that did not fail, the best first, `i32[n, D]`."""
  labels = [(t.label, t.genotype) for t in trials if t.label is not None]
  labels.sort(key=lambda row: -row[0])
  return np.asarray([genotype for _, genotype in labels], np.int32)


def member_names(space: SearchSpace, budgets: Sequence[Budget]) -> list[str]:
  """A name for each of different budgets, with digits that tell them apart."""
  names: list[str] = []
  for digits in (3, 6, 17):
    names = [member_name(space, budget, digits) for budget in budgets]
    if len(set(names)) == len(names):
      break
  return names


def member_name(space: SearchSpace, budget: Budget, digits: int = 3) -> str:
  """`small-800k`; `small-800k-90kp-5ms-20ke` where all costs are limited."""
  parts = [space.name]
  for name, (_, limit) in budget.items():
    if math.isfinite(limit):
      parts.append(_short(limit, digits) + COST_KINDS[name].suffix)
  return "-".join(parts)


def _short(number: float, digits: int = 3) -> str:
  for size, letter in ((1e9, "g"), (1e6, "m"), (1e3, "k")):
    if number >= size:
      return f"{number / size:.{digits}g}{letter}"
  return f"{number:.{max(digits, 6)}g}"
