"""Genotypes costed per second, on one device: `costs.batch`.

  python -m tests.benchmarks.cost_labels [result.json]

A wrong count fails; a slow one does not.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import numpy as np

from fbnax import costs, spaces

POPULATION = 1 << 18
RUNS = 11
RECHECKED = 1000


def measure(name: str) -> dict:
  """Rates of one space, in genotypes per second."""
  space = spaces.get(name)
  genotypes = jax.block_until_ready(space.sample(jax.random.key(0), POPULATION))
  start = time.perf_counter()
  found = jax.block_until_ready(costs.batch(space, genotypes))
  first = time.perf_counter() - start
  times = []
  for _ in range(RUNS):
    start = time.perf_counter()
    found = jax.block_until_ready(costs.batch(space, genotypes))
    times.append(time.perf_counter() - start)
  rows = np.random.default_rng(0).choice(POPULATION, RECHECKED, replace=False)
  exact = [
    costs.count(space.architecture(np.asarray(genotypes[i]))) for i in rows
  ]
  for part in ("macs", "params"):
    np.testing.assert_allclose(
      np.asarray(getattr(found, part))[rows],
      [getattr(e, part) for e in exact],
      rtol=1e-6,
    )
  return {
    "space": name,
    "genotypes": POPULATION,
    "first_call_s": first,
    "median_s": statistics.median(times),
    "per_second": POPULATION / statistics.median(times),
    "per_second_best": POPULATION / min(times),
    "rechecked": RECHECKED,
  }


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  rows = [measure(name) for name in ("fbnetv3", "small")]
  print(f"{'space':10} {'first s':>8} {'median M/s':>11} {'best M/s':>9}")
  for row in rows:
    print(
      f"{row['space']:10} {row['first_call_s']:8.2f} "
      f"{row['per_second'] / 1e6:11.2f} {row['per_second_best'] / 1e6:9.2f}"
    )
  if arguments:
    Path(arguments[0]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
