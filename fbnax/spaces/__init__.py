"""What can be built: decisions, genotypes, architectures, recipes, spaces."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable

from fbnax.spaces import cell, fbnetv3, mnasnet, nasbench201, small, zoo
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.exchange import json_object
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.scaling import scale, scaled_to
from fbnax.spaces.space import Decision, SearchSpace, follow

SPACES: dict[str, Callable[[], SearchSpace]] = {
  "fbnetv3": fbnetv3.space,
  "fbnetv3_cifar": fbnetv3.cifar_space,
  "mnasnet": mnasnet.space,
  "nasbench201": nasbench201.space,
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


def from_json(text: str) -> Architecture | CellNetwork:
  """The network that `to_json` of either kind wrote.

  Raises:
    ValueError: the text is neither, or its values are not legal; the key is
      named.
  """
  kind = json_object(text, "network").get("kind")
  if kind is None:
    return Architecture.from_json(text)
  if kind != cell.KIND:
    raise ValueError(
      f"kind is {kind!r}; legal: {cell.KIND!r}, or none for an architecture"
    )
  return CellNetwork.from_json(text)


__all__ = [
  "Architecture",
  "Block",
  "CellNetwork",
  "Decision",
  "Head",
  "Recipe",
  "SearchSpace",
  "Stem",
  "follow",
  "from_json",
  "get",
  "names",
  "scale",
  "scaled_to",
  "zoo",
]
