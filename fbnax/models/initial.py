"""Initial weights, drawn all at once.

A random draw costs a quarter of a second to compile, and a network has dozens.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Draw = Callable[[jax.Array, tuple[int, ...]], jax.Array]

_DRAW: contextvars.ContextVar[Draw] = contextvars.ContextVar(
  "draw", default=jax.random.normal
)


def initialize(
  module: nn.Module, key: jax.Array, *arguments: Any, **keywords: Any
) -> Any:
  """`module.init`, with all convolutions' noise drawn at once.

  The distribution is that of `module.init`, the numbers are others. A random
  draw costs a quarter of a second to compile, and a network has dozens.

  Args:
    module: any module; those that are not built of `Conv` are not changed.
    key: random key.
    *arguments: of the module's call.
    **keywords: likewise.

  Returns:
    The variables.
  """
  sizes: list[int] = []

  def measure(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    sizes.append(math.prod(shape))
    return jnp.zeros(shape)

  noise_key, rest_key = jax.random.split(key)
  with _drawing(measure):
    jax.eval_shape(lambda k: module.init(k, *arguments, **keywords), rest_key)
  noise = jax.random.normal(noise_key, (sum(sizes),))
  used = 0

  def cut(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    nonlocal used
    start, used = used, used + math.prod(shape)
    return noise[start:used].reshape(shape)

  with _drawing(cut):
    return module.init(rest_key, *arguments, **keywords)


def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Standard normal noise of initial weights; see `initialize`."""
  return _DRAW.get()(key, shape)


@contextlib.contextmanager
def _drawing(draw: Draw) -> Iterator[None]:
  token = _DRAW.set(draw)
  try:
    yield
  finally:
    _DRAW.reset(token)
