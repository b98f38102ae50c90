"""Stacks of new threads, and memory that is kept, in processes of their own."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import ctypes, threading
from fbnax.jobs.runtime import compiling
done = compiling.deepen(48 * 2**20)

def read():
  library = ctypes.CDLL(None)
  library.pthread_self.restype = ctypes.c_ulong
  attributes = ctypes.create_string_buffer(256)
  size = ctypes.c_size_t()
  own = ctypes.c_ulong(library.pthread_self())
  library.pthread_getattr_np(own, attributes)
  library.pthread_attr_getstacksize(attributes, ctypes.byref(size))
  print(done, size.value)

if done:
  thread = threading.Thread(target=read)
  thread.start()
  thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can do it")
def test_new_threads_have_a_deeper_stack():
  found = subprocess.run(
    [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True
  )
  if not found.stdout:
    pytest.skip("the C library is not glibc")
  done, size = found.stdout.split()
  assert done == "True" and int(size) == 48 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can do it")
@pytest.mark.parametrize("threads", ["", "1", "3"])
def test_programs_for_other_numbers_of_cores_are_kept_apart(threads):
  """A process with one core must not leave its programs to all."""
  script = (
    "import os; from fbnax.jobs.runtime import compiling; "
    "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    "compiling.prepare(); print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
  )
  environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX")}
  environment["PJRT_NPROC"] = threads  # As Ray's workers are given it.
  done = subprocess.run(
    [sys.executable, "-c", script],
    env={**environment, "FBNAX_CACHE": "/cache"},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == f"/cache/xla/{threads or 1}\n"


# The pages that the system clears for a process.
_PAGES = """
import ctypes, resource, sys
from fbnax.jobs.runtime import compiling

size = 100 * 2**20
if sys.argv[1] == "keep":
  assert compiling.keep_memory()
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
    [sys.executable, "-c", _PAGES, how], capture_output=True, text=True
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
