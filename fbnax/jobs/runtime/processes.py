"""One job in several processes, each with devices of its own.

All run the same program on the same values (`fbnax.training.mesh`). The first
one's work directory is the run's; the others start from copies of it as it is
then, work in these, say nothing, and leave nothing. So all decide alike, one
writes, and none needs a file that is shared.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fbnax.base import files
from fbnax.training import stopping

LEGAL = "auto, or HOST:PORT/INDEX/COUNT with the address of process 0"
_ADDRESS = re.compile(r"([^/\s]+:\d+)/(\d+)/(\d+)")
_MISSED = 30  # Seconds after which a process that ended is missed.
# Of a work directory, what no restart reads, or the first process alone.
_LEFT_OUT = ("lock", "tensorboard", "report.html", "checkpoints")


def join(address: str) -> None:
  """Meets the other processes; to be called before JAX has a backend.

  Args:
    address: "auto" where Slurm, Open MPI or a TPU's runtime knows, or the
      address of the first process, this one's index, and how many there are;
      "" for one process alone.

  Raises:
    ValueError: it is none of these, or nothing is known of others.
  """
  if not address:
    return
  match = _ADDRESS.fullmatch(address)
  if match is None and address != "auto":
    raise ValueError(f"--distributed={address}; legal: {LEGAL}")
  found: dict[str, Any] = {}
  if match is not None:
    index, count = int(match[2]), int(match[3])
    if not index < count:
      raise ValueError(
        f"--distributed={address}; legal: an index below {count}"
      )
    found = {
      "coordinator_address": match[1],
      "num_processes": count,
      "process_id": index,
    }
  import jax

  # It would take SIGTERM for itself; see `fbnax.training.stopping`.
  jax.config.update("jax_enable_preemption_service", False)
  sys.excepthook = _fail
  try:
    jax.distributed.initialize(heartbeat_timeout_seconds=_MISSED, **found)
  except ValueError as error:
    raise ValueError(
      f"--distributed={address}: no other processes are known ({error}); legal:"
      f" {LEGAL}"
    ) from error


@contextlib.contextmanager
def working(path: str) -> Iterator[str]:
  """The work directory of this process.

  Args:
    path: of the run's.

  Yields:
    The same for the first process or the only one; for the others a copy that
    does not stay, and what they print is not seen.
  """
  import jax

  if not jax.distributed.is_initialized():
    yield path
    return
  from fbnax.training import agreeing

  _, found = agreeing.by_first(lambda: ({}, {"tar": _pack(Path(path))}))
  if jax.process_index() == 0:
    yield path
    return
  with (
    tempfile.TemporaryDirectory(prefix="fbnax-") as folder,
    open(os.devnull, "w", encoding="utf-8") as nowhere,
    contextlib.redirect_stdout(nowhere),
    contextlib.redirect_stderr(nowhere),
  ):
    with tarfile.open(fileobj=io.BytesIO(found["tar"].tobytes())) as archive:
      archive.extractall(folder, filter="data")
    yield folder


def _fail(kind: Any, error: Any, traceback: Any) -> None:
  """Ends the process by its error; at exit it would wait for the others."""
  sys.__excepthook__(kind, error, traceback)
  stopping.leave(1)


def _pack(path: Path) -> Any:
  """The work directory as bytes, `u8[n]`."""
  import numpy as np  # Not where flags alone are printed.

  files.check_links(path)
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
    for item in sorted(path.iterdir()) if path.is_dir() else ():
      if item.name not in _LEFT_OUT:
        archive.add(item, item.name)
  return np.frombuffer(buffer.getvalue(), np.uint8)
