"""Results of benchmarks as tables, which are made here, and only here.

`measured/NAME.json` beside this file is what `--publish=NAME` put there, one
file for each machine; between two marks in README.md beside this file stands
what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import measuring

MEASURED = Path(__file__).parent / "measured"
README = Path(__file__).parent / "README.md"
BEGIN = "<!-- written by `python -m tests.benchmarks --publish=NAME` -->\n"
END = "<!-- end of what the benchmarks wrote -->\n"
_SPECIAL = str.maketrans({"|": "\\|", "\n": " "})


def rows_of(report: Mapping[str, Any]) -> list[measuring.Row]:
  """Rows of a benchmark's report."""
  return [
    measuring.Row(**{k: v for k, v in row.items() if k != "ratio"})
    for row in report["rows"]
  ]


def text(found: Mapping[str, Any]) -> str:
  """All results, for the terminal."""
  lines = []
  for name, report in found["benchmarks"].items():
    lines.append(f"{name}: {report['title']}")
    lines += ["  " + measuring.line(row) for row in rows_of(report)]
  for word in ("failed", "left_out"):
    for name, reason in found[word].items():
      lines.append(f"{name}: {word.replace('_', ' ')}, {reason}")
  return "\n".join(lines)


def markdown(found: Mapping[str, Any]) -> str:
  """The main results of one machine, for the README.

  Raises:
    ValueError: the results are of several machines, or there are none.
  """
  reports = found["benchmarks"]
  devices = {
    (r["machine"]["device"], r["machine"]["cores"]) for r in reports.values()
  }
  if len(devices) != 1:
    raise ValueError(
      f"results of {len(devices)} machines, {sorted(devices)}; legal: one"
    )
  [(device, cores)] = devices
  versions: dict[str, str] = {}
  for report in reports.values():
    versions |= report["machine"]["versions"]
  loads = [load for report in reports.values() for load in report["load"]]
  told = ", ".join(f"{name} {number}" for name, number in versions.items())
  lines = [
    f"{device}, {cores} cores, load {min(loads):.1f} to {max(loads):.1f}; "
    f"{told}.",
    "",
    "| what | benchmark | median (middle half of the runs) | peer | ratio | |",
    "|---|---|---|---|---|---|",
  ]
  for name, report in reports.items():
    for row in rows_of(report):
      if row.main:
        lines.append(_row(name, row))
  if found["failed"]:
    lines += ["", f"Failed: {', '.join(found['failed'])}."]
  return "\n".join(lines) + "\n"


def _row(benchmark: str, row: measuring.Row) -> str:
  value = measuring.amount(row.value, row.unit)
  if row.lower is not None and row.upper is not None:
    value += f" ({measuring.between(row.lower, row.upper, row.unit)})"
  peer = ratio = ""
  if row.ratio is not None and row.peer_value is not None:
    peer = f"{row.peer}: {measuring.amount(row.peer_value, row.unit)}"
    ratio = f"{row.ratio:.2g}"
  cells = (row.name, f"`{benchmark}`", value, peer, ratio, row.notes)
  return "| " + " | ".join(c.translate(_SPECIAL) for c in cells) + " |"


def in_readme(readme: str, machines: Iterable[Mapping[str, Any]]) -> str:
  """The README with the results between its marks.

  Raises:
    ValueError: the marks are not there, once each and in order.
  """
  before, begin, rest = readme.partition(BEGIN)
  _, end, after = rest.partition(END)
  if not begin or not end or BEGIN in after or END in after:
    raise ValueError(f"README: legal is one {BEGIN.strip()} and one {END}")
  tables = "\n".join(markdown(found) for found in machines)
  return f"{before}{begin}\n{tables}\n{end}{after}"
