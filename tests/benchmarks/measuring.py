"""What all benchmarks share: timing loops, results, their table and their JSON.

A benchmark is a module with `run(given)`, which yields rows, and ends with
`measuring.main(run, __doc__)`; it is called as

  python -m tests.benchmarks.NAME [PART ...] [--json=FILE] [--quick]

Rows are printed as they come. `--quick` takes the smallest sizes: it shows that
the benchmark works and measures nothing. No benchmark asserts a time; a wrong
result fails it.

A row may hold what a peer took for the same work. Its ratio is always one of
times, ours over the peer's: below 1 we are the faster.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fbnax.base.files import write_atomically
from fbnax.base.json_values import to_json
from fbnax.jobs.runtime.compiling import cores, keep_memory

SCHEMA = 1
PACKAGES = ("jax", "jaxlib", "flax", "numpy", "scikit-learn", "torch", "pymoo")
SHARED = Path(__file__).parents[3] / "shared"  # Real tables, where there are.
_RATES = "/"  # A unit that has it is more the better.


@dataclasses.dataclass(frozen=True)
class Timing:
  """Calls of one function.

  Attributes:
    first: seconds of the call that compiles.
    wall: seconds of each later call by the clock.
    cpu: seconds of each by all cores of this process.
  """

  first: float
  wall: tuple[float, ...]
  cpu: tuple[float, ...]

  @property
  def median(self) -> float:
    """Median by the clock."""
    return statistics.median(self.wall)

  @property
  def quartiles(self) -> tuple[float, float]:
    """What half of the calls lie between, by the clock."""
    if len(self.wall) < 3:
      return min(self.wall), max(self.wall)
    lower, _, upper = statistics.quantiles(self.wall, n=4, method="inclusive")
    return lower, upper

  def summary(self) -> dict[str, float]:
    """What JSON keeps."""
    return {
      "first_call_s": self.first,
      "median_s": self.median,
      "best_s": min(self.wall),
      "cpu_median_s": statistics.median(self.cpu),
      "cpu_best_s": min(self.cpu),
      "runs": len(self.wall),
    }


@dataclasses.dataclass(frozen=True)
class Row:
  """A result.

  Attributes:
    name: what was measured.
    value: the median, where there are several.
    unit: of the value: `s`, `MB`, `images/s`; empty for a plain number.
    lower: the first quartile.
    upper: the third.
    peer: who did the same work, empty for nobody.
    peer_value: and what it took, in the same unit.
    notes: what a reader must know.
    main: whether it belongs into the README's table.
    details: further numbers, for JSON alone.
  """

  name: str
  value: float
  unit: str = ""
  lower: float | None = None
  upper: float | None = None
  peer: str = ""
  peer_value: float | None = None
  notes: str = ""
  main: bool = False
  details: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def ratio(self) -> float | None:
    """Of our time to the peer's; None without one."""
    if not self.peer_value or not self.value:
      return None
    if _RATES in self.unit:
      return self.peer_value / self.value
    return self.value / self.peer_value


def timed(
  function: Callable[[int], Any],
  runs: int,
  each: Callable[[Any], None] | None = None,
) -> tuple[Timing, Any]:
  """Calls a function once, and then `runs` times, until its result is there.

  Args:
    function: of the number of the call, from 0, which is the one that compiles.
    runs: calls whose times count.
    each: is given every result, between the calls.

  Returns:
    The times, and the last result.
  """
  import jax

  wall, cpu, result = [], [], None
  for index in range(runs + 1):
    start, used = time.perf_counter(), time.process_time()
    # Results that hold host arrays, too, are ready there.
    result = jax.block_until_ready(function(index))
    wall.append(time.perf_counter() - start)
    cpu.append(time.process_time() - used)
    if each is not None:
      each(result)
  return Timing(wall[0], tuple(wall[1:]), tuple(cpu[1:])), result


def seconds(name: str, timing: Timing, **fields: Any) -> Row:
  """A row of a time; `fields` are those of `Row`."""
  lower, upper = timing.quartiles
  details = timing.summary() | fields.pop("details", {})
  return Row(name, timing.median, "s", lower, upper, details=details, **fields)


def rate(
  name: str, timing: Timing, count: float, unit: str, **fields: Any
) -> Row:
  """A row of a rate: `count` of the `unit` (`images/s`) in each call."""
  lower, upper = timing.quartiles
  details = timing.summary() | fields.pop("details", {})
  return Row(
    name,
    count / timing.median,
    unit,
    count / upper,
    count / lower,
    details=details,
    **fields,
  )


@contextlib.contextmanager
def counted_programs() -> Iterator[list[float]]:
  """Seconds of each compilation while the context lasts, as a list.

  One that is read from the cache counts like any.
  """
  import jax

  found: list[float] = []

  def heard(event: str, duration: float, **_: Any) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
      found.append(duration)

  jax.monitoring.register_event_duration_secs_listener(heard)
  try:
    yield found
  finally:
    jax.monitoring.unregister_event_duration_listener(heard)


