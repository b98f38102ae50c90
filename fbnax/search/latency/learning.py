"""Latency (or energy) of a device, learned from some measured networks.

After ChamNet's predictors (Dai et al. 2019, "ChamNet", section 3.2): measure a
few networks, learn, and let searches ask the predictor. Three kinds stand to
choose from: additive tables (ridge regression on the parts that a network is
made of; robust, since a measurement may be far off), the multi-layer perceptron
of `fbnax.models.predictor`, and the graph predictor. All learn what
`starts` leaves over: what can be counted, and what other
devices say where any have been measured. The kind with the least error on
measurements that it has not seen is taken.

Every predictor is handed over as a `costs.LatencyTable`, by which all searches
and budgets go: the additive kind is one, of the others it is the table that is
nearest to their predictions on many networks.

  key = jax.random.key(0)
  learned = learning.learn(key, space, genotypes, ms)  # [n, D], [n]
  learned.kind, learned.errors  # of each kind, on what it had not seen
  table = learning.as_table(space, learned.predict)
  table.save("phone.json")  # config.search.table, or config.budgets.table

Symbols: `n` measured networks, `D` decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.ranks import correlations
from fbnax.costs import LatencyTable, fit_table
from fbnax.costs.latency_keys import made_of_blocks, space_keys
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild import additive, graph_fit
from fbnax.search.autobuild.chains import encoding
from fbnax.search.latency import starts
from fbnax.search.latency.starts import MOST_PARTS, Predict
from fbnax.search.nars import predictor
from fbnax.spaces import SearchSpace

KINDS = ("additive", "mlp", "graph")
FEWEST = 4  # Measurements.
FOLDS = 5  # Of few measurements; of more than `FEW` one fifth is held out once.
FEW = 100
STEPS = 600  # Of the graph predictor, however many measurements there are.
_NETWORKS = MOST_PARTS  # On which tables are fitted to predictors.


class Learned(NamedTuple):
  """A predictor of a device's latency.

  Attributes:
    kind: the one that was taken.
    predict: latencies of genotypes, ms.
    errors: of every kind on measurements that it had not seen: the median of
      |predicted - measured| / measured.
    shares: of what was known before, as `starts.start` has them.
  """

  kind: str
  predict: Predict
  errors: dict[str, float]
  shares: dict[str, float]


class LatencyAgreement(NamedTuple):
  """How well predictions tell what was measured.

  Attributes:
    error: median of the relative errors.
    spearman: rank correlation; 0 where one side is constant.
  """

  error: float
  spearman: float


def learn(
  key: jax.Array,
  space: SearchSpace,
  genotypes: np.ndarray,
  latency: np.ndarray,
  *,
  kinds: Sequence[str] = KINDS,
  others: Mapping[str, Predict] | None = None,
) -> Learned:
  """Learns a device's latency by the kind with the least held-out error.

  Args:
    key: typed key.
    space: the space.
    genotypes: measured networks, `i32[n, D]`.
    latency: of each, ms, `[n]`.
    kinds: of `KINDS`, to choose from; of equal ones the first is taken.
    others: what is known of other devices, by name.

  Raises:
    ValueError: fewer than four measurements, one that is not above 0, shapes
      that do not fit, or a kind that there is not.
  """
  genotypes = np.asarray(genotypes, np.int32)
  latency = np.asarray(latency, np.float64)
  _check(space, genotypes, latency, kinds)
  errors = {}
  for kind in kinds:
    errors_held_out: list[np.ndarray] = []
    for train, test in _splits(len(latency)):
      model, _ = fit(key, kind, space, genotypes[train], latency[train], others)
      errors_held_out.append(np.abs(model(genotypes[test]) / latency[test] - 1))
    errors[kind] = float(np.median(np.concatenate(errors_held_out)))
  # NaN, as of a fit that diverged, is worse than any error.
  best = min(kinds, key=lambda kind: np.nan_to_num(errors[kind], nan=np.inf))
  model, shares = fit(key, best, space, genotypes, latency, others)
  return Learned(best, model, errors, shares)


def fit(
  key: jax.Array,
  kind: str,
  space: SearchSpace,
  genotypes: np.ndarray,
  latency: np.ndarray,
  others: Mapping[str, Predict] | None = None,
) -> tuple[Predict, dict[str, float]]:
  """One kind, and the shares of what was known before; arguments as `learn`."""
  explained, shares = starts.start(space, genotypes, latency, others or {})
  rest = latency - explained(genotypes)
  model = _FITS[kind](key, space, genotypes, rest)

  def predict(unseen: np.ndarray) -> np.ndarray:
    unseen = np.asarray(unseen, np.int32)
    latencies: np.ndarray = explained(unseen) + model(unseen)
    return latencies

  return predict, shares


def agreement(predicted: np.ndarray, measured: np.ndarray) -> LatencyAgreement:
  """How well predictions tell what was measured, ms, `[n]` each."""
  error = np.median(np.abs(predicted - measured) / measured)
  return LatencyAgreement(float(error), correlations(predicted, measured)[1])


def check_space(space: SearchSpace) -> None:
  """Raises a ValueError where predictors of the space make no table.

  Its networks are not made of blocks, or of more different parts than can be
  told apart.
  """
  made_of_blocks(space.table)
  count = len(space_keys(space))
  if count > MOST_PARTS:
    raise ValueError(
      f"the networks of space {space.name!r} are made of {count:,} different "
      f"parts; legal: up to {MOST_PARTS:,} for a table that is learned from "
      "whole networks, so fix decisions"
    )


def as_table(
  space: SearchSpace, predict: Predict, *, device: str = ""
) -> LatencyTable:
  """The latency table that is nearest to a predictor on random networks.

  Args:
    space: the space.
    predict: latencies of genotypes.
    device: what the table says of where it was measured.

  Raises:
    ValueError: as `check_space`, or the space has parts that none of the
      networks has.
  """
  check_space(space)
  genotypes = np.asarray(space.sobol(_NETWORKS))
  predicted = np.maximum(predict(genotypes), 0.0)
  return fit_table(
    space,
    genotypes,
    predicted,
    device=device,
    note="of a predictor that was learned from measured networks",
  )


def _check(
  space: SearchSpace,
  genotypes: np.ndarray,
  latency: np.ndarray,
  kinds: Sequence[str],
) -> None:
  shape = (len(latency), len(space.decisions))
  if latency.ndim != 1 or genotypes.shape != shape or shape[0] < FEWEST:
    raise ValueError(
      f"genotypes have shape {genotypes.shape}, latency {latency.shape}; "
      f"legal: [n, {shape[1]}] and [n], n at least {FEWEST}"
    )
  wrong = np.flatnonzero(~(np.isfinite(latency) & (latency > 0)))
  if len(wrong):
    raise ValueError(
      f"latency[{wrong[0]}] is {latency[wrong[0]]}; legal: above 0"
    )
  unknown = [kind for kind in kinds if kind not in KINDS]
  if unknown or not kinds:
    raise ValueError(
      f"kinds has {unknown or 'nothing'}; legal: {', '.join(KINDS)}"
    )


def _splits(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
  """Measurements to learn from and to judge by."""
  order = np.random.default_rng(0).permutation(count)
  folds = [order[i::FOLDS] for i in range(min(FOLDS, count))]
  folds = folds if count <= FEW else folds[:1]
  return [(np.setdiff1d(order, test), test) for test in folds]


def _fit_additive(
  key: jax.Array, space: SearchSpace, genotypes: np.ndarray, rest: np.ndarray
) -> Predict:
  del key  # Nothing is random.
  if starts.has_parts(space):
    regression = additive.robust_ridge(starts.parts(space, genotypes), rest)
    return lambda unseen: (
      starts.parts(space, unseen) @ regression.weights + regression.mean
    )
  model = additive.fit(space, genotypes, rest)
  return lambda unseen: np.asarray(model(jnp.asarray(unseen)), np.float64)


def _fit_mlp(
  key: jax.Array, space: SearchSpace, genotypes: np.ndarray, rest: np.ndarray
) -> Predict:
  model = predictor.fit(key, space, None, genotypes, rest)
  return lambda unseen: np.asarray(
    predictor.predict(model, jnp.asarray(unseen)).score, np.float64
  )


def _fit_graph(
  key: jax.Array, space: SearchSpace, genotypes: np.ndarray, rest: np.ndarray
) -> Predict:
  encoder = encoding(space)
  module = GraphPredictor(encoder.categories, encoder.numbers)
  encode = jax.jit(encoder.encode)
  steps = max(1, len(rest) // graph_fit.GraphSettings().batch_size)
  settings = graph_fit.GraphSettings(
    # A multiple of what runs at once, so that nothing is compiled twice.
    epochs=max(
      graph_fit.EPOCHS_AT_ONCE,
      STEPS // steps // graph_fit.EPOCHS_AT_ONCE * graph_fit.EPOCHS_AT_ONCE,
    ),
    learning_rate=1e-3,
    ranking=0.0,
  )
  model = graph_fit.fit(
    key[None], module, encode(jnp.asarray(genotypes)), rest, settings
  )

  def predict(unseen: np.ndarray) -> np.ndarray:
    evaluated = graph_fit.evaluate(model, encode(jnp.asarray(unseen)))
    return np.asarray(evaluated.prediction[0], np.float64)

  return predict


_FITS: dict[
  str, Callable[[jax.Array, SearchSpace, np.ndarray, np.ndarray], Predict]
] = {"additive": _fit_additive, "mlp": _fit_mlp, "graph": _fit_graph}
