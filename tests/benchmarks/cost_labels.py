"""Genotypes costed per second, on one device: `costs.batch`.

  python -m tests.benchmarks.cost_labels [--json=FILE] [--quick]

The peer counts one architecture after the other, exactly, in Python, as
programs that trace a network do; a thousand are counted both ways. A wrong
count fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from fbnax import costs, spaces
from tests.benchmarks import measuring

POPULATION = 1 << 18
RUNS = 11
RECHECKED = 1000


def measure(name: str, population: int, rechecked: int) -> measuring.Row:
  """The rate of one space."""
  space = spaces.get(name)
  genotypes = jax.block_until_ready(space.sample(jax.random.key(0), population))
  timing, found = measuring.timed(lambda _: costs.batch(space, genotypes), RUNS)
  rows = np.random.default_rng(0).choice(population, rechecked, replace=False)
  networks = [space.architecture(np.asarray(genotypes[i])) for i in rows]
  start = time.perf_counter()
  exact = [costs.count(network) for network in networks]
  seconds = time.perf_counter() - start
  for part in ("macs", "params"):
    np.testing.assert_allclose(
      np.asarray(getattr(found, part))[rows],
      [getattr(e, part) for e in exact],
      rtol=1e-6,
    )
  return measuring.rate(
    f"MACs and parameters, `{name}`",
    timing,
    population,
    "genotypes/s",
    peer="one by one in Python",
    peer_value=rechecked / seconds,
    main=True,
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """Two spaces."""
  sizes = (1 << 10, 20) if given.quick else (POPULATION, RECHECKED)
  for name in ("small",) if given.quick else ("fbnetv3", "small"):
    yield measure(name, *sizes)


if __name__ == "__main__":
  measuring.main(run, __doc__)
