"""Pretraining the predictor on free labels: MACs, parameters, and scores.

Stage 1 of Algorithm 1 of Wan 2022: encoder and proxy head learn the costs of a
pool of architectures, 80% of it to train on and the rest to judge by. Scores of
untrained networks, which the paper does not have, may be learned beside them
(`free_labels`).

Symbols: `n` genotypes, `D` decisions, `F` features, `T` free labels.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fbnax.base.ranks import correlations
from fbnax.costs import Costs
from fbnax.models.predictor import NUM_PROXIES, Predictor
from fbnax.search.nars import free_labels
from fbnax.spaces import SearchSpace

HELD_OUT = 0.2
PLOTTED = 500  # Points of a scatter plot.
COSTS = Costs._fields


@flax.struct.dataclass
class PretrainedEncoder:
  """A pretrained encoder.

  Attributes:
    encoder: parameters of the embedding layer.
    proxy_head: parameters of the proxy head.
    mean: of each free label, `f32[T]`: of log MACs and log parameters
      (natural), then of the normal scores of the others.
    deviation: their standard deviations, `f32[T]`.
    names: of the free labels; `macs` and `params` first.
  """

  encoder: Any
  proxy_head: Any
  mean: jax.Array
  deviation: jax.Array
  names: tuple[str, ...] = flax.struct.field(pytree_node=False, default=COSTS)


class ProxyMetrics(NamedTuple):
  """How well one free label is predicted where it is known and held out.

  Attributes:
    rmse: root mean square error, of a cost in natural log units (0.01 is about
      1%), of another label in normal scores (1 is a standard deviation); NaN
      where none of the known ones was held out.
    kendall: Kendall's rank correlation.
    spearman: Spearman's rank correlation.
    predicted: predictions for at most 500 candidates, `f64[p]`: costs, or
      normal scores.
    truth: what they are, `f64[p]`.
  """

  rmse: float
  kendall: float
  spearman: float
  predicted: np.ndarray
  truth: np.ndarray


def predictor_module(
  space: SearchSpace, free_labels: int = NUM_PROXIES
) -> Predictor:
  """The predictor for the features of a space, with a head for free labels."""
  return Predictor(space.num_architecture_features, free_labels=free_labels)


def pretrain(
  key: jax.Array,
  space: SearchSpace,
  genotypes: jax.Array,
  costs: Costs,
  extra: Mapping[str, Any] | None = None,
  *,
  epochs: int = 40,
  batch_size: int = 128,
  learning_rate: float = 1e-2,
) -> tuple[PretrainedEncoder, dict[str, ProxyMetrics]]:
  """Trains encoder and proxy head on log MACs, log parameters and scores.

  Mean square error on standardised labels, of each over the genotypes of which
  it is known, all labels counting alike; Adam, and a learning rate that falls
  to 0 along a cosine; one compiled program.

  Args:
    key: typed key.
    space: the space.
    genotypes: a pool, `i32[n, D]`; 20,000 in the paper.
    costs: their costs, `f32[n]` each.
    extra: more labels by name, `[n]` each, NaN where not known (see
      `free_labels.appended`). They are learned as normal scores of ranks:
      `free_labels` says why. -inf ranks last; a constant is learned as one, and
      has a correlation of 0.
    epochs: passes over the training part.
    batch_size: genotypes in a step.
    learning_rate: the first one.

  Returns:
    The encoder, and metrics of the held-out 20% by name: `macs`, `params`, and
    those of `extra`.

  Raises:
    ValueError: the space has no architecture to embed, there are too few
      genotypes, or a label in `extra` is a cost's, not `[n]`, or known of
      fewer than 10.
  """
  if not space.num_architecture_features:
    raise ValueError(
      f"space {space.name!r} has no architecture decision to pretrain on"
    )
  held_out = round(HELD_OUT * len(genotypes))
  if len(genotypes) < 10:
    raise ValueError(f"{len(genotypes)} genotypes given; legal: at least 10")
  scores = free_labels.columns(extra or {}, len(genotypes))
  split_key, train_key = jax.random.split(key)
  # In NumPy, since on the host there is nothing to compile.
  rows = np.asarray(genotypes)
  order = np.asarray(jax.random.permutation(split_key, len(genotypes)))
  train, test = order[held_out:], order[:held_out]
  known = np.stack([costs.macs, costs.params], axis=1)
  targets = np.log(known.astype(np.float32))
  if scores:
    others = np.stack(list(scores.values()), axis=1)
    targets = np.concatenate([targets, others.astype(np.float32)], axis=1)
  mean = np.nanmean(targets[train], axis=0, dtype=np.float64)
  # Equal labels have a deviation of 0, or of float32's rounding.
  deviation = np.nanstd(targets[train], axis=0, dtype=np.float64)
  deviation = np.maximum(deviation, 1e-5)
  standardised = ((targets - mean) / deviation).astype(np.float32)
  params = _train(
    train_key,
    rows[train],
    standardised[train],
    learning_rate,
    space=space,
    epochs=epochs,
    batch_size=min(batch_size, len(train)),
  )
  pretrained = PretrainedEncoder(
    params["encoder"],
    params["proxy_head"],
    jax.device_put(mean.astype(np.float32)),
    jax.device_put(deviation.astype(np.float32)),
    (*COSTS, *scores),
  )
  predicted = np.asarray(predict_labels(pretrained, space, rows[test]))
  return pretrained, {
    name: _metrics(name, predicted[:, i], targets[test, i])
    for i, name in enumerate(pretrained.names)
  }


@functools.partial(jax.jit, static_argnums=1)
def predict_labels(
  pretrained: PretrainedEncoder, space: SearchSpace, genotypes: jax.Array
) -> jax.Array:
  """Free labels as the proxy head sees them, `i32[n, D]` to `f32[n, T]`.

  The columns are those of `pretrained.names`: natural logarithms of costs,
  normal scores of the others.
  """
  params = {
    "encoder": pretrained.encoder,
    "proxy_head": pretrained.proxy_head,
  }
  module = predictor_module(space, len(pretrained.names))
  standardised: Any = module.apply(
    {"params": params}, space.encode(genotypes), method="proxies"
  )
  labels: jax.Array = standardised * pretrained.deviation + pretrained.mean
  return labels


@functools.partial(jax.jit, static_argnums=1)
def predict_costs(
  pretrained: PretrainedEncoder, space: SearchSpace, genotypes: jax.Array
) -> Costs:
  """Costs as the proxy head sees them, `i32[n, D]` to `f32[n]` each."""
  logs = predict_labels(pretrained, space, genotypes)
  return Costs(jnp.exp(logs[:, 0]), jnp.exp(logs[:, 1]))


def _metrics(
  name: str, predicted: np.ndarray, truth: np.ndarray
) -> ProxyMetrics:
  """Of one label, `f32[n]` each, where the truth is known."""
  is_known = ~np.isnan(truth)
  guess, truth = (v[is_known].astype(np.float64) for v in (predicted, truth))
  kendall, spearman = correlations(guess, truth)
  shown = guess[:PLOTTED], truth[:PLOTTED]
  if name in COSTS:
    shown = np.exp(shown[0]), np.exp(shown[1])
  error = np.sqrt(np.mean((guess - truth) ** 2)) if len(truth) else np.nan
  return ProxyMetrics(
    rmse=float(error),
    kendall=kendall,
    spearman=spearman,
    predicted=shown[0],
    truth=shown[1],
  )


@functools.partial(jax.jit, static_argnames=("space", "epochs", "batch_size"))
def _train(
  key: jax.Array,
  genotypes: jax.Array,
  targets: jax.Array,
  learning_rate: jax.Array,
  *,
  space: SearchSpace,
  epochs: int,
  batch_size: int,
) -> Any:
  """The parameters after all epochs; labels are NaN where not known."""
  is_known = ~jnp.isnan(targets)
  targets = jnp.where(is_known, targets, 0.0)
  # All together they are a mean over labels of means over what is known.
  share = is_known.mean(axis=0) * targets.shape[1]
  weights = jnp.where(is_known, 1.0 / share, 0.0)
  module = predictor_module(space, targets.shape[1])
  init_key, epochs_key = jax.random.split(key)
  features = space.encode(genotypes)
  params = module.init(init_key, features[:1], method="proxies")["params"]
  steps = len(features) // batch_size
  optimizer = optax.adam(
    optax.cosine_decay_schedule(learning_rate, epochs * steps)
  )

  def loss(params: Any, rows: jax.Array) -> jax.Array:
    predicted: Any = module.apply(
      {"params": params}, features[rows], method="proxies"
    )
    errors = weights[rows] * (predicted - targets[rows]) ** 2
    return errors.sum(axis=1).mean()

  def step(carry: Any, rows: jax.Array) -> tuple[Any, None]:
    params, state = carry
    updates, state = optimizer.update(jax.grad(loss)(params, rows), state)
    return (optax.apply_updates(params, updates), state), None

  def epoch(carry: Any, key: jax.Array) -> tuple[Any, None]:
    order = jax.random.permutation(key, len(features))[: steps * batch_size]
    return jax.lax.scan(step, carry, order.reshape(steps, batch_size))

  carry = params, optimizer.init(params)
  keys = jax.random.split(epochs_key, epochs)
  (params, _), _ = jax.lax.scan(epoch, carry, keys)
  return params
