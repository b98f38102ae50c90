"""Seconds that JAX spends on programs before they run, as it tells them.

Tracing Python, lowering to StableHLO, and compiling by XLA, or reading what was
compiled before from the cache. Tracing a program traces those that it calls, so
spans lie within each other; of nested ones the outermost counts.
"""

from __future__ import annotations

import collections
import functools
import threading

import jax

EVENTS = frozenset(
  f"/jax/core/compile/{name}_duration"
  for name in ("jaxpr_trace", "jaxpr_to_mlir_module", "backend_compile")
)
# Of a thread; what lies within a span ended right before it.
_REMEMBERED = 10_000


class Spans:
  """Sums up spans of time, of which nested ones count once."""

  def __init__(self) -> None:
    """Nothing was heard."""
    self._total = 0.0
    self._lock = threading.Lock()
    self._ended: dict[int, collections.deque[tuple[float, float]]] = {}

  def hear(
    self, event: str, start_time: float, end_time: float, **_: str | int
  ) -> None:
    """A listener of `jax.monitoring`; spans of a thread come as they end."""
    if event not in EVENTS:
      return
    with self._lock:
      ended = self._ended.setdefault(
        threading.get_ident(), collections.deque(maxlen=_REMEMBERED)
      )
      while ended and ended[-1][0] >= start_time:
        inner_start, inner_end = ended.pop()
        self._total -= inner_end - inner_start
      ended.append((start_time, end_time))
      self._total += end_time - start_time

  @property
  def total(self) -> float:
    """Seconds so far, of all threads."""
    return self._total


@functools.cache
def listen() -> Spans:
  """The spans of this process, from the first call on."""
  spans = Spans()
  jax.monitoring.register_event_time_span_listener(spans.hear)
  return spans
