"""Whether the present tree gives what a base commit gave, in the same run.

  python -m tests.freeze BASE [--jobs=nars,train] [--programs] [--keep=FOLDER]

BASE is checked out beside (a git worktree in a temporary folder, which is
removed at the end). Each job runs at its smallest (`tests.freeze.jobs`), by the
same command line of `fbnax.main`, with the same interpreter, the same inputs
and the same persistent cache of compiled programs, in the base and then here:
uncommitted changes count. A table says for each run the CPU-seconds that both
took, and whether `result.json` and `report.html` are equal.

What a run measures is left out (`tests.freeze.comparing`): the keys `seconds`
and `times` of a result, in a report the durations and the chart of them. Of the
job `export` its `latency` and the `bytes` of its program, which names source
files, are left out as well; of the job `profile`, which measures all that it
tells, the keys and the report's sections are compared. Everything else must be
the same to the bit; the first 20 differences are told.

The names in `__all__` of every room are compared, too: none may vanish. With
`--programs` the compile and step times of three programs are printed, which
mean something on a quiet machine alone.

`--jobs` are jobs or runs, or `none`; what they read of other runs runs as well.
All jobs take four CPU-minutes in each tree, ten where nothing is compiled yet.
The exit code is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.freeze import comparing, jobs, programs

ROOT = Path(__file__).parents[2]
TOLD = 20  # Differences of a run that are printed.
# Says where the package is, and the names that each of its rooms has.
_NAMES = """
import importlib, json, pkgutil, fbnax
rooms = {}
for module in pkgutil.iter_modules(fbnax.__path__):
  if module.ispkg:
    room = importlib.import_module(f"fbnax.{module.name}")
    rooms[module.name] = sorted(getattr(room, "__all__", ()))
print(json.dumps([fbnax.__file__, rooms]))
"""


class Left(NamedTuple):
  """What a run of a job left.

  Attributes:
    code: its exit code.
    output: the last lines that it printed.
    seconds: of all cores.
    result: its JSON, None without one.
    page: its report, None without one.
  """

  code: int
  output: str
  seconds: float
  result: Any
  page: str | None


def main(arguments: list[str] | None = None) -> int:
  """Runs what the command line asks for; 1 where anything differs."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("base", help="a commit")
  parser.add_argument("--jobs", default="", help="names, with commas between")
  parser.add_argument("--programs", action="store_true", help="time programs")
  parser.add_argument("--rounds", type=int, default=3, help="of the programs")
  parser.add_argument("--keep", type=Path, help="folder for what the runs left")
  options = parser.parse_args(arguments)
  try:
    names = []
    if options.jobs != "none":
      names = jobs.chosen(name for name in options.jobs.split(",") if name)
  except ValueError as error:
    parser.error(str(error))
  # So that the worktree is removed then as well.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  with contextlib.ExitStack() as stack:
    temporary = stack.enter_context(tempfile.TemporaryDirectory())
    base = stack.enter_context(worktree(options.base, Path(temporary)))
    folder = options.keep.absolute() if options.keep else Path(temporary)
    equal = compare_names(base)
    if names:
      jobs.write_inputs(folder / "inputs")
      equal = compare_jobs(base, folder, names) and equal
    if options.programs:
      times = programs.measure((base, ROOT), _call, folder, options.rounds)
      print("\n".join(programs.table(times)), flush=True)
  print("all is equal" if equal else "there are differences")
  return 0 if equal else 1


@contextlib.contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
  """A checkout of a commit, which is gone when the block ends."""
  path = folder / "tree"
  git = ["git", "-C", str(ROOT), "worktree"]
  subprocess.run(
    [*git, "add", "--quiet", "--detach", str(path), commit], check=True
  )
  try:
    yield path
  finally:
    subprocess.run([*git, "remove", "--force", str(path)], check=True)


