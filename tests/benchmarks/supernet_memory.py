"""Memory of a training step from 1 to 32 channel options: Figure 3.7.

  python -m tests.benchmarks.supernet_memory [result.json [options ...]]

Masks, and a block for each option, compiled and not run; see
`fbnax.models.memory`. Masks that grow by 1% or more fail.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fbnax.models import memory

OPTIONS = (1, 2, 4, 8, 16, 32)


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  options = tuple(map(int, arguments[1:])) or OPTIONS
  rows = []
  print(f"{'form':8} {'options':>8} {'MB':>10} {'grown':>9} {'compiled s':>11}")
  for form in (memory.MASKS, memory.SEPARATE):
    for k in options:
      start = time.perf_counter()
      found = memory.step_bytes(form, k)
      seconds = time.perf_counter() - start
      rows.append({"form": form, "compile_s": seconds, **found._asdict()})
      first = next(r["total"] for r in rows if r["form"] == form)
      print(
        f"{form:8} {k:8} {found.total / 1e6:10.3f} "
        f"{100 * (found.total / first - 1):8.3f}% {seconds:11.1f}",
        flush=True,
      )
  masks = [row["total"] for row in rows if row["form"] == memory.MASKS]
  assert masks[-1] < 1.01 * masks[0], masks
  if arguments:
    Path(arguments[0]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
