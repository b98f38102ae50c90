"""The front of a finished search: the best network for any budget.

The members' evolution again, by the same program, for budgets that are spread
over the range in which the search has trials, each cost by itself. What is best
under a budget is then taken from all that is known: what evolution gave for any
of them, the members and the trials. So a larger budget never has a worse
network, and none is worse than a member that costs less.

Symbols: `n` networks, `D` decisions.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.cost_kinds import ALWAYS
from fbnax.costs.table import Context, cost
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.runtime import inputs, sections
from fbnax.jobs.runtime.families import best_first, member_name
from fbnax.report.front_schema import Front, FrontLine, FrontNetwork, FrontStop
from fbnax.report.schema import TrialRow
from fbnax.search import evolution, prices
from fbnax.search.budgets import Budget, further, stacked
from fbnax.search.nars import predictor
from fbnax.search.nars.predictor import FittedPredictor
from fbnax.search.trials import TrialStore
from fbnax.spaces import SearchSpace

STOPS = 24  # Budgets of each cost.
# A limit above the cheapest trial's cost, so that rounding leaves it inside.
_ROOM = 1.001
_KEY = 4  # Of the evolution; the members' is another.


def of_search(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  model: FittedPredictor,
  trials: Sequence[TrialRow],
  members: np.ndarray,
  store: TrialStore,
  epochs: int,
) -> Front | None:
  """The front; None where the space has one architecture alone.

  It is settled once, as the members are.

  Args:
    config: of the job.
    space: the space.
    classes: outputs of the classifier.
    budgets: of the members; what they limit beside MACs and parameters has
      budgets of its own here.
    model: the fitted predictor.
    trials: what it was fitted to.
    members: genotypes of the members, `i32[n, D]`.
    store: where it is settled.
    epochs: after which the predictor learned the trials' labels.
  """
  if not space.num_architecture_features:
    return None
  settled = store.settled(
    "front",
    functools.partial(
      _settle, config, space, classes, budgets, model, trials, members
    ),
  )
  genotypes = [np.asarray(n["genotype"], np.int32) for n in settled["networks"]]
  expected = _accuracies(config, model, trials, epochs)
  told = _exact(config, space, classes, budgets, genotypes)
  networks = tuple(
    FrontNetwork(
      genotype=tuple(genotype.tolist()),
      **costs,
      **_prediction(network, config.search.caution, expected),
      architecture=space.architecture(genotype),
      recipe=json.loads(space.recipe(genotype).to_json()),
    )
    for genotype, network, costs in zip(
      genotypes, settled["networks"], told, strict=True
    )
  )
  lines = tuple(
    FrontLine(
      name,
      tuple(
        FrontStop(limit, place, _name(space, name, told[place][name]))
        for limit, place in stops
      ),
    )
    for name, stops in settled["lines"].items()
  )
  return Front(networks, lines, epochs, _training(config))


def _settle(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  model: FittedPredictor,
  trials: Sequence[TrialRow],
  members: np.ndarray,
) -> dict[str, Any]:
  """Networks with predictions, and the budgets that each is best of."""
  tried = best_first(trials)
  both = np.unique(np.concatenate([tried, members]), axis=0)
  exact = functools.partial(_exact, config, space, classes, budgets)
  before = exact(both)
  limits = {
    name: _limits([costs[name] for costs in before]) for name in before[0]
  }
  limits = {name: values for name, values in limits.items() if len(values) > 1}
  evolved = _evolve(config, space, classes, budgets, model, tried, limits)
  genotypes = np.unique(np.concatenate([both, evolved]), axis=0)
  predicted = predictor.predict(model, jnp.asarray(genotypes))
  means, deviations = (np.asarray(part, np.float64) for part in predicted)
  scores = means - config.search.caution * deviations
  told = exact(genotypes)
  lines: dict[str, list[tuple[float, int]]] = {}
  for name, values in limits.items():
    costs = np.asarray([row[name] for row in told], np.float64)
    best = np.lexsort((costs, -scores))  # Of equal ones the cheapest.
    lines[name] = [
      (limit, int(next(i for i in best if costs[i] <= limit)))
      for limit in values
    ]
  kept = sorted({i for stops in lines.values() for _, i in stops})
  places = {i: place for place, i in enumerate(kept)}
  return {
    "networks": [
      {
        "genotype": genotypes[i].tolist(),
        "predicted": float(means[i]),
        "deviation": float(deviations[i]),
      }
      for i in kept
    ],
    "lines": {
      name: [[limit, places[i]] for limit, i in stops]
      for name, stops in lines.items()
    },
  }


def _limits(costs: Sequence[float]) -> list[float]:
  """Budgets from the least to the greatest cost, in equal ratios.

  They are rounded up, so that they are numbers that one may say; of a narrow
  range there are fewer. None where all cost the same.
  """
  low, high = min(costs) * _ROOM, max(costs) * _ROOM
  if not 0 < low < high:
    return []
  spread = np.geomspace(low, high, STOPS).tolist()
  return sorted({_rounded_up(limit) for limit in spread})


def _rounded_up(limit: float) -> float:
  """With three digits; counts stay whole."""
  size = 10.0 ** (math.floor(math.log10(limit)) - 2)
  rounded = math.ceil(limit / size) * size
  return float(f"{rounded:.12g}")


def _evolve(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  model: FittedPredictor,
  tried: np.ndarray,
  limits: Mapping[str, Sequence[float]],
) -> np.ndarray:
  """The best of each budget of each cost, `i32[n, D]`.

  As many budgets at a time as there are members, and the same costs limited, if
  only by what no network exceeds: so it is the members' program, which is
  compiled already.
  """
  table = inputs.latency_table(config)
  context = Context(classes, table)
  highest = {
    name: prices.feasible(prices.price_of(name, space, context))[1]
    for name in further(budgets)
  }
  free = {name: (0.0, 2.0 * most) for name, most in highest.items()}
  wanted = [
    Budget(**(free | {name: (0.0, limit)}))
    for name, values in limits.items()
    for limit in values
  ]
  size = len(budgets)
  wanted += wanted[-1:] * (-len(wanted) % size)
  key = jax.random.fold_in(jax.random.key(config.seed), _KEY)
  best = []
  for start in range(0, len(wanted), size):
    result = evolution.evolve(
      jax.random.fold_in(key, start),
      predictor.scorer(model, config.search.caution),
      space,
      stacked(wanted[start : start + size]),
      first_best=tried,
      num_classes=classes,
      table=table,
    )
    best.append(np.asarray(result.genotypes[:, 0]))
  return np.concatenate(best) if best else tried[:0]


def _exact(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  genotypes: Iterable[np.ndarray],
) -> list[dict[str, Any]]:
  """What each costs: MACs, parameters, and what a member's budget limits."""
  context = Context(classes, inputs.latency_table(config))
  names = (*ALWAYS, *further(budgets))
  architectures = [space.architecture(genotype) for genotype in genotypes]
  return [
    {name: cost(name).exact(architecture, context) for name in names}
    for architecture in architectures
  ]


