"""What can be built: decisions, genotypes, architectures, recipes, spaces."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable

from fbnax.spaces import fbnetv3, small, zoo
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import Decision, SearchSpace, follow

SPACES: dict[str, Callable[[], SearchSpace]] = {
  "fbnetv3": fbnetv3.space,
  "small": small.space,
}


def names() -> tuple[str, ...]:
  """The names that `get` knows."""
  return tuple(sorted(SPACES))


@functools.cache
def get(name: str) -> SearchSpace:
  """The search space of that name.

  Raises:
    ValueError: there is none; the nearest names are given.
  """
  if name not in SPACES:
    near = difflib.get_close_matches(name, SPACES, 3, 0.4)
    raise ValueError(f"no space {name!r}; nearest: {near or list(names())}")
  return SPACES[name]()


__all__ = [
  "Architecture",
  "Block",
  "Decision",
  "Head",
  "Recipe",
  "SearchSpace",
  "Stem",
  "follow",
  "get",
  "names",
  "zoo",
]
