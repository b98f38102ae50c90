"""What one process does and all of them know, as reading and writing files.

Where there is one process it is done and that is all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.json_values import to_json

_PART = 2**27  # Bytes that are sent at a time.
# As which an error is raised in the other processes.
_ERRORS: tuple[type[Exception], ...] = (ValueError, OSError, RuntimeError)

Shared = tuple[Any, dict[str, np.ndarray]]


def by_first(function: Callable[[], Shared]) -> Shared:
  """Calls the function in the first process; what it returns, in all.

  Args:
    function: gives a value that JSON can say, and arrays by name.

  Raises:
    ValueError: the function raised it, of whatever kind.
    OSError: likewise.
    RuntimeError: it raised another error, which the first process raises.
  """
  if jax.process_count() == 1:
    return function()
  head: dict[str, Any] = {}
  arrays: dict[str, np.ndarray] = {}
  error: Exception | None = None
  if jax.process_index() == 0:
    try:
      value, arrays = function()
      shapes = {k: [str(a.dtype), list(a.shape)] for k, a in arrays.items()}
      head = {"value": value, "arrays": shapes}
    except Exception as raised:
      error = raised
      kinds = (k for k in _ERRORS if isinstance(raised, k))
      kind = next(kinds, RuntimeError)
      head = {"error": str(raised), "kind": kind.__name__}
  head = json.loads(_share(to_json(head, sort=False).encode()))
  if error is not None:
    raise error
  if "error" in head:
    kind = next(k for k in _ERRORS if k.__name__ == head["kind"])
    raise kind(head["error"])
  content = _share(b"".join(a.tobytes() for a in arrays.values()))
  received, start = {}, 0
  for name, (dtype, shape) in head["arrays"].items():
    count = int(np.prod(shape))
    received[name] = np.frombuffer(
      content, jnp.dtype(dtype), count, start
    ).reshape(shape)
    start += received[name].nbytes
  return head["value"], received


def _share(content: bytes) -> bytes:
  """The bytes that the first process has, in all."""
  from jax.experimental import multihost_utils

  size = np.asarray(divmod(len(content), _PART), np.int32)
  whole, rest = multihost_utils.broadcast_one_to_all(size).tolist()
  total = whole * _PART + rest
  received = []
  for start in range(0, total, _PART):
    length = min(_PART, total - start)
    part = np.zeros(length, np.uint8)
    if jax.process_index() == 0:
      part = np.frombuffer(content, np.uint8, length, start)
    received.append(np.asarray(multihost_utils.broadcast_one_to_all(part)))
  return b"".join(part.tobytes() for part in received)
