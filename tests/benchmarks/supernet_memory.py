"""Memory of a training step from 1 to 32 channel options: Figure 3.7.

  python -m tests.benchmarks.supernet_memory [options ...] [--json=FILE]
    [--quick]

And from 1 to 8 resolutions, one after the other, beside all at once (section
3.3).

Masks, and a block for each option, compiled and not run; see
`fbnax.models.memory`. The block of each option is what masks stand for, and so
the peer. Masks that grow by 1% or more fail.

Result by XLA's analysis (two CPU cores, jax 0.10.2): masks take 75.533 MB for
one option and 75.534 MB for 32, 0.002% more. A block for each option takes
67.1, 118.6, 227.9, 446.5, 883.7 and 1,753 MB for 1, 2, 4, 8, 16 and 32: a
straight line.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from fbnax.models import memory
from tests.benchmarks import measuring

OPTIONS = (1, 2, 4, 8, 16, 32)
_MOST = 16  # Of so many resolutions there are none.


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
    if k < _MOST:
      yield _resolutions(k)


def _resolutions(k: int) -> measuring.Row:
  """The memory of k resolutions, and the time of a step beside it."""
  megabytes, seconds = {}, {}
  for form in (memory.RECOMPUTED, memory.KEPT):
    megabytes[form] = memory.step_bytes(form, k).total / 1e6
    seconds[form] = _seconds(form, k)
  return measuring.Row(
    f"memory of a step, resolutions: {k}",
    megabytes[memory.RECOMPUTED],
    "MB",
    peer="all kept for the gradient",
    peer_value=megabytes[memory.KEPT],
    notes=f"a step takes {1e3 * seconds[memory.RECOMPUTED]:.0f} and"
    f" {1e3 * seconds[memory.KEPT]:.0f} ms",
  )


def _seconds(form: str, k: int) -> float:
  """The median of five steps on zeros."""
  lowered, shapes = memory.lower_step(form, k)
  step = lowered.compile()
  variables, theta, *data = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes
  )
  times = []
  for _ in range(6):  # The first is left out.
    start = time.perf_counter()
    variables, theta = jax.block_until_ready(step(variables, theta, *data))
    times.append(time.perf_counter() - start)
  return statistics.median(times[1:])


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=OPTIONS)
