"""Devices that are made up: tables by parts, like each other."""

import numpy as np

from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys


def make_measured(space, genotypes):
  """Gives the ms of networks on the next device, `f64[n]`.

  Its arguments are how far the parts' ms are from those of all devices, a
  share, and what a network takes besides, ms.
  """
  random = np.random.default_rng(0)
  times = {key: random.uniform(0.1, 1.0) for key in sorted(space_keys(space))}

  def measured(spread, const):
    entries = {
      key: Entry(float(ms * random.uniform(1 - spread, 1 + spread)))
      for key, ms in times.items()
    }
    table = LatencyTable(entries, const=const)
    return np.asarray(table.batch(space, genotypes), np.float64)

  return measured
