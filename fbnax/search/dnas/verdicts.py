"""What is to be said of a finished differentiable search, in words.

Three things go wrong without an error: the target is missed, `theta` has not
decided, or it has collapsed to skips, which are what lowers the loss fastest
while the weights are young. Many skips can also be right: the published network
for 96 pixels has them. So they are compared with random networks of the same
cost, and not forbidden.

Symbols: `n` genotypes, `D` decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fbnax.search.prices import Price
from fbnax.spaces import SearchSpace
from fbnax.spaces.follow import Follow
from fbnax.spaces.tables import blocks_of

# More skips than all but one in a hundred random networks are too many.
RARE = 0.01
# A mean entropy above this share of the largest says that nothing was decided.
UNDECIDED = 0.75


def searched_skips(space: SearchSpace) -> dict[str, int]:
  """Decisions between types of which one is a skip, with its index."""
  skips = {}
  for block in blocks_of(space.table).values():
    if isinstance(block.op, Follow) and "skip" in block.op.values:
      skips[block.op.decision] = block.op.values.index("skip")
  return skips


def count_skips(space: SearchSpace, genotypes: Any) -> np.ndarray:
  """How many searched layers of each genotype are skips, `i64[n]`.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.
  """
  genotypes = np.asarray(genotypes)
  total = np.zeros(len(genotypes), np.int64)
  skips = searched_skips(space)
  for i, decision in enumerate(space.decisions):
    if decision.name in skips:
      total += genotypes[:, i] == skips[decision.name]
  return total


def target_words(
  price: Price, cost: float, target: float, tolerance: float
) -> str:
  """Whether the target was met; empty without a target."""
  if target <= 0:
    return ""
  gap = cost / target - 1.0
  asked = (
    f"asked for {price.show(target)}, derived {price.show(cost)}, "
    f"{abs(gap):.1%} {'above' if gap > 0 else 'below'}"
  )
  if abs(gap) <= tolerance:
    return f"Target met: {asked}."
  return (
    f"Target missed: {asked}, more than the {tolerance:.0%} allowed. A larger "
    "search.omega, more epochs, or search.derivation=sample, which draws "
    "networks near the target, may meet it."
  )


def skip_words(space: SearchSpace, genotype: Any, random: Any) -> str:
  """How many skips there are, and whether that is a collapse.

  Args:
    space: the space.
    genotype: that was derived, `i32[D]`.
    random: random networks of the same cost, `i32[n, D]`.

  Returns:
    A sentence or two; empty where no layer can be skipped.
  """
  layers = len(searched_skips(space))
  if not layers:
    return ""
  count = int(count_skips(space, np.asarray(genotype)[None])[0])
  words = f"{count} of {layers} searched layers are skips"
  if not len(random):
    return f"{words}; no random network of the same cost was found."
  others = count_skips(space, random)
  words += (
    f"; {len(others)} random networks of the same cost have "
    f"{others.mean():.1f} on average, {others.min()} to {others.max()}"
  )
  if count and float((others >= count).mean()) < RARE:
    return (
      f"Collapse to skips: {words}. More than {1 - RARE:.0%} of them have "
      "fewer. Their accuracy says whether that is right."
    )
  return f"No collapse to skips: {words}."


def entropy_words(entropies: Sequence[float], choices: Sequence[int]) -> str:
  """Whether `theta` has decided; empty where it has.

  Args:
    entropies: of each decision, as a share of the largest.
    choices: of each decision.
  """
  searched = [e for e, k in zip(entropies, choices, strict=True) if k > 1]
  if not searched or float(np.mean(searched)) <= UNDECIDED:
    return ""
  return (
    f"Undecided: the mean entropy of theta is {np.mean(searched):.0%} of its "
    "largest. The most likely network is then hardly likelier than others; "
    "more epochs, or a larger search.theta_learning_rate, would decide more."
  )
