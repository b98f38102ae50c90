"""Where the tests run: the CPU, with what was compiled before kept.

Set in the environment, before JAX is imported, so that the processes which
tests start have it too.
"""

import os
from pathlib import Path

_CACHE = Path("~/.cache/fbnax/tests").expanduser()

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR", os.environ.get("FBNAX_TEST_CACHE", str(_CACHE))
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
