"""Candidates per hour: trained in one process, and by Ray's workers beside it.

  python -m tests.benchmarks.ray_workers [--json=FILE] [--candidates=16]
    [--epochs=12] [--population=2] [--workers 1 2 4] [--quick]

The candidates are Sobol points of the default job's space (scikit-learn's
digits at 8 pixels). Each way to evaluate them is a process of its own: training
in it with all cores and with one, and so many workers of one core. All are
evaluated twice. The first time is the start: Ray's processes, data, and the
compilation of each group's program (those of an earlier run come from the
cache). The second is timed. What comes of the candidates has to be the same
to the last bit wherever they have one core; with more, XLA rounds otherwise.
The peer of Ray's workers is the training in one process with all cores. Needs
the extra `ray`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import measuring

ROOT = Path(__file__).parents[2]
# The way to evaluate of this process: "train", or a number of workers.
WAY = "FBNAX_BENCHMARK_WAY"


def evaluated(options: argparse.Namespace, workers: int) -> dict[str, Any]:
  """Times, and outcomes but for their seconds; 0 workers for this process."""
  from fbnax.jobs.runtime import compiling

  compiling.prepare()
  import numpy as np

  from fbnax.jobs.nars import evaluating
  from fbnax.jobs.runtime import inputs
  from fbnax.search.evaluators import Candidate

  config = make_config(options)
  config.evaluator = "ray" if workers else "train"
  config.ray.workers = workers
  dataset = inputs.dataset(config)
  splits = inputs.hold_out(config, dataset)
  space = inputs.space(config, dataset.channels)
  drawn = np.asarray(space.sobol(options.candidates))
  candidates = [Candidate(i, tuple(g.tolist()), i) for i, g in enumerate(drawn)]
  found, times = [], []
  with evaluating.opened(config, space, dataset, *splits) as evaluate:
    for _ in range(2):
      begin = time.monotonic()
      ended = list(evaluate(candidates, options.epochs, lambda _: None))
      times.append(time.monotonic() - begin)
      outcomes = [
        o._replace(seconds=0.0)._asdict() for part in ended for o in part
      ]
      found.append(sorted(outcomes, key=lambda o: o["id"]))
  assert found[0] == found[1], "other outcomes the second time"
  return {
    "start_s": times[0],
    "timed_s": times[1],
    "candidates": options.candidates,
    "per_hour": options.candidates / times[1] * 3600,
    "outcomes": found[1],
  }


def make_config(options: argparse.Namespace) -> Any:
  """The default job's config, at one resolution."""
  path = ROOT / "configs" / "nars.py"
  spec = importlib.util.spec_from_file_location("nars_config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  config.fix = "resolution=8"
  config.search.epochs = options.epochs
  config.search.population = options.population
  return config


def measured(given: Any, way: str, cores: int) -> dict[str, Any]:
  """What `evaluated` finds in a process of its own."""
  numbers = {n: getattr(given, n) for n in ("candidates", "epochs")}
  numbers |= {"population": given.population}
  done = subprocess.run(
    [
      sys.executable,
      "-m",
      "tests.benchmarks.ray_workers",
      *(f"--{name}={number}" for name, number in numbers.items()),
      "--workers",
      *map(str, given.workers),
    ],
    cwd=ROOT,
    # Ray's workers make way for other processes, if they are not told.
    env=os.environ
    | {WAY: way, "PJRT_NPROC": str(cores), "RAY_worker_niceness": "0"},
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


def arguments(parser: argparse.ArgumentParser) -> None:
  """Of the command line."""
  parser.add_argument("--candidates", type=int, default=16)
  parser.add_argument("--epochs", type=int, default=12)
  parser.add_argument("--population", type=int, default=2)
  parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])


def run(given: Any) -> Iterator[measuring.Row]:
  """All ways, each beside the first."""
  if given.quick:
    given.candidates, given.epochs, given.workers = 2, 1, [1]
  cores = measuring.cores()
  ways = [
    (f"one process, cores: {cores}", "train", cores),
    ("one process, cores: 1", "train", 1),
  ]
  ways += [(f"Ray's workers: {n}", str(n), 1) for n in given.workers]
  first, wanted = None, None
  for name, way, threads in ways:
    row = measured(given, way, threads)
    outcomes = row.pop("outcomes")
    if threads == 1:
      wanted = wanted or outcomes
      assert outcomes == wanted, f"{name}: other outcomes"
    peer: dict[str, Any] = {}
    if first is None:
      first = row["per_hour"]
    elif way != "train":
      peer = {"peer": ways[0][0], "peer_value": first}
    yield measuring.Row(
      f"candidates of {given.epochs} epochs, digits, {name}",
      row["per_hour"],
      "candidates/h",
      notes=f"{given.candidates} candidates, {given.population} in a task; "
      f"{row['start_s']:.0f} s to start",
      main=True,
      details=row,
      **peer,
    )


if __name__ == "__main__":
  if WAY in os.environ:
    own = argparse.ArgumentParser()
    arguments(own)
    workers = int(os.environ[WAY].replace("train", "0"))
    print(json.dumps(evaluated(own.parse_args(), workers)))
  else:
    measuring.main(run, __doc__, arguments)
