"""How long it takes until something runs: help, import, a small job.

  python -m tests.benchmarks.start_up [--json=FILE] [--quick]

Each time is of a new process, with a compilation cache of its own in a
temporary folder. A small job is one epoch of the zoo's smallest network on 200
digits: the first start compiles all, the second, in another work directory,
finds the cache; what each spent in tracing and compiling is its `result.json`'s
`times.compiling`. The peer of the import is an import of PyTorch, where it is
installed, and the second start's is the first one. A job that does not end
well fails.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import measuring

ROOT = Path(__file__).parents[2]
JOB = (
  "--config=configs/train.py",
  "--config.data.max_images=200",
  "--config.resolution=8",
  "--config.training.epochs=1",
)
RUNS = 5


def times(line: Sequence[str], cache: Path, runs: int) -> measuring.Timing:
  """Of a command of Python; the first is told apart."""
  environment = os.environ | {"FBNAX_CACHE": str(cache)}
  # Of the tests' or the user's; ours alone counts.
  environment.pop("JAX_COMPILATION_CACHE_DIR", None)
  used = []

  def once(_: int) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
      [sys.executable, *line],
      cwd=ROOT,
      env=environment,
      capture_output=True,
      text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The help's exit code says that there is nothing to run.
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    used.append(
      after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    )

  timing, _ = measuring.timed(once, runs)
  return measuring.Timing(timing.first, timing.wall, tuple(used[1:]))


def job(folder: Path, cache: Path) -> tuple[measuring.Timing, dict[str, Any]]:
  """Time of a start, and what the job says of it."""
  line = ["-m", "fbnax.main", *JOB, f"--workdir={folder}"]
  timing = times(line, cache, 0)
  result = json.loads((folder / "result.json").read_text("utf-8"))
  return timing, result["times"]


def run(given: Any) -> Iterator[measuring.Row]:
  """All starts."""
  runs = 1 if given.quick else RUNS
  with tempfile.TemporaryDirectory() as folder:
    cache = Path(folder) / "cache"
    nothing = times(["-c", "pass"], cache, runs)
    line = ["-m", "fbnax.main", "--help"]
    yield measuring.seconds(
      "`python -m fbnax.main --help`",
      times(line, cache, runs),
      notes=f"Python alone {measuring.amount(nothing.median, 's')}",
      main=True,
    )
    rest: dict[str, Any] = {}
    if importlib.util.find_spec("torch") is not None:
      theirs = times(["-c", "import torch"], cache, runs)
      rest = {"peer": "import torch", "peer_value": theirs.median}
    names = "costs, data, models, nbdt, proxies, search, spaces, training"
    yield measuring.seconds(
      "`import fbnax` and all its rooms",
      times(["-c", f"from fbnax import {names}"], cache, runs),
      main=True,
      **rest,
    )
    first, told = job(Path(folder) / "first", cache)
    yield measuring.Row(
      "a small job, first start",
      first.first,
      "s",
      notes=_compiling(told),
      main=True,
      details=told,
    )
    again = []
    for index in range(runs):
      timing, told = job(Path(folder) / f"again{index}", cache)
      again.append(timing.first)
    yield measuring.seconds(
      "a small job, with a warm compilation cache",
      measuring.Timing(again[0], tuple(again), (0.0,) * runs),
      peer="the first start",
      peer_value=first.first,
      notes=_compiling(told),
      main=True,
      details=told,
    )


def _compiling(told: dict[str, Any]) -> str:
  seconds = sum(told["compiling"].values())
  return f"{measuring.amount(seconds, 's')} of tracing and compiling"


if __name__ == "__main__":
  measuring.main(run, __doc__)
