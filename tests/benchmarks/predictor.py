"""How long the predictor takes to pretrain and to fit.

  python -m tests.benchmarks.predictor [--json=FILE] [--quick]

The accuracy it is fitted to is a formula, with noise. The peer is
scikit-learn's `MLPRegressor` with layers, batches and epochs of the same sizes:
of pretraining on all targets at once, of a fit once for each member, of
cross-validation once for each member of each fold. A predictor that does not
learn fails.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from fbnax import costs, spaces
from fbnax.search.nars import predictor
from fbnax.search.nars.pretraining import correlations, pretrain
from fbnax.spaces import SearchSpace
from tests.benchmarks import measuring

POOL, EPOCHS = 20_000, 40
LABELS = (48, 192)
MEMBERS, FOLDS = 4, 8
RUNS = 5


def accuracy(space: SearchSpace, genotypes: jax.Array) -> jax.Array:
  """An accuracy in percent that grows with MACs and depends on the recipe."""
  features = space.encode(genotypes)
  macs = jnp.log(costs.batch(space, genotypes).macs)
  recipe = features[:, space.num_architecture_features :]
  depth = features[:, : space.num_architecture_features].mean(axis=1)
  noise = 0.1 * jax.random.normal(jax.random.key(1), macs.shape)
  rate = (recipe[:, 0] - 0.4) ** 2
  return 10.0 + 4.0 * macs + 2.0 * depth - 3.0 * rate + recipe[:, -1] + noise


def scikit_learn(
  features: np.ndarray,
  targets: np.ndarray,
  hidden: tuple[int, ...],
  epochs: int,
  batch_size: int,
) -> float:
  """Seconds of a training of the peer's, on one thread or all, the less.

  Args:
    features: `[n, F]`.
    targets: standardised, `[n]` or `[n, T]`.
    hidden: widths of the layers.
    epochs: passes.
    batch_size: rows in a step.
  """
  times = []
  for threads in (1, None):
    model = MLPRegressor(
      hidden_layer_sizes=hidden,
      batch_size=min(batch_size, len(features)),
      learning_rate_init=1e-2,
      max_iter=epochs,
      n_iter_no_change=epochs,
      random_state=0,
    )
    start = time.perf_counter()
    with warnings.catch_warnings(), threadpool_limits(threads):
      warnings.simplefilter("ignore")  # That it has run all its epochs.
      model.fit(features, targets)
    times.append(time.perf_counter() - start)
  return min(times)


def standardised(values: Any) -> np.ndarray:
  """Mean 0, deviation 1 in each column."""
  values = np.asarray(values, np.float64)
  return (values - values.mean(0)) / values.std(0)


def measure(name: str, size: int, epochs: int) -> Iterator[measuring.Row]:
  """Times and qualities of one space."""
  space = spaces.get(name)
  pool = space.sobol(size)
  pool_costs = jax.block_until_ready(costs.batch(space, pool))
  timing, (pretrained, proxies) = measuring.timed(
    lambda i: pretrain(
      jax.random.key(i), space, pool, pool_costs, epochs=epochs
    ),
    RUNS,
  )
  features = np.asarray(space.encode(pool))
  known = features[:, : space.num_architecture_features]
  logs = np.log(np.stack([pool_costs.macs, pool_costs.params], axis=1))
  train = slice(0, size * 4 // 5)
  peer = scikit_learn(
    known[train], standardised(logs[train]), (24,), epochs, 128
  )
  yield row(
    f"predictor of `{name}`: pretraining on {size:,}",
    timing,
    min(p.kendall for p in proxies.values()),
    peer,
  )
  labels = np.asarray(accuracy(space, pool))
  unseen = slice(size // 2, size // 2 + 2000)
  settings = predictor.HeadSettings()
  passes = 2 * settings.epochs
  for count in LABELS:
    trials = pool[:count], labels[:count]
    timing, model = measuring.timed(
      lambda i, t=trials: predictor.fit(
        jax.random.key(i), space, pretrained, *t, members=MEMBERS
      ),
      RUNS,
    )
    score = predictor.predict(model, pool[unseen]).score
    peer = scikit_learn(
      features[:count],
      standardised(labels[:count]),
      (24, 24),
      passes,
      settings.batch_size,
    )
    yield row(
      f"predictor of `{name}`: {MEMBERS} members, {count} labels",
      timing,
      correlations(score, labels[unseen])[0],
      MEMBERS * peer,
    )
  timing, found = measuring.timed(
    lambda i: predictor.cross_validate(
      jax.random.key(i),
      space,
      pretrained,
      *trials,
      folds=FOLDS,
      members=MEMBERS,
    ),
    RUNS,
  )
  yield row(
    f"predictor of `{name}`: {FOLDS} folds of {LABELS[-1]} labels",
    timing,
    found.kendall,
    FOLDS * MEMBERS * peer,
  )


def row(
  name: str, timing: measuring.Timing, quality: float, peer: float
) -> measuring.Row:
  """A time, and that something was learned."""
  assert quality > 0.5, (name, quality)
  return measuring.seconds(
    name,
    timing,
    peer="scikit-learn",
    peer_value=peer,
    notes=f"Kendall {quality:.3f}, first call {timing.first:.1f} s",
    main="`small`" in name,
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """Two spaces."""
  sizes = (5000, 10) if given.quick else (POOL, EPOCHS)
  for name in ("small",) if given.quick else ("fbnetv3", "small"):
    yield from measure(name, *sizes)


if __name__ == "__main__":
  measuring.main(run, __doc__)