def compare_names(base: Path) -> bool:
  """Whether every public name of the base is still there."""
  found = []
  for tree in (base, ROOT):
    done = _python(tree, ["-c", _NAMES])
    if done.returncode:
      raise RuntimeError(f"{tree} cannot be imported:\n{done.stderr[-2000:]}")
    file, rooms = json.loads(done.stdout)
    if not Path(file).is_relative_to(tree):
      raise RuntimeError(f"{file} is imported in place of the one in {tree}")
    found.append(rooms)
  lost = comparing.vanished(*found)
  new = comparing.vanished(*found[::-1])
  count = sum(map(len, found[0].values()))
  print(
    f"public names: {count}, {len(lost)} vanished {lost}, {len(new)} new {new}",
    flush=True,
  )
  return not lost


def compare_jobs(base: Path, folder: Path, names: list[str]) -> bool:
  """Runs all in both trees, prints the table and whether all is equal."""
  left: dict[str, list[Left]] = {name: [] for name in names}
  # Both have the same paths, which results and reports tell.
  runs = folder / "runs"
  for tree, kept in ((base, "base"), (ROOT, "now")):
    for name in names:
      flags = jobs.RUNS[name].flags(folder / "inputs", runs, name)
      left[name].append(run(tree, flags, runs / name))
      print(f"{kept}: {name}, {left[name][-1].seconds:.0f} s", flush=True)
    runs.rename(folder / kept)
  equal = True
  print(f"{'job':18} s base  s now  result equal  report equal")
  for name in names:
    one, other = left[name]
    verdicts = compare(jobs.RUNS[name], one, other)
    words = [_verdict(found) for found in verdicts]
    print(
      f"{name:18} {one.seconds:6.0f} {other.seconds:6.0f}  {words[0]:12}"
      f"  {words[1]}"
    )
    for line in itertools.chain(*(found or () for found in verdicts)):
      print(f"  {line}")
    equal = equal and not any(verdicts)
  return equal


def _verdict(differences: list[str] | None) -> str:
  if differences is None:
    return "none"
  return "no" if differences else "yes"


def compare(
  job: jobs.Run, base: Left, now: Left
) -> tuple[list[str] | None, list[str] | None]:
  """The first differences of the results and of the reports.

  None where neither run has one, and should not.
  """
  failed = [
    f"{kept}: exit code {left.code}, no whole result: {left.output}"
    for kept, left in (("base", base), ("now", now))
    if left.code or left.result is None
  ]
  if failed:
    return failed, None
  results = [left.result for left in (base, now)]
  pages = [left.page for left in (base, now)]
  if "*" in job.measured:
    results = [comparing.structure(result) for result in results]
    shown = [comparing.headings(page or "") for page in pages]
    found = comparing.differences(shown[0], shown[1], "sections")
  else:
    timed = comparing.TIMED + job.measured
    results = [comparing.without_times(result, timed) for result in results]
    found = comparing.page_differences(*(page or "" for page in pages))
  differing = comparing.differences(results[0], results[1])
  return (
    list(itertools.islice(differing, TOLD)),
    None if pages == [None, None] else list(itertools.islice(found, TOLD)),
  )


def run(tree: Path, flags: list[str], workdir: Path) -> Left:
  """A job in a tree."""
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  done = _python(tree, ["-m", "fbnax.main", *flags])
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  result, page = workdir / "result.json", workdir / "report.html"
  return Left(
    done.returncode,
    done.stderr.strip()[-500:],
    after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
    json.loads(result.read_text("utf-8")) if result.exists() else None,
    page.read_text("utf-8") if page.exists() else None,
  )


def _call(tree: Path, arguments: list[str]) -> None:
  print(f"{'now' if tree == ROOT else 'base'}: {arguments[0]}", flush=True)
  done = _python(tree, ["-m", *arguments])
  if done.returncode:
    raise RuntimeError(f"{arguments} failed in {tree}:\n{done.stderr[-2000:]}")


def _python(
  tree: Path, arguments: list[str]
) -> subprocess.CompletedProcess[str]:
  """The interpreter, with the packages of a tree."""
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=tree,
    env=os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"},
    capture_output=True,
    text=True,
    check=False,
  )


if __name__ == "__main__":
  sys.exit(main())
