"""Flax Linen modules."""

from fbnax.models.graph_predictor import GraphPredictor
from fbnax.models.initial import initialize
from fbnax.models.nasbench201 import CellNet, CellSupernet, extract_cell
from fbnax.models.network import Network, Supernet, extract, one_hot
from fbnax.models.weights import compare_weights, load_weights, save_weights

__all__ = [
  "CellNet",
  "CellSupernet",
  "GraphPredictor",
  "Network",
  "Supernet",
  "compare_weights",
  "extract",
  "extract_cell",
  "initialize",
  "load_weights",
  "one_hot",
  "save_weights",
]
