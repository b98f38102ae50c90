"""Differentiable search: FBNet, DMaskingNAS, and between them.

A supernet holds all networks of a space. `theta` has a vector of logits for
each decision; a relaxation of a draw from it gives the choice weights that the
supernet and the cost share (`state`). Epochs train the weights by SGD, then
`theta` by Adam on the cross entropy and the cost together (`step`,
`penalties`). In the end a network is derived from `theta` (`derivation`), and
it is said whether the target was met and whether `theta` has decided
(`verdicts`).
"""

from fbnax.search.dnas.loop import (
  SearchCheckpointing,
  Searched,
  SearchEpoch,
  look,
  problem,
  search,
  start,
)

__all__ = [
  "SearchCheckpointing",
  "SearchEpoch",
  "Searched",
  "look",
  "problem",
  "search",
  "start",
]
