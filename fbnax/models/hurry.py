"""Programs that run once are compiled in a hurry.

Without LLVM's optimisations a program of XLA for CPUs takes about 0.6 of the
time to compile and 2.8 to run (a training step of the middle of `small` at 8
pixels; `tests.benchmarks.compiling`), so a training earns them within some
hundred steps; drawing weights and planning memory never do. Results differ by
rounding.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import jax

OPTIONS: dict[str, Any] = {
  "xla_backend_optimization_level": 0,
  "xla_llvm_disable_expensive_passes": True,
}


def jit_once(function: Callable[..., Any], **given: Any) -> Any:
  """`jax.jit` of a function whose program runs once.

  Args:
    function: as of `jax.jit`.
    **given: likewise.
  """

  @functools.cache
  def jitted() -> Any:  # At the first call, when there is a backend.
    return jax.jit(function, compiler_options=options(), **given)

  @functools.wraps(function)
  def call(*arguments: Any) -> Any:
    return jitted()(*arguments)

  size = "_cache_size"  # What tests count programs by.
  setattr(call, size, lambda: getattr(jitted(), size)())
  return call


@functools.cache
def options() -> dict[str, Any] | None:
  """What tells XLA to hurry; None where it has no such options."""
  if jax.default_backend() != "cpu":
    return None
  try:
    jax.jit(lambda: 0, compiler_options=OPTIONS)()
  except jax.errors.JaxRuntimeError as error:
    logging.getLogger(__name__).warning(
      "programs that run once are compiled in full: %s", error
    )
    return None
  return OPTIONS
