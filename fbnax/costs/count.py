"""Multiply-accumulates and parameters of one architecture, exact."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from fbnax.costs.formulas import LayerCost, walk
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.follow import constant


class Costs(NamedTuple):
  """What a network costs for one image.

  Attributes:
    macs: multiply-accumulates.
    params: parameters.
  """

  macs: Any
  params: Any


def count(architecture: Architecture, num_classes: int = 1000) -> Costs:
  """MACs of convolutions and linear layers, and every trainable number.

  Exact integers; biases and BN count as parameters and cost no MACs.
  """
  rows = layers(architecture, num_classes)
  return Costs(sum(r.macs for r in rows), sum(r.params for r in rows))


@functools.lru_cache(maxsize=4096)
def layers(
  architecture: Architecture, num_classes: int = 1000
) -> tuple[LayerCost, ...]:
  """All convolutions and linear layers in call order; they sum to `count`."""
  return tuple(walk(architecture, constant, num_classes)[0])


def published(architecture: Architecture, num_classes: int = 1000) -> Costs:
  """Costs as the FBNet publications count them.

  MACs of convolutions and linear layers plus the input elements of every
  average pool, and weights alone as parameters, without biases and BN.
  """
  rows, pooled = walk(architecture, constant, num_classes)
  return Costs(sum(r.macs for r in rows) + pooled, sum(r.weights for r in rows))
