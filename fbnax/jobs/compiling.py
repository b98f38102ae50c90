"""What XLA's compiler gets: a cache in the user's directory, and deep stacks.

XLA walks a program by recursion, in threads whose stack has the system's
default size, often 8 MB. A switch in each of 22 layers, as single paths through
FBNet's space have it, needs more, and ends in a segmentation fault.
"""

from __future__ import annotations

import ctypes
import os

STACK = 64 * 2**20  # Bytes; of the address space, until they are used.
_ATTRIBUTES = 256  # More bytes than any `pthread_attr_t` has.


def prepare() -> None:
  """To be called before JAX is imported, which reads this."""
  cache = os.environ.get("FBNAX_CACHE") or os.path.expanduser("~/.cache/fbnax")
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{cache}/xla")
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
  deepen()


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
