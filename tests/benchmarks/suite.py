"""All benchmarks, and how they are run: each as a process of its own.

So memory and what is compiled are each one's own, and one that fails ends no
other. A finished one leaves its JSON in the folder and is not run again there.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fbnax.base.files import write_atomically
from fbnax.base.json_values import to_json
from fbnax.training.progress import duration
from tests.benchmarks import measuring

ROOT = Path(__file__).parents[2]
ALL = "all.json"
_QUICK_SECONDS = 30.0  # Expected of one with `--quick`.


@dataclasses.dataclass(frozen=True)
class Benchmark:
  """One of them.

  Attributes:
    name: of its module.
    minutes: that it takes on two cores, for the time that is left.
    files: that it needs, looked for in the data folders.
    packages: that it cannot do without.
    workdir: whether it is given a folder to work in after its files.
    quick: whether it can be quick; not where compiling takes minutes.
  """

  name: str
  minutes: float
  files: tuple[str, ...] = ()
  packages: tuple[str, ...] = ()
  workdir: bool = False
  quick: bool = True


BENCHMARKS = (
  Benchmark("network_step", 14.0),
  Benchmark("supernet_step", 2.0),
  Benchmark("supernet_memory", 2.0),
  Benchmark("shared", 12.0),
  Benchmark("device", 5.0, packages=("ai_edge_quantizer", "tflite_micro")),
  Benchmark("sampling_step", 3.0),
  Benchmark("population", 12.0),
  Benchmark("ray_workers", 15.0, packages=("ray",)),
  Benchmark("evolution", 5.0),
  Benchmark("cost_labels", 0.5),
  Benchmark("proxies", 6.0, packages=("torch",)),
  Benchmark("tree", 1.5),
  Benchmark("soft_rank", 1.0),
  Benchmark("predictor", 2.5),
  Benchmark("augmentation", 1.0),
  Benchmark("input_rate", 2.0),
  Benchmark("start_up", 3.0),
  Benchmark("programs", 4.0),
  Benchmark("compiling", 6.0),
  Benchmark("serving", 1.0, packages=("starlette", "uvicorn")),
  Benchmark("latency", 1.0, files=("fbnet_latency_help.npz",)),
  Benchmark("graph_predictor", 4.0, files=("ofa_mbv3.npz", "splits.json")),
  Benchmark(
    "latency_search",
    20.0,
    files=("hwnas_fbnet_lut.json", "cifar10.npz"),
    workdir=True,
    quick=False,
  ),
)


def names() -> list[str]:
  """Of all benchmarks."""
  return [b.name for b in BENCHMARKS]


def command(
  benchmark: Benchmark, folder: Path, data: Sequence[Path], quick: bool
) -> list[str]:
  """The command line of one.

  Raises:
    ValueError: a file or package that it needs is missing, which is named, or
      it has no quick form.
  """
  if quick and not benchmark.quick:
    raise ValueError("there is no quick form of it")
  for package in benchmark.packages:
    if importlib.util.find_spec(package) is None:
      raise ValueError(f"{package} is not installed")
  arguments = []
  for name in benchmark.files:
    found = [f for d in data for f in sorted(d.rglob(name))]
    if not found:
      raise ValueError(f"no {name} in {', '.join(map(str, data)) or 'no data'}")
    arguments.append(str(found[0]))
  if benchmark.workdir:
    arguments.append(str(folder / f"{benchmark.name}{'_quick' * quick}"))
  if quick:
    arguments.append("--quick")
  json_file = folder / f"{benchmark.name}.json"
  module = f"{__package__}.{benchmark.name}"
  return [sys.executable, "-m", module, *arguments, f"--json={json_file}"]


def finished(path: Path, quick: bool) -> dict[str, Any] | None:
  """The report in a file, if it is whole, of this form and of these sizes."""
  try:
    report = json.loads(path.read_text("utf-8"))
  except (OSError, ValueError):
    return None
  version = report.get("schema_version"), report.get("quick")
  return report if version == (measuring.SCHEMA, quick) else None


def run(
  benchmarks: Sequence[Benchmark],
  folder: Path,
  *,
  data: Sequence[Path] = (),
  quick: bool = False,
  again: bool = False,
) -> dict[str, Any]:
  """Runs those that are not finished yet, one after the other.

  Args:
    benchmarks: which.
    folder: for their reports, what they print, and all together.
    data: folders in which files are looked for.
    quick: smallest sizes.
    again: run those that are finished, too.

  Returns:
    `benchmarks` (all reports that the folder has by now), `failed` and
    `left_out` (reasons by name).
  """
  folder.mkdir(parents=True, exist_ok=True)
  found: dict[str, Any] = {"failed": {}, "left_out": {}}
  waiting = []
  for benchmark in benchmarks:
    path = folder / f"{benchmark.name}.json"
    if not again and finished(path, quick) is not None:
      print(f"{benchmark.name}: is there, {path}", flush=True)
      continue
    try:
      waiting.append((benchmark, command(benchmark, folder, data, quick)))
    except ValueError as error:
      found["left_out"][benchmark.name] = str(error)
      print(f"{benchmark.name}: left out, {error}", flush=True)
  expected = [_QUICK_SECONDS if quick else 60 * b.minutes for b, _ in waiting]
  start = time.monotonic()
  for index, (benchmark, line) in enumerate(waiting):
    # What is left, at the pace of what was done.
    pace = (time.monotonic() - start) / sum(expected[:index]) if index else 1.0
    print(
      f"{benchmark.name}: {index + 1} of {len(waiting)}, about "
      f"{duration(pace * sum(expected[index:]))} left",
      flush=True,
    )
    path = folder / f"{benchmark.name}.json"
    path.unlink(missing_ok=True)
    reason = _call(line, folder / f"{benchmark.name}.log")
    if reason is not None or finished(path, quick) is None:
      reason = found["failed"][benchmark.name] = reason or "it left no report"
      print(f"{benchmark.name}: FAILED, {reason}", flush=True)
    _write(folder, found, quick)
  return _write(folder, found, quick)


def _write(folder: Path, found: dict[str, Any], quick: bool) -> dict[str, Any]:
  """Everything that is finished in the folder, and what is not."""
  reports = {n: finished(folder / f"{n}.json", quick) for n in names()}
  whole = {
    "schema_version": measuring.SCHEMA,
    "quick": quick,
    "benchmarks": {n: r for n, r in reports.items() if r is not None},
    **found,
  }
  write_atomically(folder / ALL, to_json(whole, indent=2, sort=False) + "\n")
  return whole


def _call(line: Sequence[str], log: Path) -> str | None:
  """Runs a command and shows what it prints; the reason if it failed."""
  last = ""
  with (
    log.open("w", encoding="utf-8") as file,
    subprocess.Popen(
      line,
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      errors="replace",
    ) as process,
  ):
    assert process.stdout is not None
    try:
      for text in process.stdout:
        file.write(text)
        print(f"  {text}", end="", flush=True)
        last = text.strip() or last
    except BaseException:
      process.terminate()
      raise
  if process.returncode == 0:
    return None
  return f"exit code {process.returncode}: {last} (all of it in {log})"
