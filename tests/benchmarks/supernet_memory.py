"""Memory of a training step from 1 to 32 channel options: Figure 3.7.

  python -m tests.benchmarks.supernet_memory [options ...] [--json=FILE]
    [--quick]

Masks, and a block for each option, compiled and not run; see
`fbnax.models.memory`. The block of each option is what masks stand for, and so
the peer. Masks that grow by 1% or more fail.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from fbnax.models import memory
from tests.benchmarks import measuring

OPTIONS = (1, 2, 4, 8, 16, 32)


def run(given: Any) -> Iterator[measuring.Row]:
  """Both forms at all numbers of options."""
  options = (1, 2) if given.quick else given.parts
  first = None
  for k in options:
    megabytes, seconds = {}, {}
    for form in (memory.MASKS, memory.SEPARATE):
      start = time.perf_counter()
      megabytes[form] = memory.step_bytes(form, k).total / 1e6
      seconds[form] = time.perf_counter() - start
    masks = megabytes[memory.MASKS]
    first = masks if first is None else first
    assert masks < 1.01 * first, (k, masks, first)
    yield measuring.Row(
      f"memory of a step, channel options: {k}",
      masks,
      "MB",
      peer="a block for each option",
      peer_value=megabytes[memory.SEPARATE],
      notes=f"grown by {100 * (masks / first - 1):.3f}%; compiled in "
      f"{seconds[memory.MASKS]:.1f} and {seconds[memory.SEPARATE]:.1f} s",
      main=k == options[-1],
    )


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=OPTIONS)
