"""Multiply-accumulates and parameters of one architecture, exact."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from fbnax.costs.formulas import rows, walk
from fbnax.costs.layer import LayerCost
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import constant


class Costs(NamedTuple):
  """What a network costs for one image.

  Attributes:
    macs: multiply-accumulates.
    params: parameters.
  """

  macs: Any
  params: Any


def count(
  architecture: Architecture | CellNetwork, num_classes: int = 1000
) -> Costs:
  """MACs of convolutions and linear layers, and every trainable number.

  Exact integers; biases and BN count as parameters and cost no MACs.
  """
  found = layers(architecture, num_classes)
  return Costs(sum(r.macs for r in found), sum(r.params for r in found))


@functools.lru_cache(maxsize=4096)
def layers(
  architecture: Architecture | CellNetwork, num_classes: int = 1000
) -> tuple[LayerCost, ...]:
  """All convolutions and linear layers in call order; they sum to `count`.

  A network of cells also lists the BN in front of its head, which follows no
  convolution.
  """
  return tuple(rows(architecture, constant, num_classes))


def published(
  architecture: Architecture | CellNetwork, num_classes: int = 1000
) -> Costs:
  """Costs as the publications count them.

  FBNet's: MACs of convolutions and linear layers plus the input elements of
  every average pool, and weights alone as parameters, without biases and BN.
  NAS-Bench-201's: as `count` does.
  """
  if isinstance(architecture, CellNetwork):
    return count(architecture, num_classes)
  found, pooled = walk(architecture, constant, num_classes)
  return Costs(
    sum(r.macs for r in found) + pooled, sum(r.weights for r in found)
  )
