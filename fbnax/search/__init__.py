"""Searching: which architectures and recipes are best within a budget.

How Neural Architecture-Recipe Search works (`nars`, `evolution`, and the job
`fbnax.jobs.nars.job`):

1. A pool of 20,000 Sobol points of the space. A two-headed MLP learns to
   predict their MACs and parameters, which cost nothing.
2. Rounds. Within each bin of the MAC range the candidate with the best
   predicted accuracy is trained, plus half a deviation of the ensemble, so that
   what is little known is tried (the paper has no ensemble). `trials.sqlite`
   records what comes of it, and the predictor learns from it. After the first
   round the epoch is found from which on the ranking agrees with the final one
   (rank correlation 0.92); later candidates stop there. Architectures are
   choice weights over one supernet and recipes are numbers, so candidates share
   programs. Masks cost the space's largest network, though: on a CPU, where
   candidates are trained one after the other, those whose trainings take longer
   than a compilation get a program for their own part of the space
   (`grouping`).
3. An adaptive genetic algorithm, one program for all budgets, finds the
   architecture and recipe with the best predicted accuracy under each budget
   (90 to 100% of it). It takes a deviation of the ensemble off, so that it does
   not climb where the predictor only guesses.
4. The members are trained on all training images, the largest first; it teaches
   the others (0.8 distillation, 0.2 cross entropy). The test images are used
   once, then.

The validation images of the search are held out of the training images; nothing
uses the test images before the end.

Beside it: `dnas` (differentiable search), `multi_objective` (NSGA-II as one
program), `rewards` (MnasNet's ratio power, MONAS's weighted sum and an
indicator, over any evaluator), `space_choice` (TinyNAS), `modules` and
`construction` (AutoBuild), `latency_learning` (ChamNet).
"""

from fbnax.search.budgets import Budget, CostRange, cost_range, stacked
from fbnax.search.evolution.evolution import Evolution, evolve
from fbnax.search.evolution.multi_objective import evolve_front
from fbnax.search.evolution.variation import Rates
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
