"""What a network costs: multiply-accumulates and parameters."""

from fbnax.costs.batch import batch, expected
from fbnax.costs.count import Costs, count, layers, published
from fbnax.costs.layer import LayerCost

__all__ = [
  "Costs",
  "LayerCost",
  "batch",
  "count",
  "expected",
  "layers",
  "published",
]
