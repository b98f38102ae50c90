"""What a network costs: multiply-accumulates and parameters."""

from fbnax.costs.batch import batch, expected
from fbnax.costs.count import Costs, count, layers, published
from fbnax.costs.latency import LatencyTable
from fbnax.costs.latency_fit import fit_table
from fbnax.costs.layer import LayerCost
from fbnax.costs.memory import batch_peak_memory, peak_memory

__all__ = [
  "Costs",
  "LatencyTable",
  "LayerCost",
  "batch",
  "batch_peak_memory",
  "count",
  "expected",
  "fit_table",
  "layers",
  "peak_memory",
  "published",
]
