"""Seconds of tracing and compiling, as JAX tells them."""

import threading
import time

import jax
import jax.numpy as jnp
import pytest

from fbnax.jobs.runtime import compile_times
from fbnax.jobs.runtime.compile_times import Spans

TRACE = "/jax/core/compile/jaxpr_trace_duration"
COMPILE = "/jax/core/compile/backend_compile_duration"


def test_nested_spans_count_once():
  spans = Spans()
  spans.hear(TRACE, 10.0, 11.0)
  assert spans.total == 1.0
  # What lies within another one ended before it.
  spans.hear(TRACE, 20.5, 21.0, fun_name="inner of inner")
  spans.hear(TRACE, 20.0, 22.0, fun_name="inner")
  spans.hear(TRACE, 23.0, 23.5, fun_name="second inner")
  spans.hear(TRACE, 20.0, 25.0, fun_name="outer")
  spans.hear(COMPILE, 25.0, 28.0)
  assert spans.total == 1.0 + 5.0 + 3.0
  spans.hear("/jax/compilation_cache/cache_retrieval_time_sec", 28.0, 29.0)
  assert spans.total == 9.0


def test_threads_are_apart():
  spans = Spans()
  spans.hear(COMPILE, 2.0, 3.0)
  other = threading.Thread(target=spans.hear, args=(COMPILE, 1.0, 5.0))
  other.start()
  other.join()
  assert spans.total == 5.0


def test_what_jax_tells():
  spans = compile_times.listen()
  assert compile_times.listen() is spans

  @jax.jit
  def inner(x):
    time.sleep(0.05)  # While it is traced.
    return x + 1

  @jax.jit
  def outer(x):
    time.sleep(0.05)
    return inner(x) * 2

  x = jnp.zeros(3)
  before, start = spans.total, time.time()
  jax.block_until_ready(outer(x))
  found = spans.total - before
  assert 0.1 <= found <= time.time() - start
  before = spans.total
  jax.block_until_ready(outer(x))
  assert spans.total == pytest.approx(before)
