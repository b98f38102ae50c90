"""Multiply-accumulates and parameters of one architecture, exact."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from fbnax.costs import resnet
from fbnax.costs.formulas import rows, walk
from fbnax.costs.layer import LayerCost
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import constant
from fbnax.spaces.resnet import ResNet


class Costs(NamedTuple):
  """What a network costs for one image.

  Attributes:
    macs: multiply-accumulates.
    params: parameters.
  """

  macs: Any
  params: Any


def count(
  architecture: Architecture | CellNetwork | ResNet, num_classes: int = 1000
) -> Costs:
  """MACs of convolutions and linear layers, and every trainable number.

  Exact integers; biases and BN count as parameters and cost no MACs.
  """
  listed = layers(architecture, num_classes)
  return Costs(sum(r.macs for r in listed), sum(r.params for r in listed))


@functools.lru_cache(maxsize=4096)
def layers(
  architecture: Architecture | CellNetwork | ResNet, num_classes: int = 1000
) -> tuple[LayerCost, ...]:
  """All convolutions and linear layers in call order; they sum to `count`.

  A network of cells, and a residual one whose blocks begin with BN, also list
  the BN in front of the pool, which follows no convolution.
  """
  if isinstance(architecture, ResNet):
    return tuple(resnet.walk(architecture, num_classes))
  return tuple(rows(architecture, constant, num_classes))


def published(
  architecture: Architecture | CellNetwork | ResNet, num_classes: int = 1000
) -> Costs:
  """Costs as the publications count them.

  FBNet's: MACs of convolutions and linear layers plus the input elements of
  every average pool, and weights alone as parameters, without biases and BN.
  NAS-Bench-201's and those of residual networks: as `count` does.
  """
  if isinstance(architecture, CellNetwork | ResNet):
    return count(architecture, num_classes)
  listed, pooled = walk(architecture, constant, num_classes)
  return Costs(
    sum(r.macs for r in listed) + pooled, sum(r.weights for r in listed)
  )
