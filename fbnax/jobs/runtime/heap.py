"""Memory that a process keeps: what one step frees, the next one takes.

XLA for CPUs allocates what a program computes with anew in each run, a hundred
megabytes for a training step of a small network. glibc takes blocks of that
size from the system and gives them back, so that each run has the system clear
every page again, which took a quarter of the step's time. Kept in the process
they are cleared once.
"""

from __future__ import annotations

import ctypes

# Of mallopt, in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
# Bytes; larger blocks are not kept. Before 2.35 glibc takes the second at most.
_LARGEST = (2**31 - 1, 2**25)
_NEVER = 2**31 - 1


def keep() -> bool:
  """To be called before there are threads. Only glibc can do it.

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
