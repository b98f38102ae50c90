"""What XLA's compiler gets: a cache in the user's directory, and deep stacks.

XLA hands the kernels of a program to a pool of threads, and where the queue of
these is full it compiles the next one at once, inside of the one it is at: a
program of thousands of kernels nests hundreds of them, at 0.13 MB each, in a
stack of often 8 MB. Single paths through the 22 layers of FBNet's space are
such a program, and ended in a segmentation fault on one core. A deeper stack
helps there, but not always; with two cores it was not seen.
"""

from __future__ import annotations

import ctypes
import os

from fbnax.jobs.runtime import heap

STACK = 512 * 2**20  # Bytes; of the address space, until they are used.
_ATTRIBUTES = 256  # More bytes than any `pthread_attr_t` has.


def prepare() -> None:
  """To be called before JAX is imported, which reads this."""
  cache = os.environ.get("FBNAX_CACHE") or os.path.expanduser("~/.cache/fbnax")
  # XLA cuts a program's loops for the cores it finds, and JAX's key of it does
  # not name them: a program of one core would be found by all.
  folder = f"{cache}/xla/{cores()}"
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
  deepen()
  heap.keep()


def cores() -> int:
  """Threads that XLA computes with on a CPU: cores that this process may use.

  As XLA itself, this reads `PJRT_NPROC` and `NPROC`, by which Ray's workers are
  given fewer than the machine has.
  """
  for name in ("PJRT_NPROC", "NPROC"):
    if os.environ.get(name, "").isdecimal():
      return int(os.environ[name])
  if hasattr(os, "sched_getaffinity"):  # Not on macOS.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def deepen(size: int = STACK) -> bool:
  """Gives threads that are started from now on a stack of `size` bytes.

  To be called before JAX has a backend. Only glibc can do it.

  Returns:
    Whether it was done.
  """
  attributes = ctypes.create_string_buffer(_ATTRIBUTES)
  try:
    library = ctypes.CDLL(None)
    set_default = library.pthread_setattr_default_np
  except (AttributeError, OSError, TypeError):
    return False
  library.pthread_attr_init(attributes)
  failed = library.pthread_attr_setstacksize(
    attributes, ctypes.c_size_t(size)
  ) or set_default(attributes)
  library.pthread_attr_destroy(attributes)
  return not failed
