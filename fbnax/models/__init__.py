"""Flax Linen modules."""

from fbnax.models.graph_predictor import GraphPredictor
from fbnax.models.initial import initialize
from fbnax.models.nasbench201 import CellNet, CellSupernet, extract_cell
from fbnax.models.network import Network, Supernet, extract, one_hot

__all__ = [
  "CellNet",
  "CellSupernet",
  "GraphPredictor",
  "Network",
  "Supernet",
  "extract",
  "extract_cell",
  "initialize",
  "one_hot",
]
