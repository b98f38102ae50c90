"""Tree inference, losses and induced hierarchies: seconds on one device.

  python -m tests.benchmarks.tree [result.json]

10,000 x 1,000 logits on the published ImageNet hierarchy, or on one induced
from random weights where that is not at hand, and clustering of 10,000 classes.
Probabilities are checked against a product over paths. A wrong result fails; a
slow one does not.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import nbdt
from tests.nbdt import trees

SAMPLES, CLASSES, MANY = 10_000, 1000, 10_000
RUNS = 7
RECHECKED = 4


def published() -> nbdt.Hierarchy:
  """The ImageNet hierarchy, or one like it."""
  path = trees.DATA / "imagenet1000_induced_efficientnet_b7b.json"
  if path.exists():
    return nbdt.Hierarchy.load(path, trees.DATA / "wnids_imagenet1000.txt")
  return nbdt.induce(np.random.default_rng(0).normal(size=(CLASSES, 64)))


def functions(labels: jax.Array, depth: int) -> dict:
  """What is timed, by name."""

  def backward(loss):
    return lambda z, tree: jax.value_and_grad(loss)(z, labels, tree)

  return {
    "path_log_probs": nbdt.path_log_probs,
    "soft_predict": nbdt.soft_predict,
    "hard_predict": nbdt.hard_predict,
    "soft loss and gradient": backward(nbdt.soft_tree_loss),
    "original soft loss and gradient": backward(nbdt.original_soft_tree_loss),
    "decisions": lambda z, tree: nbdt.decisions(z, tree, max_depth=depth),
  }


def measure(function, *arguments) -> dict:
  """Seconds of the first call, and of later ones."""
  compiled = jax.jit(function)
  start = time.perf_counter()
  jax.block_until_ready(compiled(*arguments))
  first = time.perf_counter() - start
  times = []
  for _ in range(RUNS):
    start = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    times.append(time.perf_counter() - start)
  return {
    "first_call_s": first,
    "median_s": statistics.median(times),
    "best_s": min(times),
  }


def check(logits: jax.Array, tree: nbdt.Hierarchy) -> float:
  """The largest error of a few samples' log probabilities."""
  few = np.asarray(logits[:RECHECKED])
  wanted = trees.path_log_probs(few, tree.children, tree.num_classes)
  found = nbdt.path_log_probs(logits, tree)
  np.testing.assert_allclose(found[:RECHECKED], wanted, atol=5e-5)
  np.testing.assert_allclose(np.exp(found).sum(-1), 1.0, atol=1e-4)
  return float(np.abs(found[:RECHECKED] - wanted).max())


def clustering() -> dict:
  """Seconds to induce a hierarchy of many classes."""
  weights = np.random.default_rng(1).normal(size=(MANY, 64))
  start = time.perf_counter()
  tree = nbdt.induce(weights)
  assert tree.num_nodes == 2 * MANY - 1
  return {"classes": MANY, "seconds": time.perf_counter() - start}


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  tree = published()
  logits = 3.0 * jax.random.normal(jax.random.key(0), (SAMPLES, CLASSES))
  labels = jax.random.randint(jax.random.key(1), (SAMPLES,), 0, CLASSES)
  rows = {}
  print(f"{'':32} {'first s':>8} {'median s':>9} {'best s':>7}")
  for name, function in functions(jnp.asarray(labels), tree.depth).items():
    row = rows[name] = measure(function, logits, tree)
    print(
      f"{name:32} {row['first_call_s']:8.2f} {row['median_s']:9.3f} "
      f"{row['best_s']:7.3f}"
    )
  error = check(logits, tree)
  induced = clustering()
  print(
    f"{SAMPLES} x {CLASSES} logits on {jax.devices()[0].device_kind}, largest "
    f"error {error:.1e}; inducing from {MANY} classes "
    f"{induced['seconds']:.1f} s; load {os.getloadavg()[0]:.1f} on "
    f"{os.cpu_count()} cores"
  )
  if arguments:
    summary = {"times": rows, "error": error, "induced": induced}
    summary["load"] = os.getloadavg()[0]
    Path(arguments[0]).write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
