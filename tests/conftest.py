"""Where the tests run: the CPU, with what was compiled before kept.

Set in the environment, before JAX is imported, so that the processes which
tests start have it too. Most of their time goes into compiling programs that
run for milliseconds, a third of that into LLVM's optimizations, so these are
left out; `JAX_DISABLE_MOST_OPTIMIZATIONS=0` has them.
"""

import os
from pathlib import Path

import pytest

_CACHE = Path("~/.cache/fbnax/tests").expanduser()

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR", os.environ.get("FBNAX_TEST_CACHE", str(_CACHE))
)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
  """Drops compiled programs after each file.

  Each holds up to thousands of memory mappings, and a process that runs out of
  them (65,530 on Linux) is ended by a segmentation fault.
  """
  yield
  import jax  # After the environment is set.

  jax.clear_caches()
