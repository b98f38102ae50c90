"""Rank correlations of AutoBuild's graph predictor, and what it takes.

  python -m tests.benchmarks.graph_predictor LABELS.npz splits.json \
    [epochs] [learning rate] [column]

Three seeds learn a column of Once-for-All networks (`acc_l1`) on the published
split; printed are the rank correlation of the prediction and of the norms at
every hop on the held-out networks, beside an additive ridge regression, CPU
and wall seconds of a fit after compilation, and of scoring all modules.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from fbnax.models import GraphPredictor
from fbnax.search import additive, graph_fit, labelled, modules
from fbnax.search.chains import encoding

SEEDS = 3
SPLIT = "ofa_mbv3/ofa_pn sampled sets (s_*)"


def main(arguments: list[str]) -> None:
  """Prints what is measured."""
  data = labelled.load(arguments[0], None)
  split = json.loads(Path(arguments[1]).read_text("utf-8"))[SPLIT]
  epochs = int(arguments[2]) if len(arguments) > 2 else 200
  rate = float(arguments[3]) if len(arguments) > 3 else 1e-3
  column = arguments[4] if len(arguments) > 4 else "acc_l1"
  train, test = (np.asarray(split[name]) for name in ("train", "test"))
  labels = data.columns[column]
  ridge = additive.fit(data.space, data.genotypes[train], labels[train])
  said = np.asarray(ridge(jnp.asarray(data.genotypes[test])))
  print(f"ridge {stats.spearmanr(said, labels[test]).statistic:.4f}")
  found = encoding(data.space)
  chains = jax.jit(found.encode)(jnp.asarray(data.genotypes))
  module = GraphPredictor(found.categories, found.numbers)
  settings = graph_fit.Settings(epochs=epochs, learning_rate=rate)
  keys = jax.random.split(jax.random.key(0), SEEDS)

  def fit(settings: graph_fit.Settings) -> graph_fit.FittedGraph:
    part = jax.tree.map(lambda x: x[train], chains)
    return graph_fit.fit(keys, module, part, labels[train], settings)

  fit(settings._replace(epochs=graph_fit.EPOCHS_AT_ONCE))
  cpu, wall = time.process_time(), time.perf_counter()
  model = fit(settings)
  cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
  print(
    f"{epochs} epochs on {len(train)} networks: {cpu / SEEDS:.1f} CPU s, "
    f"{wall / SEEDS:.1f} s a seed"
  )
  told = graph_fit.evaluate(model, jax.tree.map(lambda x: x[test], chains))
  for prediction, norms in zip(told.prediction, told.norms, strict=True):
    rows = [prediction, *norms]
    ranks = [stats.spearmanr(r, labels[test]).statistic for r in rows]
    print("prediction and hops:", " ".join(f"{r:.4f}" for r in ranks))
  moments = modules.moments(
    model, data.space, data.genotypes[train], labels[train]
  )
  for _ in range(2):
    start = time.perf_counter()
    scores = modules.scores(model, data.space, moments)
    seconds = time.perf_counter() - start
  print(f"{sum(map(len, scores))} modules by {SEEDS} seeds: {seconds:.2f} s")


if __name__ == "__main__":
  main(sys.argv[1:])
