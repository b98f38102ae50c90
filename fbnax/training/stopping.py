"""Being told to stop: SIGTERM and SIGINT become a KeyboardInterrupt.

It unwinds the job, which closes its files. Loops that save checkpoints hold it
back until a step is done, save, and then stop; elsewhere what is done since the
last checkpoint is lost, as it is for those who ask twice.

Python raises it wherever the program is, and where that is a destructor or a
callback of the garbage collector it is printed and forgotten. So it is raised
again until something handles it, which cleaning up does: that is not disturbed.

While modules are imported, or JAX's callback runs, it is held back until that
is done: JAX and other libraries of C++ end in a segmentation fault where Python
raises in the middle of their import. Who asks twice then ends the process at
once.

Of several processes, all are to stop after the same step, or the others would
wait for the first: in such loops they ask each other. Elsewhere the one that is
told stops, and the others end as soon as they miss it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_AGAIN = 2.0  # Seconds.
_SOON = 0.05  # Seconds between looks whether imports are done.
_TOGETHER = 10  # Steps between those after which processes ask each other.
_IMPORTS = "<frozen importlib._bootstrap>"  # The file of frames that import.
_COLLECTS = "_xla_gc_callback"  # JAX's function that the collector calls.
_STOPPED = 128  # Exit codes from here on are of signals, as shells have them.

# What a handler of signals can be asked and can tell, of which a process has
# one: whether a loop holds stopping back, and with what code it is to stop.
_held = False
_code: int | None = None


def listen() -> None:
  """Takes the signals over; `heard` gives up raising.

  To be called before anything slow is imported.
  """
  signal.signal(signal.SIGTERM, _stop)
  signal.signal(signal.SIGINT, _stop)


def heard() -> None:
  """What was asked for is being done."""
  global _code
  _code = None
  signal.setitimer(signal.ITIMER_REAL, 0)


def run(program: Callable[[], int], words: str) -> int:
  """Runs a program that may be stopped from its first moment on.

  Args:
    program: imports what is slow itself; gives the exit code.
    words: what is printed where it is stopped.

  Returns:
    The exit code, of the signal where it is stopped.
  """
  listen()
  try:
    return program()
  except KeyboardInterrupt as stop:
    heard()
    print(words, file=sys.stderr)
    return stop.args[0] if stop.args else _STOPPED + signal.SIGINT


def answer() -> None:
  """Stops if it was asked for during imports, which are done here."""
  if _code is not None and not _held:
    stop()


@contextlib.contextmanager
def held(saves: bool = True) -> Iterator[Callable[..., bool]]:
  """Holds stopping back in a loop that saves what it has done.

  Args:
    saves: False: nothing is saved, so stopping is not held back.

  Yields:
    A function that says whether to save and `stop`, to be asked after each step
    with its number, or with none where steps are long. Several processes ask
    each other after every tenth step.

  Raises:
    KeyboardInterrupt: at the end, if it was asked for and did not happen.
  """
  global _held
  before = _held
  _held = saves
  several = saves and _several()

  def asked(step: int = 0) -> bool:
    global _code
    if several and step % _TOGETHER:
      return False
    if several:
      import numpy as np
      from jax.experimental import multihost_utils

      codes = multihost_utils.process_allgather(np.int32(_code or 0))
      agreed = int(codes.max())
      # What came while the others were waited for is told the next time: this
      # process would stop alone.
      _code = agreed or _code
      return agreed > 0
    return _code is not None

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
  fault when Python frees what it works on. Of several processes one that fails
  must not wait for the others either, which wait for it; those that end well
  wait for each other, and for no thread. A signal that was forgotten until the
  job's end must not end Python while it cleans up.
  """
  signal.setitimer(signal.ITIMER_REAL, 0)
  several = _several()
  if several and not code:
    sys.modules["jax"].distributed.shutdown()
  if code > _STOPPED or several:
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(OSError, ValueError):
        stream.flush()
    os._exit(code)
  sys.exit(code)


def _several() -> bool:
  """Whether there are other processes; JAX need not be imported for that."""
  jax = sys.modules.get("jax")
  return (
    jax is not None
    and jax.distributed.is_initialized()
    and jax.process_count() > 1
  )


def _stop(number: int, frame: FrameType | None) -> None:
  global _code
  code = _STOPPED + number
  if _held and _code is None:
    _code = code
    return
  delicate = _is_delicate(frame)
  if delicate and _code is not None:
    os._exit(code)

  def again(_: int, frame: FrameType | None) -> None:
    if _is_delicate(frame) or (_held and _code is not None):
      return
    if not _is_handled(sys.exc_info()[1]):
      signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
      raise KeyboardInterrupt(code)

  signal.signal(signal.SIGALRM, again)
  if delicate:
    _code = code
    signal.setitimer(signal.ITIMER_REAL, _SOON, _SOON)
    return
  signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
  raise KeyboardInterrupt(code)


def _is_delicate(frame: FrameType | None) -> bool:
  """Whether an import, or JAX's callback, runs a frame or is what it runs."""
  while frame is not None:
    code = frame.f_code
    if code.co_filename == _IMPORTS or code.co_name == _COLLECTS:
      return True
    frame = frame.f_back
  return False


def _is_handled(error: BaseException | None) -> bool:
  """Whether a KeyboardInterrupt is what is handled, or what came before it."""
  while error is not None:
    if isinstance(error, KeyboardInterrupt):
      return True
    error = error.__context__
  return False
