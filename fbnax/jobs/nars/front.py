"""The front of a finished search: the best network for any budget.

The members' evolution again, by the same program, for budgets that are spread
over the range in which the search has trials, each cost by itself. What is best
under a budget is then taken from all that is known: what evolution gave for any
of them, the members and the trials. So a larger budget never has a worse
network.

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

from fbnax.base.cost_kinds import ALWAYS, COST_KINDS
from fbnax.costs.table import Context, cost
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.runtime import inputs, sections
from fbnax.jobs.runtime.families import best_first, member_name
from fbnax.report.front_schema import Front, FrontLine, FrontNetwork, FrontStop
from fbnax.report.schema import TrialRow
from fbnax.search import evolution
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
    for name in COST_KINDS
    if (stops := settled["lines"].get(name))
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
  exact = functools.partial(_exact, config, space, classes, budgets)
  before = exact(tried)
  known = {name: [costs[name] for costs in before] for name in before[0]}
  limits = {name: _limits(values) for name, values in known.items()}
  limits = {name: values for name, values in limits.items() if len(values) > 1}
  highest = {name: _ROOM * max(values) for name, values in known.items()}
  evolved = _evolve(
    config, space, classes, len(budgets), model, tried, limits, highest
  )
  genotypes = np.unique(np.concatenate([tried, members, evolved]), axis=0)
  predicted = predictor.predict(model, jnp.asarray(genotypes))
  means, deviations = (np.asarray(part, np.float64) for part in predicted)
  scores = means - config.search.caution * deviations
  told = exact(genotypes)
  lines = {
    name: _best_within(
      values, np.asarray([row[name] for row in told]), scores, means
    )
    for name, values in limits.items()
  }
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


def _best_within(
  limits: Sequence[float],
  costs: np.ndarray,
  scores: np.ndarray,
  means: np.ndarray,
) -> list[tuple[float, int]]:
  """Each limit with its network, of the best score; of equal ones the cheapest.

  Neither the score nor the prediction falls from one limit to the next: a
  reader sees the prediction, and a search that is cautious would give up a
  little of it for certainty.
  """
  best = np.lexsort((costs, -scores))
  line: list[tuple[float, int]] = []
  least = -math.inf
  for limit in limits:
    place = int(
      next(i for i in best if costs[i] <= limit and means[i] >= least)
    )
    if line and scores[place] < scores[line[-1][1]]:
      place = line[-1][1]
    least = means[place]
    line.append((limit, place))
  return line


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
  size: int,
  model: FittedPredictor,
  tried: np.ndarray,
  limits: Mapping[str, Sequence[float]],
  highest: Mapping[str, float],
) -> np.ndarray:
  """The best of each budget of each cost, `i32[n, D]`.

  As many budgets at a time as there are members, which limit the same costs:
  so it is the members' program, which is compiled already. No network costs
  more than all trials do, in any cost, since of such ones the predictor has
  seen none; and each budget has a trial within it to start from.
  """
  table = inputs.latency_table(config)
  free = {name: (0.0, most) for name, most in highest.items()}
  wanted = [
    Budget(**(free | {name: (0.0, limit)}))
    for name, values in limits.items()
    for limit in values
  ]
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
      **vars(config.evolution),
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
  that have learned ranks, are read off the better half of the trials, by the
  straight line between the log-odds of what was learned (or is predicted, for
  ranks) and of the accuracy.
  """
  search = config.search
  if search.signal == "accuracy" and not search.ranks:
    return lambda predictions: np.clip(predictions, 0.0, 1.0)
  labelled = [
    (t.genotype, t.label, accuracy)
    for t in trials
    if t.label is not None
    and t.curve
    and (accuracy := t.curve[min(epochs, len(t.curve)) - 1]) is not None
  ]
  x = np.asarray([label for _, label, _ in labelled], np.float64)
  if search.ranks:
    genotypes = jnp.asarray([genotype for genotype, *_ in labelled], jnp.int32)
    x = np.asarray(predictor.predict(model, genotypes).score, np.float64)
  x = _log_odds(x)
  y = _log_odds(np.asarray([accuracy for *_, accuracy in labelled]))
  better = x >= np.median(x)
  x, y = x[better], y[better]
  spread = ((x - x.mean()) ** 2).sum()
  slope = ((x - x.mean()) * (y - y.mean())).sum() / (spread or 1.0)
  slope = max(float(slope), 0.0)
  offset = float(y.mean() - slope * x.mean())
  return lambda predictions: (
    1.0 / (1.0 + np.exp(-(offset + slope * _log_odds(predictions))))
  )


def _log_odds(shares: np.ndarray) -> np.ndarray:
  """Those of none, or of all, are taken for those of one in 1,000, or not."""
  inside = np.clip(shares, 1e-3, 1.0 - 1e-3)
  odds: np.ndarray = np.log(inside / (1.0 - inside))
  return odds


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
