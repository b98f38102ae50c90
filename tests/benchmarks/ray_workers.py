"""Candidates per hour: trained in one process, and by Ray's workers beside it.

  python -m tests.benchmarks.ray_workers [--json FILE] [--candidates 24]
      [--epochs 12] [--population 2] [--workers 1 2 4]

The candidates are Sobol points of the default job's space (scikit-learn's
digits at 8 pixels). Each way to evaluate them is a process of its own: training
in it with all cores and with one, and so many workers of one core. The first
candidates, a task for each of the most workers, are the start: Ray's processes,
data and compilation in each of them (programs of an earlier run come from the
cache). The others are timed. What comes of the candidates has to be the same
to the last bit wherever they have one core; with more, XLA rounds otherwise.
Times are printed, and nothing is expected of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# The way to evaluate of this process: "train", or a number of workers.
WAY = "FBNAX_BENCHMARK_WAY"


def evaluated(options: argparse.Namespace, workers: int) -> dict[str, Any]:
  """Times, and outcomes but for their seconds; 0 workers for this process."""
  from fbnax.jobs import compiling

  compiling.prepare()
  import numpy as np

  from fbnax.jobs import evaluating, inputs
  from fbnax.search.evaluators import Candidate

  config = make_config(options)
  config.evaluator = "ray" if workers else "train"
  config.ray.workers = workers
  dataset = inputs.dataset(config)
  splits = inputs.hold_out(config, dataset)
  space = inputs.space(config, dataset.channels)
  first = max(options.workers) * options.population
  drawn = np.asarray(space.sobol(first + options.candidates))
  candidates = [Candidate(i, tuple(g.tolist()), i) for i, g in enumerate(drawn)]
  outcomes, times = [], []
  with evaluating.opened(config, space, dataset, *splits) as evaluate:
    for some in (candidates[:first], candidates[first:]):
      begin = time.monotonic()
      for ended in evaluate(some, options.epochs, lambda _: None):
        outcomes += [o._replace(seconds=0.0)._asdict() for o in ended]
      times.append(time.monotonic() - begin)
  return {
    "start_s": times[0],
    "timed_s": times[1],
    "candidates": options.candidates,
    "per_hour": options.candidates / times[1] * 3600,
    "outcomes": sorted(outcomes, key=lambda o: o["id"]),
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


def measured(arguments: list[str], way: str, cores: int) -> dict[str, Any]:
  """What `evaluated` finds in a process of its own."""
  done = subprocess.run(
    [sys.executable, "-m", "tests.benchmarks.ray_workers", *arguments],
    cwd=ROOT,
    # Ray's workers make way for other processes, if they are not told.
    env=os.environ
    | {WAY: way, "PJRT_NPROC": str(cores), "RAY_worker_niceness": "0"},
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str]) -> None:
  """Prints a table, and writes it as JSON where that is asked for."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--json", type=Path)
  parser.add_argument("--candidates", type=int, default=24)
  parser.add_argument("--epochs", type=int, default=12)
  parser.add_argument("--population", type=int, default=2)
  parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
  options = parser.parse_args(arguments)
  if WAY in os.environ:
    workers = os.environ[WAY].replace("train", "0")
    print(json.dumps(evaluated(options, int(workers))))
    return
  cores = len(os.sched_getaffinity(0))
  print(
    f"{cores} cores, {options.candidates} candidates of {options.epochs} "
    f"epochs, {options.population} in a task\n"
    f"{'way':20} {'start':>8} {'timed':>8} {'candidates/h':>13}"
  )
  ways = [
    (f"train, {cores} cores", "train", cores),
    ("train, 1 core", "train", 1),
  ]
  ways += [(f"ray, {n} workers", str(n), 1) for n in options.workers]
  rows, wanted = [], None
  for name, way, threads in ways:
    row = measured(arguments, way, threads)
    outcomes = row.pop("outcomes")
    if threads == 1:
      wanted = wanted or outcomes
      assert outcomes == wanted, f"{name}: other outcomes"
    rows.append({"way": name, **row})
    print(
      f"{name:20} {row['start_s']:6.1f} s {row['timed_s']:6.1f} s "
      f"{row['per_hour']:13,.0f}",
      flush=True,
    )
  if options.json:
    options.json.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
