"""Searching: which architectures and recipes are best within a budget.

A package for each method, whose head says how the method works:

* `nars`: architecture and recipe together, from a predictor (FBNetV3);
* `evolution`: genetic algorithms that are one program, under budgets and for
  whole fronts;
* `dnas`: differentiable search (FBNet, DMaskingNAS);
* `autobuild`: what modules are worth, from labelled networks;
* `latency`: a device's latency, from few measured networks;
* `evaluators`: what turns candidates into accuracies;
* `benchmarks`: searches on tables of networks that others have trained.

What they share stands beside them: `budgets` and `prices`, the store of
`trials`, `pareto` fronts, `rewards` (MnasNet's ratio power, MONAS's weighted
sum and an indicator, over any evaluator) and `space_choice` (TinyNAS).
"""

from fbnax.search.budgets import Budget, CostRange, cost_range, stacked
from fbnax.search.evolution import Evolution, Rates, evolve, evolve_front
from fbnax.search.nars.selection import (
  EarlyStop,
  early_stop_epoch,
  select_by_bins,
)
from fbnax.search.pareto import hypervolume, pareto_front
from fbnax.search.space_choice import choose_space, cut_spaces, scaled_spaces

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