def _prediction(
  network: Mapping[str, float],
  caution: float,
  expected: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Any]:
  """A network's prediction, as what was learned and as accuracy."""
  mean, deviation = network["predicted"], network["deviation"]
  low, middle, high = expected(
    np.asarray([mean - deviation, mean, mean + deviation])
  ).tolist()
  return {
    "predicted": mean,
    "deviation": deviation,
    "score": mean - caution * deviation,
    "accuracy": middle,
    "accuracy_range": (low, high),
  }


def _accuracies(
  config: NarsConfig,
  model: FittedPredictor,
  trials: Sequence[TrialRow],
  epochs: int,
) -> Callable[[np.ndarray], np.ndarray]:
  """What turns predictions into accuracies on validation images.

  Predictions of accuracies are that already. Those of likelihoods, and those
  that have learned ranks, are read off the trials: the accuracies that rise
  with their labels (or predictions, for ranks) and are nearest to what was
  measured (isotonic regression), linear between them, level beyond.
  """
  search = config.search
  if search.signal == "accuracy" and not search.ranks:
    return lambda predictions: np.clip(predictions, 0.0, 1.0)
  from scipy.optimize import isotonic_regression  # Slow to import.

  labelled = [t for t in trials if t.label is not None and t.curve]
  measured = [t.curve[min(epochs, len(t.curve)) - 1] for t in labelled]
  if search.ranks:
    genotypes = jnp.asarray([t.genotype for t in labelled], jnp.int32)
    x = np.asarray(predictor.predict(model, genotypes).score, np.float64)
  else:
    x = np.asarray([t.label for t in labelled], np.float64)
  order = np.argsort(x, kind="stable")
  rising = isotonic_regression(np.asarray(measured, np.float64)[order]).x
  return lambda predictions: np.interp(predictions, x[order], rising)


def _name(space: SearchSpace, kind: str, limit: float) -> str:
  """What `configs/evolve.py` calls the best network within that cost."""
  return f"{member_name(space, Budget(**{kind: (0.0, limit)}))}-1"


def _training(config: NarsConfig) -> dict[str, Any]:
  """Flags of `configs/train.py` that train a network as members are."""
  flags: dict[str, Any] = {"seed": config.seed} if config.seed else {}
  for section, defaults in (
    ("data", sections.SourceKeys()),
    ("training", sections.TrainingKeys()),
  ):
    chosen = getattr(config, section)
    for key, default in vars(defaults).items():
      value = getattr(chosen, key)
      if value != default:
        flags[f"{section}.{key}"] = value
  return flags
