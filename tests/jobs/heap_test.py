"""Memory that is kept, by the pages that the system clears for a process."""

import subprocess
import sys

import pytest

_SCRIPT = """
import ctypes, resource, sys
from fbnax.jobs.runtime import heap

size = 100 * 2**20
if sys.argv[1] == "keep":
  assert heap.keep()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def faults():
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  block = ctypes.c_void_p(library.malloc(ctypes.c_size_t(size)))
  ctypes.memset(block, 1, size)
  library.free(block)
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def _faults(how):
  found = subprocess.run(
    [sys.executable, "-c", _SCRIPT, how], capture_output=True, text=True
  )
  if "mallopt" in found.stderr or "AssertionError" in found.stderr:
    pytest.skip("the C library is not glibc")
  assert found.returncode == 0, found.stderr[-2000:]
  return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can do it")
def test_what_is_freed_is_taken_again():
  pages = 100 * 2**20 // 4096
  assert _faults("leave") > pages / 600  # Huge pages are of 512.
  assert _faults("keep") < pages / 1000
