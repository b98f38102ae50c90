"""How AutoBuild's graph predictor learns, as one program.

Equation 4 and section 7.1 of Mills et al. 2024: mean squared error of the
standardised labels, and for every hop one less the correlation of the soft
ranks of the chains' norms with the labels, so that norms at all hops order
networks as their labels do. AdamW, batches of 128, 200 epochs. Ours: the last
batch of an epoch, which is not full, is left out (each epoch leaves out
others), BN's statistics are those of all that was learned from, and the
feature-embedding MLP starts at a regression.

The absolute value at hop 0 has two sides, and deeper hops can make use of a
feature on either: started at random, one whose better values happen to have
the smaller numbers stays so, and the rank correlation at hop 0 depends on the
seed (-0.2 and 0.94 were seen on the same data). So the scalars start where
hop 0 is best to begin with: at the ridge regression of the labels on the shares
of a chain's layers that have each value, shifted so that none is negative. The
paper says nothing of starts.

Symbols: `n` chains, `K` columns, `N` nodes, `B` chains of a batch, `S` seeds,
`H` hops.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fbnax.models.graph_predictor import (
  Embedded,
  GraphPredictor,
  chain_norms,
  node_norms,
)
from fbnax.ops.soft_rank import soft_spearman
from fbnax.search.autobuild.chains import Chains

# Epochs of one call of the compiled program, so that progress can be told.
EPOCHS_AT_ONCE = 10
_LEAST = 0.1  # The smallest scalar of a feature at the start.
_RANGE = 0.5  # Between the smallest and the largest of any.
_PENALTY = 1e-3  # Of the regression, for a chain.


class GraphSettings(NamedTuple):
  """How a graph predictor learns; the defaults are the paper's.

  Attributes:
    epochs: passes over the chains.
    batch_size: chains in a step; all of them where there are fewer.
    learning_rate: of AdamW, constant.
    weight_decay: of AdamW.
    clip: largest norm of a gradient.
    ranking: weight of the ranking loss; 0 leaves the squared error alone.
    strength: of the soft ranks' regularisation.
  """

  epochs: int = 200
  batch_size: int = 128
  learning_rate: float = 1e-4
  weight_decay: float = 1e-5
  clip: float = 5.0
  ranking: float = 1.0
  strength: float = 1.0


@flax.struct.dataclass
class FittedGraph:
  """Graph predictors fitted to the same labels from `S` seeds.

  Attributes:
    variables: of the module, stacked, `[S, ...]`.
    mean: of the labels, `f32[]`.
    deviation: their standard deviation, `f32[]`.
    module: the network.
  """

  variables: Any
  mean: jax.Array
  deviation: jax.Array
  module: GraphPredictor = flax.struct.field(pytree_node=False)


class Evaluated(NamedTuple):
  """What fitted predictors say of chains.

  Attributes:
    prediction: in the units of the labels, `f32[S, n]`.
    norms: of the chains at every hop, `f32[S, H + 1, n]`.
    nodes: norms of the nodes at every hop, 0 where there is none,
      `f32[S, H + 1, N, n]`.
  """

  prediction: jax.Array
  norms: jax.Array
  nodes: jax.Array


def fit(
  keys: jax.Array,
  module: GraphPredictor,
  chains: Chains,
  labels: Any,
  settings: GraphSettings = GraphSettings(),  # noqa: B008 - a tuple of numbers.
  on_epochs: Callable[[int], object] = lambda _: None,
) -> FittedGraph:
  """Fits one predictor for each key.

  Constant labels are learned as zeros, and rank nothing: their correlation
  with norms counts as 0.

  Args:
    keys: typed keys, `[S]`.
    module: the network.
    chains: what to learn from.
    labels: `[n]`.
    settings: how.
    on_epochs: called with the number of epochs that have passed, now and then.

  Raises:
    ValueError: fewer than two chains, or labels that are not as many or not
      finite.
  """
  labels = np.asarray(labels, np.float64)
  count = len(chains.lengths)
  if labels.shape != (count,) or count < 2:
    raise ValueError(
      f"labels have shape {labels.shape}, for {count} chains; legal: one for "
      "each, of two at least"
    )
  wrong = np.flatnonzero(~np.isfinite(labels))
  if len(wrong):
    raise ValueError(f"labels[{wrong[0]}] is {labels[wrong[0]]}; legal: finite")
  mean, deviation = float(labels.mean()), float(labels.std())
  # Rounding of equal labels is no spread.
  if deviation <= 1e-12 * max(abs(mean), 1e-300):
    deviation = 0.0
  targets = jnp.asarray(
    (labels - mean) / (deviation if deviation else 1.0), jnp.float32
  )
  if not deviation:
    targets = jnp.zeros_like(targets)
  total = settings.epochs
  # Without the epochs, so that nothing is compiled for another number of them.
  settings = settings._replace(
    epochs=0, batch_size=min(settings.batch_size, count)
  )
  state = _start(keys, module, chains, targets, settings)
  done = 0
  while done < total:
    epochs = min(EPOCHS_AT_ONCE, total - done)
    state = _run(keys, done, state, chains, targets, epochs, module, settings)
    done += epochs
    jax.block_until_ready(state)
    on_epochs(epochs)
  variables = _finish(state[0], chains, module)
  return FittedGraph(
    variables, jnp.float32(mean), jnp.float32(deviation), module
  )


@jax.jit
def evaluate(model: FittedGraph, chains: Chains) -> Evaluated:
  """Predictions and norms of chains."""
  features, mask = _batch(chains)

  def one(variables: Any) -> Evaluated:
    embedded: Any = model.module.apply(variables, features, mask)
    return Evaluated(
      embedded.prediction * model.deviation + model.mean,
      chain_norms(embedded, mask),
      node_norms(embedded),
    )

  return _each(one, model.variables)


def loss(
  embedded: Embedded,
  mask: jax.Array,
  targets: jax.Array,
  settings: GraphSettings,
) -> jax.Array:
  """Squared error and ranking loss of a batch (equation 4), `f32[]`.

  Args:
    embedded: what the predictor says of the batch.
    mask: `f32[N, B]`.
    targets: standardised labels, `f32[B]`.
    settings: weight and strength of the ranking loss.
  """
  error = ((embedded.prediction - targets) ** 2).mean()
  if not settings.ranking:
    return error
  agreement = soft_spearman(
    chain_norms(embedded, mask), targets[None], settings.strength
  )
  return error + settings.ranking * (1 - agreement).mean()


def _each(function: Callable[[Any], Any], stacked: Any) -> Any:
  """The function of every seed.

  On a CPU one after the other in a loop: side by side they take as long, and
  their small products are slower.
  """
  if jax.default_backend() == "cpu":
    return jax.lax.map(function, stacked)
  return jax.vmap(function)(stacked)


def _batch(chains: Chains) -> tuple[jax.Array, jax.Array]:
  """Features `f32[K, N, n]` and mask `f32[N, n]`."""
  nodes = chains.features.shape[2]
  mask = jnp.arange(nodes)[:, None] < chains.lengths
  return chains.features.transpose(1, 2, 0), mask.astype(jnp.float32)


def _optimizer(settings: GraphSettings) -> optax.GradientTransformation:
  # Flat, since forty small arrays would take forty times as many steps.
  return optax.flatten(
    optax.chain(
      optax.clip_by_global_norm(settings.clip),
      optax.adamw(settings.learning_rate, weight_decay=settings.weight_decay),
    )
  )


@functools.partial(jax.jit, static_argnames=("module", "settings"))
def _start(
  keys: jax.Array,
  module: GraphPredictor,
  chains: Chains,
  targets: jax.Array,
  settings: GraphSettings,
) -> tuple[Any, Any]:
  """Parameters and states of the optimizer, `[S, ...]`."""
  features, mask = _batch(jax.tree.map(lambda x: x[:2], chains))

  def one(key: jax.Array) -> tuple[Any, Any]:
    key = jax.random.fold_in(key, 0)
    params = module.init(key, features, mask)["params"]
    if settings.ranking:
      params = started(module, params, chains, targets)
    return params, _optimizer(settings).init(params)

  return _each(one, keys)


@functools.partial(
  jax.jit,
  static_argnames=("epochs", "module", "settings"),
  donate_argnames=("state",),
)
def _run(
  keys: jax.Array,
  first: jax.Array | int,
  state: tuple[Any, Any],
  chains: Chains,
  targets: jax.Array,
  epochs: int,
  module: GraphPredictor,
  settings: GraphSettings,
) -> tuple[Any, Any]:
  """Some epochs of every seed; `first` is the number of those before."""
  count, columns, nodes = chains.features.shape
  steps = count // settings.batch_size
  optimizer = _optimizer(settings)
  flat = chains.features.reshape(count, -1)

  def step(carry: Any, batch: tuple[jax.Array, ...]) -> tuple[Any, None]:
    params, state = carry
    features, lengths, labels = batch
    mask = (jnp.arange(nodes)[:, None] < lengths).astype(jnp.float32)

    def total(params: Any) -> jax.Array:
      embedded, _ = module.apply(
        {"params": params}, features, mask, train=True, mutable=["batch_stats"]
      )
      return loss(embedded, mask, labels, settings)

    updates, state = optimizer.update(jax.grad(total)(params), state, params)
    return (optax.apply_updates(params, updates), state), None

  def epoch(carry: Any, key: jax.Array) -> tuple[Any, None]:
    order = jax.random.permutation(key, count)
    order = order[: steps * settings.batch_size].reshape(steps, -1)
    features = flat[order].transpose(0, 2, 1)
    features = features.reshape(steps, columns, nodes, -1)
    batches = features, chains.lengths[order], targets[order]
    return jax.lax.scan(step, carry, batches)[0], None

  def one(key_and_carry: tuple[jax.Array, Any]) -> Any:
    key, carry = key_and_carry
    # As many numbers for every way to split the epochs into calls.
    each = jax.vmap(jax.random.fold_in, (None, 0))
    epoch_keys = each(key, 1 + first + jnp.arange(epochs))
    return jax.lax.scan(epoch, carry, epoch_keys)[0]

  carries: tuple[Any, Any] = _each(one, (keys, state))
  return carries


@functools.partial(jax.jit, static_argnames="module")
def _finish(params: Any, chains: Chains, module: GraphPredictor) -> Any:
  """Variables with the BN statistics of all chains."""
  features, mask = _batch(chains)

  def one(params: Any) -> Any:
    _, statistics = module.apply(
      {"params": params}, features, mask, train=True, mutable=["batch_stats"]
    )
    return {"params": params, **statistics}

  return _each(one, params)


def coefficients(chains: Chains, targets: jax.Array) -> jax.Array:
  """What each column adds to standardised labels, `f32[K]`.

  Args:
    chains: `n` of them.
    targets: standardised labels, `f32[n]`.
  """
  design = chains.features.sum(axis=2) / chains.lengths[:, None]
  design = design - design.mean(axis=0)
  matrix = design.T @ design / len(design)
  right = design.T @ targets / len(design)
  return jnp.linalg.solve(matrix + _PENALTY * jnp.eye(len(right)), right)


def started(
  module: GraphPredictor, params: Any, chains: Chains, targets: jax.Array
) -> Any:
  """Parameters whose scalars at hop 0 are those of the regression.

  Args:
    module: the network.
    params: of it, as it initialises them.
    chains: what it will learn from.
    targets: their standardised labels, `f32[n]`.
  """
  weights = coefficients(chains, targets)
  sizes = list(module.categories)
  bounds = np.cumsum([0, *sizes])
  numbers = chains.features[:, bounds[-1] :]
  there = jnp.arange(numbers.shape[2]) < chains.lengths[:, None]
  low = jnp.where(there[:, None], numbers, jnp.inf).min(axis=(0, 2))
  high = jnp.where(there[:, None], numbers, -jnp.inf).max(axis=(0, 2))
  parts = [
    weights[a:b] - weights[a:b].min() for a, b in itertools.pairwise(bounds)
  ]
  slopes = weights[bounds[-1] :]
  largest = jnp.concatenate([*parts, jnp.abs(slopes) * (high - low)]).max()
  scale = _RANGE / jnp.where(largest > 0, largest, 1.0)
  embedding = dict(params["features"])
  for i, part in enumerate(parts):
    table, row = embedding[f"table{i}"], embedding[f"map{i}"]
    direction = row[:-1] / (row[:-1] @ row[:-1])
    missing = _LEAST + scale * part - (table @ row[:-1] + row[-1])
    embedding[f"table{i}"] = table + missing[:, None] * direction
  for i in range(module.numbers):
    first, row = embedding[f"number{i}"], embedding[f"number_map{i}"]
    slope = scale * slopes[i]
    direction = first[0] / (first[0] @ first[0])
    inner = row[:-1] + (slope - first[0] @ row[:-1]) * direction
    lowest = jnp.minimum(slope * low[i], slope * high[i])
    offset = _LEAST - lowest - first[1] @ inner
    embedding[f"number_map{i}"] = jnp.append(inner, offset)
  return {**params, "features": embedding}
