"""The fitted predictor: an ensemble of accuracy heads fine-tuned on trials.

Stage 2 of Algorithm 1 of Wan 2022: Huber loss, 50 epochs with the pretrained
encoder frozen, 50 at a lower rate with everything trainable. The ensemble is
ours: its members differ in their first head, the order of the trials and the
trials' weights (Bayesian bootstrap, Rubin 1981: exponential weights, which
unlike resampling leave no trial out); its standard deviation says how much to
trust a score.

Symbols: `n` genotypes, `D` decisions, `F` features, `M` members, `c` capacity.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fbnax.base.ranks import correlations
from fbnax.search.nars.predictor_files import load, save
from fbnax.search.nars.pretraining import PretrainedEncoder, predictor_module
from fbnax.search.nars.scoring import (
  FittedPredictor,
  PredictedScores,
  predict,
  scorer,
)
from fbnax.spaces import SearchSpace

_TOGETHER = 8  # Networks that train side by side.

__all__ = [
  "CrossValidation",
  "FittedPredictor",
  "HeadSettings",
  "PredictedScores",
  "cross_validate",
  "fit",
  "load",
  "predict",
  "save",
  "scorer",
]


HUBER = ("deviation", "label")


class HeadSettings(NamedTuple):
  """How heads are fitted.

  Attributes:
    epochs: passes over the trials in each of the two phases.
    batch_size: trials in a step.
    head_rate: learning rate while the encoder is frozen.
    full_rate: learning rate while everything trains.
    weight_decay: decoupled, of all weights that train.
    huber: where the Huber loss has its corner: at a "deviation" of what is
      learned, so that accuracies in percent and in parts of one fit alike, or
      at 1 in its units, the "label"'s, as printed in section 4.3.
    ranks: learn the ranks of the labels, which says more of the best where
      some are far below the rest. Scores then have the labels' mean and
      deviation, but order candidates without being accuracies.
    capacity: labels are padded to a multiple of it, so that the program need
      not be compiled anew while the trials grow from round to round.
  """

  epochs: int = 50
  batch_size: int = 16
  head_rate: float = 1e-2
  full_rate: float = 2e-3
  weight_decay: float = 1e-2
  huber: str = "deviation"
  ranks: bool = False
  capacity: int = 256


class CrossValidation(NamedTuple):
  """Labels predicted by predictors that have not seen them.

  Attributes:
    predicted: `f64[n]`, NaN where there is no label.
    labels: `f64[n]`.
    kendall: Kendall's rank correlation.
    spearman: Spearman's rank correlation.
    rmse: root mean square error, in the units of the labels.
  """

  predicted: np.ndarray
  labels: np.ndarray
  kendall: float
  spearman: float
  rmse: float


def fit(
  key: jax.Array,
  space: SearchSpace,
  pretrained: PretrainedEncoder | None,
  genotypes: Any,
  labels: Any,
  *,
  members: int = 4,
  settings: HeadSettings = HeadSettings(),  # noqa: B008 - a tuple of numbers.
) -> FittedPredictor:
  """Fits an ensemble to measured trials.

  Labels are standardised first.

  Args:
    key: typed key.
    space: the space.
    pretrained: the encoder to start from; None starts from a random one.
    genotypes: trials, `i32[n, D]`.
    labels: their accuracy, `[n]`; trials with a NaN or infinity (failed ones)
      are left out.
    members: size of the ensemble.
    settings: how heads are fitted.

  Raises:
    ValueError: fewer than two labels, or shapes that do not fit.
  """
  padded, targets, is_known = _padded(space, genotypes, labels, settings)
  params, mean, deviation = train_ensembles(
    key,
    pretrained,
    padded,
    targets,
    is_known[None],
    space=space,
    members=members,
    settings=settings,
  )
  return _of_fold(0, params, mean, deviation, space)


def cross_validate(
  key: jax.Array,
  space: SearchSpace,
  pretrained: PretrainedEncoder | None,
  genotypes: Any,
  labels: Any,
  *,
  folds: int = 8,
  members: int = 4,
  settings: HeadSettings = HeadSettings(),  # noqa: B008 - a tuple of numbers.
) -> CrossValidation:
  """Predicts each label by an ensemble fitted to the other folds.

  Arguments are those of `fit`, whose program trains the folds.

  Raises:
    ValueError: as `fit`, or there are fewer labels than folds.
  """
  fold_key, fit_key = jax.random.split(key)
  padded, targets, is_known = _padded(space, genotypes, labels, settings)
  rows = np.flatnonzero(is_known)
  if not 2 <= folds <= len(rows):
    raise ValueError(
      f"folds is {folds}; legal: 2 to {len(rows)}, the number of labels"
    )
  fold = np.full(len(is_known), -1)
  order = np.asarray(jax.random.permutation(fold_key, len(rows)))
  fold[rows[order]] = np.arange(len(rows)) % folds
  masks = is_known * (fold != np.arange(folds)[:, None])
  params, mean, deviation = train_ensembles(
    fit_key,
    pretrained,
    padded,
    targets,
    masks,
    space=space,
    members=members,
    settings=settings,
  )
  models = (_of_fold(i, params, mean, deviation, space) for i in range(folds))
  scores = np.stack([predict(model, padded).score for model in models])
  truth = np.asarray(labels, np.float64)
  predicted = np.full(len(truth), np.nan)
  predicted[rows] = scores[fold[rows], rows]
  kendall, spearman = correlations(predicted[rows], truth[rows])
  rmse = np.sqrt(np.mean((predicted[rows] - truth[rows]) ** 2))
  return CrossValidation(predicted, truth, kendall, spearman, float(rmse))


def train_ensembles(
  key: jax.Array,
  pretrained: PretrainedEncoder | None,
  genotypes: Any,
  labels: Any,
  masks: Any,
  *,
  space: SearchSpace,
  members: int,
  settings: HeadSettings,
) -> tuple[Any, np.ndarray, np.ndarray]:
  """Ensembles fitted to several choices of the labels.

  A fixed number of networks train side by side, those of several ensembles
  too, so that fitting and checking share one program.

  Args:
    key: typed key.
    pretrained: the encoder to start from.
    genotypes: `i32[c, D]`.
    labels: `f32[c]`.
    masks: 1 for labels to fit to, 0 for others, `f32[folds, c]`.
    space: the space.
    members: `M`.
    settings: how heads are fitted.

  Returns:
    Parameters `[folds, M, ...]`, label mean and deviation `f32[folds]`.
  """
  masks = np.asarray(masks, np.float32)
  mean, deviation, targets, corners = _standardised(
    np.asarray(labels), masks, settings
  )
  # As many as the fold with the most labels needs, the same for all.
  steps = -(-int(masks.sum(axis=1).max()) // settings.batch_size)
  folds, count = len(masks), len(masks) * members
  keys = jax.random.split(key, (folds, members)).reshape(count)
  parts = []
  for start in range(0, count, _TOGETHER):
    # The last network is repeated where they are fewer.
    places = np.minimum(np.arange(start, start + _TOGETHER), count - 1)
    rows = places // members
    networks = _train_networks(
      jax.random.wrap_key_data(jax.random.key_data(keys)[places]),
      pretrained,
      genotypes,
      masks[rows],
      targets[rows],
      corners[rows],
      np.int32(steps),
      space=space,
      settings=settings,
    )
    parts.append(jax.device_get(networks))

  def joined(*leaves: np.ndarray) -> np.ndarray:
    networks = np.concatenate(leaves)[:count]
    return networks.reshape(folds, members, *networks.shape[1:])

  return jax.tree.map(joined, *parts), mean, deviation


@functools.partial(jax.jit, static_argnames=("space", "settings"))
def _train_networks(
  keys: jax.Array,
  pretrained: PretrainedEncoder | None,
  genotypes: jax.Array,
  masks: jax.Array,
  targets: jax.Array,
  corners: jax.Array,
  steps: jax.Array,
  *,
  space: SearchSpace,
  settings: HeadSettings,
) -> Any:
  """Parameters of networks `[n, ...]`.

  Of keys `[n]`, data `f32[n, c]`, and corners of their losses `f32[n]`.
  """
  features = space.encode(genotypes)

  def network(
    key: jax.Array, mask: jax.Array, targets: jax.Array, corner: jax.Array
  ) -> Any:
    init_key, weight_key, train_key = jax.random.split(key, 3)
    params = predictor_module(space).init(init_key, features[:1])["params"]
    if pretrained is not None and "encoder" in params:
      params = params | {"encoder": pretrained.encoder}
    weights = mask * jax.random.exponential(weight_key, mask.shape)
    data = features, targets, weights
    return _train_member(
      train_key, space, params, data, corner, steps, settings
    )

  return jax.vmap(network)(keys, masks, targets, corners)


def _standardised(
  labels: np.ndarray, masks: np.ndarray, settings: HeadSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Labels for the predictor.

  Arguments are those of `train_ensembles`.

  Returns:
    Mean and deviation of the labels, `f32[folds]`; targets, `f32[folds, c]`;
    where their loss has its corner, `f32[folds]`.

  Raises:
    ValueError: the corner has no such name.
  """
  if settings.huber not in HUBER:
    raise ValueError(f"huber is {settings.huber!r}; legal: {', '.join(HUBER)}")
  mean, deviation = _moments(np.broadcast_to(labels, masks.shape), masks)
  learned = np.broadcast_to(labels, masks.shape)
  if settings.ranks:
    learned = np.stack([_ranks(labels, mask) for mask in masks])
  center, spread = _moments(learned, masks)
  # Equal labels have a deviation of 0; their score is then their mean.
  scale = np.where(spread > 0, spread, 1.0)
  targets = (learned - center[:, None]) / scale[:, None]
  corners = 1.0 / scale if settings.huber == "label" else np.ones_like(scale)
  single = np.float32
  return (
    mean.astype(single),
    deviation.astype(single),
    targets.astype(single),
    corners.astype(single),
  )


