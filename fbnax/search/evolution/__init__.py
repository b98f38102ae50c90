"""Genetic algorithms, each one program for whole populations.

`evolve` seeks the best score within each of many budgets: parents cross and
mutate the less the better they are (`variation`), children are made to fit
their budget, and the best survive, each once (`budgeted`). `evolve_front` seeks
a whole front of objectives by NSGA-II (`multi_objective`).
"""

from fbnax.search.evolution.budgeted import Evolution, evolve
from fbnax.search.evolution.multi_objective import evolve_front
from fbnax.search.evolution.variation import Rates

__all__ = ["Evolution", "Rates", "evolve", "evolve_front"]
