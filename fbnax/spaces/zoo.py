"""The published networks, as architectures.

All networks of mobile-vision's FBNet, FBNetV2 and FBNetV3 but FBNetV3_20G,
whose depthwise convolutions are dense within groups; the baseline of Wan 2022
(Table 4.10) as `fbnetv2_l3`; timm's versions of four, and its MobileNets,
MNASNets and EfficientNets. The definitions are in `zoo_*.py`, those of the
FBNets in the notation of `zoo_notation.py`.

What was published about them counts weights of convolutions and linear layers
only, and among the MACs the input elements of every average pool.
"""

from __future__ import annotations

import dataclasses
import functools

from fbnax.base.names import nearest
from fbnax.spaces import (
  zoo_families,
  zoo_fbnet,
  zoo_fbnetv2,
  zoo_fbnetv3,
  zoo_timm,
)
from fbnax.spaces.architecture import Architecture


@dataclasses.dataclass(frozen=True)
class Published:
  """What was published about a network; None where nothing was.

  Attributes:
    top1: ImageNet top-1 accuracy, percent.
    mega_macs: 10^6 multiply-accumulates for one image, published counting.
    mega_params: 10^6 parameters, published counting.
  """

  top1: float | None = None
  mega_macs: float | None = None
  mega_params: float | None = None


_PUBLISHED = {
  "fbnet_a": Published(73.298, 244.52636, 4.27029),
  "fbnet_b": Published(74.5441, 291.10164, 4.76667),
  "fbnet_c": Published(75.2499, 378.23344, 5.52542),
  "fbnet_96": Published(50.4),  # Its counts are from another counter.
  "fbnetv2_f1": Published(68.278, 56.41056, 5.999408),
  "fbnetv2_f2": Published(70.9759, 85.441392, 5.999408),
  "fbnetv2_f3": Published(73.0319, 121.824, 6.899504),
  "fbnetv2_f4": Published(75.818, 238.351984, 6.994824),
  "fbnetv2_l1": Published(77.038, 326.023008, 8.49652),
  "fbnetv2_l2": Published(78.2429, 423.912768, 8.49652),
  "fbnetv2_l3": Published(79.1),
  "fbnetv3_a": Published(79.574, 356.59828, 8.542224),
  "fbnetv3_b": Published(80.206, 461.550136, 8.542224),
  "fbnetv3_c": Published(80.826, 556.969904, 9.907136),
  "fbnetv3_d": Published(81.042, 644.420352, 10.237552),
  "fbnetv3_e": Published(81.254, 762.046336, 10.699464),
  "fbnetv3_f": Published(82.062, 1181.64452, 13.803072),
  "fbnetv3_g": Published(82.794, 2129.656384, 16.513648),
  "dmasking_f1": Published(68.33, 56.27495, 5.99297),
  "dmasking_f4": Published(75.5238, 235.88279, 6.99169),
  "dmasking_l2_hs": Published(77.6631, 419.06478, 8.49286),
  "dmasking_l3": Published(78.8668, 753.163968, 9.39406),
}


@functools.cache
def _networks() -> dict[str, Architecture]:
  return {
    **zoo_fbnet.networks(),
    **zoo_fbnetv2.networks(),
    **zoo_fbnetv3.networks(),
    **zoo_timm.networks(),
    **zoo_families.networks(),
  }


def names() -> tuple[str, ...]:
  """The names that `get` knows."""
  return tuple(sorted(_networks()))


def get(name: str) -> Architecture:
  """The published network of that name.

  Raises:
    ValueError: there is none; the nearest names are given.
  """
  networks = _networks()
  if name not in networks:
    near = nearest(name, networks)
    raise ValueError(f"no network {name!r}; nearest: {near or list(names())}")
  return networks[name]


def published(name: str) -> Published:
  """What was published about the network of that name.

  Raises:
    ValueError: there is none of that name; the nearest are given.
  """
  get(name)
  return _PUBLISHED.get(name, Published())