def _moments(
  values: np.ndarray, masks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Mean and deviation of rows where masks are 1, `f64[folds]` each."""
  total = masks.sum(axis=1, dtype=np.float64)
  mean = (masks * values).sum(axis=1, dtype=np.float64) / total
  squares = masks * (values - mean[:, None]) ** 2
  return mean, np.sqrt(squares.sum(axis=1) / total)


def _of_fold(
  fold: int, params: Any, mean: Any, deviation: Any, space: SearchSpace
) -> FittedPredictor:
  """One of the ensembles that `train_ensembles` gives."""
  # Not by `jnp.asarray`, which compiles a program for each shape.
  leaves = jax.tree.map(lambda leaf: leaf[fold], params), mean[fold]
  own, center = jax.device_put(leaves)
  return FittedPredictor(own, center, jax.device_put(deviation[fold]), space)


def _padded(
  space: SearchSpace, genotypes: Any, labels: Any, settings: HeadSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Genotypes, labels (0 if unknown), and 1 where known, padded to `c`."""
  genotypes = np.asarray(genotypes, np.int32)
  labels = np.asarray(labels, np.float32)
  shape = (len(labels), len(space.decisions))
  if labels.ndim != 1 or genotypes.shape != shape:
    raise ValueError(
      f"genotypes have shape {genotypes.shape} and labels {labels.shape}; "
      f"wanted [n, {shape[1]}] and [n]"
    )
  is_known = np.isfinite(labels)
  if is_known.sum() < 2:
    raise ValueError(f"{is_known.sum()} finite labels given; legal: at least 2")
  padding = -len(labels) % settings.capacity
  known = np.where(is_known, labels, 0.0).astype(np.float32)
  return (
    np.pad(genotypes, ((0, padding), (0, 0))),
    np.pad(known, (0, padding)),
    np.pad(is_known.astype(np.float32), (0, padding)),
  )


def _ranks(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Ranks of `f32[c]` among those whose mask is 1; ties share theirs."""
  below = (labels[None] < labels[:, None]) * mask
  equal = (labels[None] == labels[:, None]) * mask
  return below.sum(axis=1) + 0.5 * equal.sum(axis=1)


def _train_member(
  key: jax.Array,
  space: SearchSpace,
  params: Any,
  data: tuple[jax.Array, jax.Array, jax.Array],
  corner: jax.Array,
  steps: jax.Array,
  settings: HeadSettings,
) -> Any:
  """One member through both phases; `steps` per epoch, `i32[]`.

  The loss turns from squares to magnitudes at `corner`, `f32[]`.
  """
  features, targets, weights = data
  module = predictor_module(space)
  adam = optax.scale_by_adam()

  def loss(params: Any, rows: jax.Array) -> jax.Array:
    scores = module.apply({"params": params}, features[rows])
    losses = optax.huber_loss(scores, targets[rows], delta=corner)
    total = weights[rows].sum()
    return (weights[rows] * losses).sum() / jnp.where(total > 0, total, 1.0)

  def phase(params: Any, settings_of_phase: Any) -> tuple[Any, None]:
    key, rate, encoder_trains = settings_of_phase
    trains = {
      name: encoder_trains if name == "encoder" else 1.0 for name in params
    }

    def step(i: jax.Array, carry: Any) -> Any:
      params, state, order = carry
      # The last batch of an epoch reaches into padding, which weighs 0.
      start = i * settings.batch_size
      rows = jax.lax.dynamic_slice_in_dim(order, start, settings.batch_size)
      gradients = jax.grad(loss)(params, rows)
      updates, new_state = adam.update(gradients, state)
      new_params = {
        name: jax.tree.map(
          lambda p, u, r=rate * trains[name]: (
            p - r * (u + settings.weight_decay * p)
          ),
          params[name],
          updates[name],
        )
        for name in params
      }
      # Without a label a step must not even follow its momentum.
      moves = weights[rows].sum() > 0
      params, state = jax.tree.map(
        lambda new, old: jnp.where(moves, new, old),
        (new_params, new_state),
        (params, state),
      )
      return params, state, order

    def epoch(carry: Any, key: jax.Array) -> tuple[Any, None]:
      params, state = carry
      draws = jax.random.uniform(key, weights.shape)
      order = jnp.argsort(jnp.where(weights > 0, draws, 2.0))
      order = jnp.pad(order, (0, settings.batch_size), mode="edge")
      carry = jax.lax.fori_loop(0, steps, step, (params, state, order))
      return carry[:2], None

    keys = jax.random.split(key, settings.epochs)
    (params, _), _ = jax.lax.scan(epoch, (params, adam.init(params)), keys)
    return params, None

  phases = (
    jax.random.split(key, 2),
    jnp.asarray([settings.head_rate, settings.full_rate]),
    jnp.asarray([0.0, 1.0]),
  )
  return jax.lax.scan(phase, params, phases)[0]
