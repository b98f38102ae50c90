"""What can be built: decisions, genotypes, architectures, recipes, spaces."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fbnax.base.json_values import shown
from fbnax.base.names import nearest
from fbnax.spaces import (
  cell,
  fbnet,
  fbnetv2,
  fbnetv3,
  mnasnet,
  mobilenetv3,
  nasbench201,
  proxylessnas,
  small,
  small_dnas,
  unet,
  zoo,
)
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.around import Surroundings, around
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.exchange import json_object
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.resnet import KIND as RESNET
from fbnax.spaces.resnet import ResNet
from fbnax.spaces.scaling import for_small_images, scale, scaled_to
from fbnax.spaces.space import Decision, SearchSpace, follow

SPACES: dict[str, Callable[[], SearchSpace]] = {
  "fbnet": fbnet.space,
  "fbnet_cifar": fbnet.cifar_space,
  "fbnetv2_f": fbnetv2.f_space,
  "fbnetv2_l": fbnetv2.l_space,
  "fbnetv2_p": fbnetv2.p_space,
  "fbnetv3": fbnetv3.space,
  "fbnetv3_cifar": fbnetv3.cifar_space,
  "mnasnet": mnasnet.space,
  "mobilenetv3": mobilenetv3.space,
  "nasbench201": nasbench201.space,
  "proxylessnas": proxylessnas.space,
  "small": small.space,
  "small_dnas": small_dnas.space,
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
    near = nearest(name, SPACES)
    raise ValueError(f"no space {name!r}; nearest: {near or list(names())}")
  return SPACES[name]()


def from_json(text: str) -> Architecture | CellNetwork | ResNet:
  """The network that `to_json` of any kind wrote.

  Raises:
    ValueError: the text is none, or its values are not legal; the key is
      named.
  """
  kind = json_object(text, "network").get("kind")
  if kind is None:
    return Architecture.from_json(text)
  if kind == RESNET:
    return ResNet.from_json(text)
  if kind != cell.KIND:
    raise ValueError(
      f"kind is {shown(kind)}; legal: {cell.KIND!r}, {RESNET!r}, or none for"
      " an architecture"
    )
  return CellNetwork.from_json(text)


__all__ = [
  "Architecture",
  "Block",
  "CellNetwork",
  "Decision",
  "Head",
  "Recipe",
  "ResNet",
  "SearchSpace",
  "Stem",
  "Surroundings",
  "around",
  "follow",
  "for_small_images",
  "from_json",
  "get",
  "names",
  "scale",
  "scaled_to",
  "unet",
  "zoo",
]
