"""Rank correlations of AutoBuild's graph predictor, and what it takes.

  python -m tests.benchmarks.graph_predictor LABELS.npz splits.json \
    [--epochs=200] [--learning_rate=1e-3] [--column=acc_l1] [--json=FILE]

Three seeds learn a column of Once-for-All networks on the published split: one
of the labels of the sampled networks, or a device of those that were measured
(`--column=2080ti_64`). Printed, and written as JSON, are the rank correlations
of the prediction and of the norms at every hop on the held-out networks, beside
an additive ridge regression, CPU and wall seconds of a fit after compilation,
and of scoring all modules.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from fbnax.models import GraphPredictor
from fbnax.search import additive, graph_fit, labelled, modules
from fbnax.search.chains import encoding
from fbnax.spaces import SearchSpace

SEEDS = 3
SAMPLED = "ofa_mbv3/ofa_pn sampled sets (s_*)"
MEASURED = "HELP OFA measured set (h_*)"


def main(arguments: list[str]) -> None:
  """Prints a table, and writes it where a file is named."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("labels")
  parser.add_argument("splits")
  parser.add_argument("--epochs", type=int, default=200)
  parser.add_argument("--learning_rate", type=float, default=1e-3)
  parser.add_argument("--column", default="acc_l1")
  parser.add_argument("--json")
  given = parser.parse_args(arguments)
  space, genotypes, labels, which = _data(given.labels, given.column)
  split = json.loads(Path(given.splits).read_text("utf-8"))[which]
  train, test = (np.asarray(split[name]) for name in ("train", "test"))
  result = {
    "labels": Path(given.labels).name,
    "column": given.column,
    "epochs": given.epochs,
    "learning_rate": given.learning_rate,
    "train": len(train),
    "test": len(test),
    **measure(
      space,
      (genotypes[train], labels[train]),
      (genotypes[test], labels[test]),
      graph_fit.Settings(
        epochs=given.epochs, learning_rate=given.learning_rate
      ),
    ),
  }
  _show(result)
  if given.json:
    Path(given.json).write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def measure(
  space: SearchSpace,
  train: tuple[np.ndarray, np.ndarray],
  test: tuple[np.ndarray, np.ndarray],
  settings: graph_fit.Settings,
) -> dict[str, Any]:
  """What is learned of genotypes and labels, and how long it takes."""
  ridge = additive.fit(space, *train)
  found = encoding(space)
  encode = jax.jit(found.encode)
  chains, unseen = (encode(jnp.asarray(part[0])) for part in (train, test))
  module = GraphPredictor(found.categories, found.numbers)
  keys = jax.random.split(jax.random.key(0), SEEDS)

  def fit(settings: graph_fit.Settings) -> graph_fit.FittedGraph:
    return graph_fit.fit(keys, module, chains, train[1], settings)

  cpu = time.process_time()
  # The epochs of a call are compiled in; a run may end with a shorter one.
  whole, rest = divmod(settings.epochs, graph_fit.EPOCHS_AT_ONCE)
  for epochs in {graph_fit.EPOCHS_AT_ONCE if whole else rest, rest} - {0}:
    fit(settings._replace(epochs=epochs))
  compilation = time.process_time() - cpu
  cpu, wall = time.process_time(), time.perf_counter()
  model = fit(settings)
  cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
  told = graph_fit.evaluate(model, unseen)
  moments = modules.moments(model, space, *train)
  for _ in range(2):
    start = time.perf_counter()
    scores = modules.scores(model, space, moments)
    seconds = time.perf_counter() - start

  def rank(said: Any) -> float:
    return float(stats.spearmanr(np.asarray(said), test[1]).statistic)

  return {
    "ridge": rank(ridge(jnp.asarray(test[0]))),
    "prediction": [rank(seed) for seed in told.prediction],
    "hops": [[rank(hop) for hop in seed] for seed in told.norms],
    "cpu_seconds_of_a_seed": cpu / SEEDS,
    "wall_seconds_of_a_seed": wall / SEEDS,
    "cpu_seconds_of_compilation": compilation,
    "modules": sum(map(len, scores)),
    "seconds_of_scoring": seconds,
  }


def _data(
  path: str, column: str
) -> tuple[SearchSpace, np.ndarray, np.ndarray, str]:
  """Space, genotypes, labels and the name of their split."""
  with np.load(path, allow_pickle=False) as file:
    devices = file["h_devices"].tolist() if "h_devices" in file else []
    if column in devices:
      module = labelled.PUBLISHED[file["h_ks"].shape[1]]
      names = ("ks", "expand", "depth", "resolution")
      genotypes = module.genotypes_from_ofa(*(file[f"h_{n}"] for n in names))
      latency = file["h_latency_ms"][devices.index(column)]
      return module.space(), np.asarray(genotypes), latency, MEASURED
  data = labelled.load(path, None)
  if column not in data.columns:
    raise SystemExit(f"--column={column!r}; legal: {[*data.columns, *devices]}")
  return data.space, data.genotypes, data.columns[column], SAMPLED


def _show(result: dict[str, Any]) -> None:
  hops = len(result["hops"][0])
  names = ["prediction", *(f"hop {h}" for h in range(hops))]
  print(
    f"{result['labels']}, {result['column']}: rank correlation on "
    f"{result['test']} networks, learned from {result['train']} in "
    f"{result['epochs']} epochs; ridge regression {result['ridge']:.4f}"
  )
  print(f"{'':8}" + "".join(f"{name:>12}" for name in names))
  rows = zip(result["prediction"], result["hops"], strict=True)
  for seed, (prediction, norms) in enumerate(rows):
    values = "".join(f"{value:12.4f}" for value in (prediction, *norms))
    print(f"seed {seed:<3}{values}")
  print(
    f"a seed takes {result['cpu_seconds_of_a_seed']:.1f} CPU s, "
    f"{result['wall_seconds_of_a_seed']:.1f} s, after "
    f"{result['cpu_seconds_of_compilation']:.1f} CPU s of compilation"
  )
  print(
    f"scoring {result['modules']:,} modules by {SEEDS} seeds: "
    f"{result['seconds_of_scoring']:.2f} s"
  )


if __name__ == "__main__":
  main(sys.argv[1:])
