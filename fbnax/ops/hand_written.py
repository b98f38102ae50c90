"""Gradients written by hand, that give way where a forward derivative is asked.

JAX refuses a forward derivative of a function with a hand-written gradient.
Inside `forward_mode` such functions are traced as what they compute, so that
they have forward derivatives of any order.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

_forward_mode = contextvars.ContextVar("forward_mode", default=False)


@contextlib.contextmanager
def forward_mode() -> Iterator[None]:
  """Functions traced in the block have forward derivatives."""
  token = _forward_mode.set(True)
  try:
    yield
  finally:
    _forward_mode.reset(token)


class gradient_by_hand:
  """`jax.custom_vjp` outside of `forward_mode`, nothing inside of it."""

  def __init__(
    self, function: Callable[..., Any], nondiff_argnums: Sequence[int] = ()
  ) -> None:
    """Arguments as those of `jax.custom_vjp`."""
    functools.update_wrapper(self, function)
    self._plain = function
    self._differentiated = jax.custom_vjp(
      function, nondiff_argnums=tuple(nondiff_argnums)
    )

  def defvjp(
    self, forward: Callable[..., Any], backward: Callable[..., Any]
  ) -> None:
    """As that of `jax.custom_vjp`."""
    self._differentiated.defvjp(forward, backward)

  def __call__(self, *arguments: Any) -> Any:
    """What the function gives."""
    if _forward_mode.get():
      return self._plain(*arguments)
    return self._differentiated(*arguments)
