"""What a network costs: operations, parameters, activations, milliseconds.

`count` is exact for one architecture, `published` counts as the papers do,
`batch` costs a population in one program, and `expected` is the cost under
choice weights, with a gradient. `peak_memory` is the most activations that a
network holds at once. A `LatencyTable` comes from `configs/profile.py`, from
`fit_table` (networks that were measured as a whole), from
`configs/latency_predictor.py` (learned from a few), or from one of four
published formats (`python -m fbnax.costs.latency_convert IN.json OUT.json`):

  table = costs.LatencyTable.load("latency.json")
  table.latency(architecture)  # ms
  table.expected(space, weights)  # ms, under choice weights

What can be limited in a budget or paid for in a search is an entry of one table
(`fbnax.base.cost_kinds`) and an object that computes it (`fbnax.costs.table`).
"""

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
