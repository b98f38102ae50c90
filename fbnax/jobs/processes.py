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
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

LEGAL = "auto, or HOST:PORT/INDEX/COUNT with the address of process 0"
_ADDRESS = re.compile(r"([^/\s]+:\d+)/(\d+)/(\d+)")
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
  import jax

  if match is None:
    try:
      jax.distributed.initialize()
    except ValueError as error:
      raise ValueError(
        f"--distributed=auto: no other processes are known ({error}); legal: "
        f"{LEGAL}"
      ) from error
    return
  index, count = int(match[2]), int(match[3])
  if not index < count:
    raise ValueError(f"--distributed={address}; legal: an index below {count}")
  jax.distributed.initialize(match[1], count, index)


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

  packed = agreeing.share(
    _pack(Path(path)) if jax.process_index() == 0 else b""
  )
  if jax.process_index() == 0:
    yield path
    return
  with (
    tempfile.TemporaryDirectory(prefix="fbnax-") as folder,
    open(os.devnull, "w", encoding="utf-8") as nowhere,
    contextlib.redirect_stdout(nowhere),
    contextlib.redirect_stderr(nowhere),
  ):
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
      archive.extractall(folder, filter="data")
    yield folder


def _pack(path: Path) -> bytes:
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode="w") as archive:
    for item in sorted(path.iterdir()) if path.is_dir() else ():
      if item.name not in _LEFT_OUT:
        archive.add(item, item.name)
  return buffer.getvalue()
