"""Being told to stop: SIGTERM and SIGINT become a KeyboardInterrupt.

It unwinds the job, which closes its files; what is done since the last
checkpoint is lost. Python raises it wherever the program is, and where that is
a destructor or a callback of the garbage collector (JAX has one) it is printed
and forgotten. So it is raised again until something handles it, which cleaning
up does: that is not disturbed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any, NoReturn

_AGAIN = 2.0  # Seconds.
_STOPPED = 128  # Exit codes from here on are of signals, as shells have them.


def listen() -> None:
  """Takes the signals over; `heard` gives up raising."""
  signal.signal(signal.SIGTERM, _stop)
  signal.signal(signal.SIGINT, _stop)


def heard() -> None:
  """What was asked for is being done."""
  signal.setitimer(signal.ITIMER_REAL, 0)


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
  code = _STOPPED + number

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
