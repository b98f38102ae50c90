"""Flax Linen modules."""

from fbnax.models.layers import initialize
from fbnax.models.network import Network, Supernet, extract, one_hot

__all__ = ["Network", "Supernet", "extract", "initialize", "one_hot"]