def one_core() -> None:
  """Leaves one core to the threads that are started from now on.

  To be called before JAX has a backend. Where processor time is what counts,
  as threads of the others would wait for each other and that counts too.
  """
  if hasattr(os, "sched_setaffinity"):  # Not on macOS.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def no_cache() -> None:
  """Compiles everything anew, so that what compiling takes is seen."""
  import jax

  jax.config.update("jax_enable_compilation_cache", False)


def machine() -> dict[str, Any]:
  """What the numbers depend on besides the code."""
  from fbnax.models import timing

  versions = {"python": platform.python_version()}
  for package in PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      versions[package] = importlib.metadata.version(package)
  return {
    "device": timing.device(),
    "cores": cores(),
    "system": platform.platform(),
    "versions": versions,
  }


def main(
  run: Callable[[argparse.Namespace], Iterable[Row]],
  doc: str,
  arguments: Callable[[argparse.ArgumentParser], Any] | None = None,
  parts: Sequence[Any] = (),
) -> None:
  """Runs a benchmark by its command line, prints its table, writes its JSON.

  Args:
    run: is given what was asked for: `quick`, `parts`, and what `arguments`
      added; yields rows.
    doc: of the module.
    arguments: adds arguments of the benchmark's own.
    parts: all parts that may be asked for by name; `given.parts` are those that
      were, or all.
  """
  keep_memory()  # As jobs do; for peers in the same process too.
  title, _, description = doc.partition("\n")
  parser = argparse.ArgumentParser(
    description=description,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  if arguments is not None:
    arguments(parser)
  if parts:
    kind = type(parts[0])
    parser.add_argument("parts", nargs="*", type=kind, metavar="part")
  parser.add_argument("--quick", action="store_true", help="smallest sizes")
  parser.add_argument("--json", type=Path, help="file for the result")
  given = parser.parse_args()
  if parts:
    unknown = [p for p in given.parts if p not in parts]
    if unknown:
      parser.error(f"{unknown[0]!r}; legal: {', '.join(map(str, parts))}")
    given.parts = given.parts or list(parts)
  load, start = os.getloadavg()[0], time.perf_counter()
  there = cores()  # A benchmark may leave itself one.
  print(title, flush=True)
  rows = []
  for row in run(given):
    rows.append(row)
    print("  " + line(row), flush=True)
  report = {
    "schema_version": SCHEMA,
    "benchmark": Path(sys.argv[0]).stem,
    "title": title.rstrip("."),
    "quick": given.quick,
    "seconds": time.perf_counter() - start,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "load": [load, os.getloadavg()[0]],
    "machine": machine() | {"cores": there},
    "rows": [as_dict(row) for row in rows],
  }
  print(foot(report))
  if given.json:
    write_atomically(given.json, to_json(report, indent=2, sort=False) + "\n")


def as_dict(row: Row) -> dict[str, Any]:
  """A row as JSON has it."""
  return dataclasses.asdict(row) | {"ratio": row.ratio}


def line(row: Row) -> str:
  """A row for the terminal."""
  name = f"{row.name:60} "
  words = [f"{name}{amount(row.value, row.unit):>18}"]
  if row.lower is not None and row.upper is not None:
    words.append(f" ({between(row.lower, row.upper, row.unit)})")
  if row.ratio is not None and row.peer_value is not None:
    words.append(
      f"; {row.peer} {amount(row.peer_value, row.unit)}, ratio {row.ratio:.2g}"
    )
  if row.notes:
    words.append(f"; {row.notes}")
  return "".join(words)


def foot(report: dict[str, Any]) -> str:
  """The machine in a line."""
  found = report["machine"]
  versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
  loads = " to ".join(f"{x:.1f}" for x in report["load"])
  return (
    f"on {found['device']}, {found['cores']} cores, load {loads}; {versions}; "
    f"{report['seconds']:.0f} s, {report['peak_mb']:.0f} MB at most"
  )


def amount(value: float, unit: str) -> str:
  """A number with its unit, three digits of it: `1.55 M images/s`, `17 ms`."""
  if unit == "s":
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
      if abs(value) >= scale or name == "µs":
        return f"{three(value / scale)} {name}"
  if _RATES in unit:
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
      if abs(value) >= scale:
        scale = min(scale, 1e3) if prefix == "k" else scale
        return f"{three(value / scale)} {prefix} {unit}"
  return f"{three(value)} {unit}".rstrip()


def between(lower: float, upper: float, unit: str) -> str:
  """Two ends; the unit of a rate is left out."""
  words = [amount(value, unit) for value in (lower, upper)]
  if _RATES in unit:
    words = [word.removesuffix(f" {unit}") for word in words]
  return " to ".join(words)


def three(value: float) -> str:
  """A number to three digits."""
  if value == 0 or not abs(value) < 1e15:
    return f"{value:g}"
  if abs(value) >= 100:
    return f"{value:,.0f}"
  if abs(value) < 1e-3:
    return f"{value:.1e}"
  return f"{value:.3g}"
