"""Searching: which architectures and recipes are best within a budget."""

from fbnax.search.budgets import Budget, CostRange, cost_range, stacked
from fbnax.search.evolution import Evolution, evolve
from fbnax.search.multi_objective import evolve_front
from fbnax.search.pareto import hypervolume, pareto_front
from fbnax.search.selection import EarlyStop, early_stop_epoch, select_by_bins
from fbnax.search.space_choice import choose_space, cut_spaces, scaled_spaces
from fbnax.search.variation import Rates

__all__ = [
  "Budget",
  "CostRange",
  "EarlyStop",
  "Evolution",
  "Rates",
  "choose_space",
  "cost_range",
  "cut_spaces",
  "early_stop_epoch",
  "evolve",
  "evolve_front",
  "hypervolume",
  "pareto_front",
  "scaled_spaces",
  "select_by_bins",
  "stacked",
]
