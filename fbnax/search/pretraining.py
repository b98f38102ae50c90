"""Pretraining the predictor on free labels: MACs and parameters.

Stage 1 of Algorithm 1 of Wan 2022: encoder and proxy head learn the costs of a
pool of architectures, 80% of it to train on and the rest to judge by.

Symbols: `n` genotypes, `D` decisions, `F` features.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fbnax.costs import Costs
from fbnax.models.predictor import Predictor
from fbnax.spaces import SearchSpace

HELD_OUT = 0.2
PLOTTED = 500  # Points of a scatter plot.


@flax.struct.dataclass
class Pretrained:
  """A pretrained encoder.

  Attributes:
    encoder: parameters of the embedding layer.
    proxy_head: parameters of the proxy head.
    mean: mean of log MACs and log parameters (natural), `f32[2]`.
    deviation: their standard deviations, `f32[2]`.
  """

  encoder: Any
  proxy_head: Any
  mean: jax.Array
  deviation: jax.Array


class ProxyMetrics(NamedTuple):
  """How well one cost is predicted on the held-out part.

  Attributes:
    rmse: root mean square error in natural log units; 0.01 is about 1%.
    kendall: Kendall's rank correlation.
    spearman: Spearman's rank correlation.
    predicted: predicted costs of at most 500 candidates, `f64[p]`.
    truth: their costs, `f64[p]`.
  """

  rmse: float
  kendall: float
  spearman: float
  predicted: np.ndarray
  truth: np.ndarray


def predictor_module(space: SearchSpace) -> Predictor:
  """The predictor for the features of a space."""
  return Predictor(space.num_architecture_features)


def correlations(predicted: Any, truth: Any) -> tuple[float, float]:
  """Kendall's and Spearman's rank correlation; 0 where one side is constant."""
  from scipy import stats  # Slow to import.

  predicted, truth = np.asarray(predicted), np.asarray(truth)
  if len(truth) < 2 or np.ptp(predicted) == 0 or np.ptp(truth) == 0:
    return 0.0, 0.0
  return (
    float(stats.kendalltau(predicted, truth).statistic),
    float(stats.spearmanr(predicted, truth).statistic),
  )


def pretrain(
  key: jax.Array,
  space: SearchSpace,
  genotypes: jax.Array,
  costs: Costs,
  *,
  epochs: int = 40,
  batch_size: int = 128,
  learning_rate: float = 1e-2,
) -> tuple[Pretrained, dict[str, ProxyMetrics]]:
  """Trains encoder and proxy head on log MACs and log parameters.

  Mean square error on standardised targets, Adam, and a learning rate that
  falls to 0 along a cosine; one compiled program.

  Args:
    key: typed key.
    space: the space.
    genotypes: a pool, `i32[n, D]`; 20,000 in the paper.
    costs: their costs, `f32[n]` each.
    epochs: passes over the training part.
    batch_size: genotypes in a step.
    learning_rate: the first one.

  Returns:
    The encoder, and metrics of the held-out 20% as `{"macs": …, "params": …}`.

  Raises:
    ValueError: the space has no architecture to embed, or too few genotypes.
  """
  if not space.num_architecture_features:
    raise ValueError(
      f"space {space.name!r} has no architecture decision to pretrain on"
    )
  held_out = round(HELD_OUT * len(genotypes))
  if len(genotypes) < 10:
    raise ValueError(f"{len(genotypes)} genotypes given; legal: at least 10")
  split_key, train_key = jax.random.split(key)
  order = jax.random.permutation(split_key, len(genotypes))
  train, test = order[held_out:], order[:held_out]
  targets = jnp.log(jnp.stack([costs.macs, costs.params], axis=1))
  mean = targets[train].mean(axis=0)
  # Equal costs have a deviation of 0, or of float32's rounding.
  deviation = jnp.maximum(targets[train].std(axis=0), 1e-5)
  standardised = (targets - mean) / deviation
  params = _train(
    train_key,
    genotypes[train],
    standardised[train],
    learning_rate,
    space=space,
    epochs=epochs,
    batch_size=min(batch_size, len(train)),
  )
  pretrained = Pretrained(
    params["encoder"], params["proxy_head"], mean, deviation
  )
  predicted = predict_costs(pretrained, space, genotypes[test])
  logs = np.asarray(targets[test], np.float64)
  metrics = {}
  for i, (name, guess) in enumerate(predicted._asdict().items()):
    guess = np.asarray(guess, np.float64)
    kendall, spearman = correlations(guess, logs[:, i])
    metrics[name] = ProxyMetrics(
      rmse=float(np.sqrt(np.mean((np.log(guess) - logs[:, i]) ** 2))),
      kendall=kendall,
      spearman=spearman,
      predicted=guess[:PLOTTED],
      truth=np.exp(logs[:PLOTTED, i]),
    )
  return pretrained, metrics


@functools.partial(jax.jit, static_argnums=1)
def predict_costs(
  pretrained: Pretrained, space: SearchSpace, genotypes: jax.Array
) -> Costs:
  """Costs as the proxy head sees them, `i32[n, D]` to `f32[n]` each."""
  params = {
    "encoder": pretrained.encoder,
    "proxy_head": pretrained.proxy_head,
  }
  standardised: Any = predictor_module(space).apply(
    {"params": params}, space.encode(genotypes), method="proxies"
  )
  logs = standardised * pretrained.deviation + pretrained.mean
  return Costs(jnp.exp(logs[:, 0]), jnp.exp(logs[:, 1]))


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
  """The parameters after all epochs."""
  module = predictor_module(space)
  init_key, epochs_key = jax.random.split(key)
  features = space.encode(genotypes)
  params = module.init(init_key, features[:1], method="proxies")["params"]
  steps = len(features) // batch_size
  optimizer = optax.adam(
    optax.cosine_decay_schedule(learning_rate, epochs * steps)
  )

  def loss(params: Any, rows: jax.Array) -> jax.Array:
    found: Any = module.apply(
      {"params": params}, features[rows], method="proxies"
    )
    return jnp.mean((found - targets[rows]) ** 2)

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
