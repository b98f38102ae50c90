"""The module of a network that is given as data."""

from __future__ import annotations

from typing import Any

from fbnax.models.network import Network
from fbnax.models.resnet import ResNet
from fbnax.spaces import resnet
from fbnax.spaces.architecture import Architecture

# A line for each kind of network; its module takes it and a number of classes.
MODULES: dict[type, Any] = {Architecture: Network, resnet.ResNet: ResNet}


def build(architecture: Architecture | resnet.ResNet, num_classes: int) -> Any:
  """The module of a network, called as all modules here are.

  Its attributes `architecture` and `num_classes` are the arguments.

  Raises:
    ValueError: it is no network that has a module.
  """
  kind = type(architecture)
  if kind not in MODULES:
    legal = ", ".join(k.__name__ for k in MODULES)
    raise ValueError(f"architecture is a {kind.__name__}; legal: {legal}")
  return MODULES[kind](architecture, num_classes)
