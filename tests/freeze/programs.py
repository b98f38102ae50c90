"""Compile and step times of three programs, in two trees by turns.

The programs are a training step of the middle of `small`, a masked population
of four, and a differentiable search. Each tree times its own by its own
benchmarks (`tests/benchmarks`), which print the same rows for the same work.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

# Of `tests.benchmarks`: the module, and what it is told.
BENCHMARKS: tuple[tuple[str, ...], ...] = (
  (
    "programs",
    "a network, middle of `small`",
    "a population of four, `small`",
    "differentiable search, `small_dnas`",
  ),
  ("network_step", "small"),
  ("population", "digits", "--quick"),
  ("sampling_step", "batch"),
)


def measure(
  trees: Sequence[Path],
  call: Callable[[Path, list[str]], None],
  folder: Path,
  rounds: int,
) -> list[dict[str, list[float]]]:
  """Seconds of each row of the benchmarks in each tree, one for each round.

  Args:
    trees: the base and the present one.
    call: runs a module with its arguments in a tree.
    folder: for the benchmarks' results.
    rounds: how often each is run; the trees take turns in going first.
  """
  times: list[dict[str, list[float]]] = [{} for _ in trees]
  for index in range(rounds):
    for name, *arguments in BENCHMARKS:
      turns = list(enumerate(trees))
      for place, tree in turns[:: -1 if index % 2 else 1]:
        path = folder / f"{name}.json"
        call(tree, [f"tests.benchmarks.{name}", *arguments, f"--json={path}"])
        for row in json.loads(path.read_text("utf-8"))["rows"]:
          if row["unit"] == "s" or "/" in row["unit"]:
            seconds = row["value"] if row["unit"] == "s" else 1 / row["value"]
            times[place].setdefault(row["name"], []).append(seconds)
  return times


def table(times: Sequence[dict[str, list[float]]]) -> list[str]:
  """A line for each row that both trees have: medians, and their ratio."""
  base, now = times
  lines = [f"{'program':70}  s base   s now  ratio"]
  for name in base:
    if name in now:
      one, other = (statistics.median(t[name]) for t in (base, now))
      lines.append(f"{name:70} {one:7.3g} {other:7.3g}  {other / one:5.2f}")
  return lines
