"""Being told to stop: SIGTERM and SIGINT become a KeyboardInterrupt.

It unwinds the job, which closes its files. Loops that save checkpoints hold it
back until a step is done, save, and then stop; elsewhere what is done since the
last checkpoint is lost, as it is for those who ask twice.

Python raises it wherever the program is, and where that is a destructor or a
callback of the garbage collector (JAX has one) it is printed and forgotten. So
it is raised again until something handles it, which cleaning up does: that is
not disturbed.

Of several processes, all are to stop after the same step, or the others would
wait for the first: JAX's preemption service takes SIGTERM in their loops, which
one of them gets or all, and tells after which.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

_AGAIN = 2.0  # Seconds.
_STOPPED = 128  # Exit codes from here on are of signals, as shells have them.

# What a handler of signals can be asked and can tell, of which a process has
# one: whether a loop holds stopping back, and with what code it is to stop.
_held = False
_code: int | None = None
_steps = itertools.count()


def listen() -> None:
  """Takes the signals over; `heard` gives up raising."""
  signal.signal(signal.SIGTERM, _stop)
  signal.signal(signal.SIGINT, _stop)


def heard() -> None:
  """What was asked for is being done."""
  global _code
  _code = None
  signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def held(wanted: bool = True) -> Iterator[Callable[[], bool]]:
  """Holds stopping back in a loop that saves what it has done.

  Args:
    wanted: False: nothing is saved, so stopping is not held back.

  Yields:
    A function that says whether to save and `stop`, asked after each step; of
    several processes, as often by each.

  Raises:
    KeyboardInterrupt: at the end, if it was asked for and did not happen.
  """
  global _held
  before = _held
  _held = wanted
  import jax  # Not when a program starts that only prints its flags.

  several = wanted and jax.process_count() > 1

  def asked() -> bool:
    if not several:
      return _code is not None
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(next(_steps))

  try:
    yield asked
  finally:
    _held = before
  if _code is not None and not _held:
    stop()


def stop() -> NoReturn:
  """Stops the job as the signal asked."""
  raise KeyboardInterrupt(_code or _STOPPED + signal.SIGTERM)


def leave(code: int) -> NoReturn:
  """Ends the process; where it was stopped without taking XLA apart.

  A thread of XLA may be in the middle of a program, and ends in a segmentation
  fault when Python frees what it works on.
  """
  if code > _STOPPED:
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(OSError, ValueError):
        stream.flush()
    os._exit(code)
  sys.exit(code)


def _stop(number: int, _: Any) -> None:
  global _code
  code = _STOPPED + number
  if _held and _code is None:
    _code = code
    return

  def again(*_: Any) -> None:
    if not _is_handled(sys.exc_info()[1]):
      raise KeyboardInterrupt(code)

  signal.signal(signal.SIGALRM, again)
  signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
  raise KeyboardInterrupt(code)


def _is_handled(error: BaseException | None) -> bool:
  """Whether a KeyboardInterrupt is what is handled, or what came before it."""
  while error is not None:
    if isinstance(error, KeyboardInterrupt):
      return True
    error = error.__context__
  return False
