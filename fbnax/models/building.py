"""The module of a network that is given as data."""

from __future__ import annotations

from typing import Any

from fbnax import costs
from fbnax.base import limits
from fbnax.models.network import Network
from fbnax.models.resnet import ResidualNetwork
from fbnax.spaces import resnet
from fbnax.spaces.architecture import Architecture

# A line for each kind of network; its module takes it and a number of classes.
MODULES: dict[type, Any] = {
  Architecture: Network,
  resnet.ResNet: ResidualNetwork,
}


def build(architecture: Architecture | resnet.ResNet, num_classes: int) -> Any:
  """The module of a network, called as all modules here are.

  Its attributes `architecture` and `num_classes` are the arguments.

  Raises:
    ValueError: it is no network that has a module, or one that takes more
      memory than anyone means.
  """
  kind = type(architecture)
  if kind not in MODULES:
    legal = ", ".join(k.__name__ for k in MODULES)
    raise ValueError(f"architecture is a {kind.__name__}; legal: {legal}")
  _check_size(architecture, num_classes)
  return MODULES[kind](architecture, num_classes)


def _check_size(
  architecture: Architecture | resnet.ResNet, num_classes: int
) -> None:
  """Raises a ValueError where a network is larger than anyone means.

  Its numbers may be legal one by one, and their product ask for terabytes.
  """
  side, channels = architecture.resolution, architecture.input_channels
  rows = costs.layers(architecture, num_classes)
  for what, number, most in (
    ("parameters", sum(row.params for row in rows), limits.PARAMETERS),
    (
      "numbers in one feature map of one image",
      max(side**2 * channels, *(r.h_out * r.w_out * r.c_out for r in rows)),
      limits.FEATURE_MAP,
    ),
  ):
    if number > most:
      raise ValueError(
        f"the architecture has {number:,} {what}; legal: at most {most:,}"
      )
