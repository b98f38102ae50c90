"""What a process gives XLA: a cache of programs, deep stacks, kept memory.

XLA hands the kernels of a program to a pool of threads, and where the queue of
these is full it compiles the next one at once, inside of the one it is at: a
program of thousands of kernels nests hundreds of them, at 0.13 MB each, in a
stack of often 8 MB. Single paths through the 22 layers of FBNet's space are
such a program, and ended in a segmentation fault on one core. A deeper stack
helps there, but not always; with two cores it was not seen.

XLA for CPUs allocates what a program computes with anew in each run, a hundred
megabytes for a training step of a small network. glibc takes blocks of that
size from the system and gives them back, so that each run has the system clear
every page again, which took a quarter of the step's time. Kept in the process
they are cleared once: what one step frees, the next one takes.
"""

from __future__ import annotations

import ctypes
import os

STACK = 512 * 2**20  # Bytes; of the address space, until they are used.
_ATTRIBUTES = 256  # More bytes than any `pthread_attr_t` has.
# Of mallopt, in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
# Bytes; larger blocks are not kept. Before 2.35 glibc takes the second at most.
_LARGEST = (2**31 - 1, 2**25)
_NEVER = 2**31 - 1


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
  keep_memory()


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


def keep_memory() -> bool:
  """Keeps in the process what it frees.

  To be called before there are threads. Only glibc can do it.

  Returns:
    Whether it was done.
  """
  try:
    set_option = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return False
  # First, since the others without it would make things worse.
  if not any(set_option(_MMAP_THRESHOLD, most) == 1 for most in _LARGEST):
    return False
  # One arena, since those of threads cannot hold blocks of this size.
  options = ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, _NEVER))
  return all([set_option(*option) == 1 for option in options])
